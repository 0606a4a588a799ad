"""What pad_einsum writes: copies with margins, the contraction over them, and the copy out."""

import pytest

import tdsl as td
from tests.scheduling.algorithms import matmul
from tests.scheduling.running import check, nest, scheduled, text


def convolution():
    x = td.placeholder((3, 6), "int32", name="X")
    w = td.placeholder((5, 3, 3), "int32", name="W")
    c, r = (td.reduce_axis(3, name=name) for name in "cr")
    y = td.compute((5, 4), lambda o, h: td.sum(x[c, h + r] * w[o, c, r], axis=(c, r)), name="Y")
    return td.func("convolution", [x, w], [y])


def several():
    x = td.placeholder((3, 5), "int32", name="X")
    k = td.reduce_axis(5, name="k")
    both = td.reducer(identity=(0, 1), combine=lambda a, b: (a[0] + b[0], a[1] * b[1]))
    made = td.compute((3,), lambda i: both((x[i, k], x[i, k] + 1), axis=k), name="C")
    return td.func("several", [x], list(made))


PADDED = {
    # beyond k the terms are -0.0 * 0 = -0.0, which no sum notices; beyond i and j anything may be
    "all axes": (
        matmul(5, 6, 7), "C", 4, ("A.C", "B.C", "C.out"), """
        alloc C.cache: f32[8, 8]
        alloc B.C: f32[8, 8]
        alloc A.C: f32[8, 8]
        for i in 8:
          for k in 8:
            A.C[i, k] = select(i < 5 and k < 7, A[i, k], -0.0)
        for k in 8:
          for j in 8:
            B.C[k, j] = select(k < 7 and j < 6, B[k, j], 0)
        for i in 8:
          for j in 8:
            C.cache[i, j] = 0
            for k in 8:  # reduction
              C.cache[i, j] += A.C[i, k] * B.C[k, j]
        for i in 5:
          for j in 6:
            C[i, j] = C.cache[i, j]
        """,
    ),
    "reduction axis": (
        matmul(5, 6, 7), "C", (1, 1, 4), ("A.C", "B.C"), """
        alloc B.C: f32[8, 6]
        alloc A.C: f32[5, 8]
        for i in 5:
          for k in 8:
            A.C[i, k] = select(k < 7, A[i, k], -0.0)
        for k in 8:
          for j in 6:
            B.C[k, j] = select(k < 7, B[k, j], 0)
        for i in 5:
          for j in 6:
            C[i, j] = 0
            for k in 8:  # reduction
              C[i, j] += A.C[i, k] * B.C[k, j]
        """,
    ),
    # B is not read beyond its end, and stays
    "data axis": (
        matmul(5, 6, 7), "C", (4, 1, 1), ("A.C", "C.out"), """
        alloc C.cache: f32[8, 6]
        alloc A.C: f32[8, 7]
        for i in 8:
          for k in 7:
            A.C[i, k] = select(i < 5, A[i, k], -0.0)
        for i in 8:
          for j in 6:
            C.cache[i, j] = 0
            for k in 7:  # reduction
              C.cache[i, j] += A.C[i, k] * B[k, j]
        for i in 5:
          for j in 6:
            C[i, j] = C.cache[i, j]
        """,
    ),
    "symbolic axes": (
        matmul("M", "N", "K"), "C", (4, 1, 4), ("A.C", "B.C", "C.out"), """
        alloc C.cache: f32[(M + 3) // 4 * 4, N]
        alloc B.C: f32[(K + 3) // 4 * 4, N]
        alloc A.C: f32[(M + 3) // 4 * 4, (K + 3) // 4 * 4]
        for i in (M + 3) // 4 * 4:
          for k in (K + 3) // 4 * 4:
            A.C[i, k] = select(i < M and k < K, A[i, k], -0.0)
        for k in (K + 3) // 4 * 4:
          for j in N:
            B.C[k, j] = select(k < K, B[k, j], 0)
        for i in (M + 3) // 4 * 4:
          for j in N:
            C.cache[i, j] = 0
            for k in (K + 3) // 4 * 4:  # reduction
              C.cache[i, j] += A.C[i, k] * B.C[k, j]
        for i in M:
          for j in N:
            C[i, j] = C.cache[i, j]
        """,
    ),
    # h + r reaches 5 + 2 when h grows to 6: X has 6 columns, its copy 8
    "a window": (
        convolution(), "Y", (4, 3, 4, 1), ("X.Y", "W.Y", "Y.out"), """
        alloc Y.cache: i32[8, 6]
        alloc W.Y: i32[8, 4, 3]
        alloc X.Y: i32[4, 8]
        for c in 4:
          for d1 in 8:
            X.Y[c, d1] = select(c < 3 and d1 < 6, X[c, d1], 0)
        for o in 8:
          for c in 4:
            for r in 3:
              W.Y[o, c, r] = select(o < 5 and c < 3, W[o, c, r], 0)
        for o in 8:
          for h in 6:
            Y.cache[o, h] = 0
            for c in 4:  # reduction
              for r in 3:  # reduction
                Y.cache[o, h] += X.Y[c, h + r] * W.Y[o, c, r]
        for o in 5:
          for h in 4:
            Y[o, h] = Y.cache[o, h]
        """,
    ),
    # one margin serves both results: 0 adds nothing, and 0 + 1 multiplies by nothing
    "several values": (
        several(), "C", 4, ("X.C", "C.out"), """
        alloc C.1.cache: i32[4]
        alloc C.0.cache: i32[4]
        alloc X.C: i32[4, 8]
        for i in 4:
          for k in 8:
            X.C[i, k] = select(i < 3 and k < 5, X[i, k], 0)
        for i in 4:
          C.0.cache[i] = 0
          C.1.cache[i] = 1
          for k in 8:  # reduction
            C.0.cache[i] = C.0.cache[i] + X.C[i, k]
            C.1.cache[i] = C.1.cache[i] * (X.C[i, k] + 1)
        for i in 3:
          C.0[i] = C.0.cache[i]
          C.1[i] = C.1.cache[i]
        """,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", PADDED)
def test_a_padded_contraction(case):
    func, block, multiples, made, wanted = PADDED[case]
    s = scheduled(func)
    assert s.pad_einsum(block, multiples) == made
    assert nest(s) == text(wanted)
    assert s.numerics.value == "exact"
    check(s, {"M": 3, "N": 2, "K": 5} if case == "symbolic axes" else None)


def rows(reduce, dtype, source=lambda x: x):
    a = td.placeholder((3, 5), dtype, name="A")
    k = td.reduce_axis(5, name="k")
    b = td.compute((3,), lambda i: reduce(source(a[i, k]), axis=k), name="B")
    return td.func("rows", [a], [b])


# what stands in the margin, so that the terms there change nothing
MARGINS = [
    (td.sum, "float32", lambda x: x, "-0.0"),
    (td.sum, "int32", lambda x: x, "0"),
    (td.sum, "int32", lambda x: x - 1, "1"),
    (td.sum, "float32", lambda x: x * 2.0 + x * 3.0, "-0.0"),
    # margins make these terms +0.0, which changes no sum of terms that are never below zero
    *(
        (td.sum, "float32", source, "-0.0")
        for source in (
            td.abs,
            lambda x: x * x,
            lambda x: td.sqrt(td.abs(x)) * 2.0,
            lambda x: td.abs(x) + x * x,
            lambda x: td.abs(x) + td.sqrt(td.abs(x)),
            lambda x: td.abs(x) * (td.abs(x) + 1.0),
            lambda x: td.minimum(x * x, td.abs(x)),
            lambda x: td.maximum(x * x, x - 1.0),
            lambda x: td.maximum(x - 1.0, x * x),
            lambda x: td.select(x > 1.0, td.abs(x), x * x),
        )
    ),
    (td.sum, "float64", lambda x: td.cast(x * x, "float32"), "-0.0"),
    (td.sum, "uint8", lambda x: td.cast(x, "float32"), "0"),
    # what may be below zero may be so little that it is rounded to -0.0 as it is added
    *(
        (td.sum, "float32", source, None)
        for source in (
            lambda x: td.abs(x) * (x + 1.0),
            lambda x: x * x + x,
            lambda x: x * (x + 1.0) + td.abs(x),
            lambda x: td.minimum(x * x, x + 1.0),
            lambda x: td.minimum(x + 1.0, x * x),
            lambda x: x * x * td.maximum(x + 1.0, -1.0),
            lambda x: td.select(x > 1.0, td.abs(x) * (x + 1.0), x * x),
            lambda x: td.select(x < 1.0, x * x, td.sqrt(x + 1.0) - 1.0),
        )
    ),
    (td.sum, "int8", lambda x: td.cast(td.abs(x), "float32"), None),  # abs(-128) is -128
    (td.reducer(identity=-0.0, combine=lambda a, b: a + b), "float32", td.abs, None),
    (td.prod, "float32", lambda x: x, "1"),
    (td.prod, "int32", lambda x: x, "1"),
    (td.max, "float32", lambda x: x, "-inf"),
    (td.max, "int8", lambda x: x, "-128"),
    (td.max, "uint8", lambda x: x, "0"),
    (td.min, "float32", lambda x: x, "inf"),
    (td.min, "int8", lambda x: x, "127"),
    (td.max, "float32", lambda x: -x, "inf"),
    (td.min, "float32", lambda x: -x, "-inf"),
    (td.any, "bool", lambda x: x, "false"),
    (td.all, "bool", lambda x: x, "true"),
    (td.sum, "bool", lambda x: td.select(x, 0, 1), "true"),
]


@pytest.mark.parametrize("row", range(len(MARGINS)))
def test_what_stands_in_a_margin(row):
    reduce, dtype, source, wanted = MARGINS[row]
    s = scheduled(rows(reduce, dtype, source))
    if wanted is None:
        with pytest.raises(td.ScheduleError, match="no margin of 'A' makes the terms beyond"):
            s.pad_einsum("B", (1, 4))
    else:
        s.pad_einsum("B", (1, 4))
        assert f"A.B[i, k] = select(k < 5, A[i, k], {wanted})" in nest(s)
        s.split("B.k", 4, tail="exact")


def test_each_axis_has_margins_of_its_own():
    """What does not depend on an axis is as it is beyond its end, padded or not."""
    a = td.placeholder((3, 5), "float32", name="A")
    scale = td.placeholder((3,), "float32", name="scale")
    k = td.reduce_axis(5, name="k")
    b = td.compute((3,), lambda i: td.sum(a[i, k] * scale[i], axis=k), name="B")
    with pytest.raises(
        td.ScheduleError, match=r"no margin of 'A', 'scale' .* beyond the end of 'k'"
    ):
        scheduled(td.func("f", [a, scale], [b])).pad_einsum("B", 4)
    x = td.placeholder((3, 5), "int32", name="X")
    y = td.placeholder((3, 6), "int32", name="Y")
    j, q = td.reduce_axis(5, name="j"), td.reduce_axis(6, name="q")
    c = td.compute((3,), lambda i: td.sum(x[i, j] * (y[i, q] + 1), axis=(j, q)), name="C")
    with pytest.raises(td.ScheduleError, match=r"no margin of 'X', 'Y' .* beyond the end of 'q'"):
        scheduled(td.func("g", [x, y], [c])).pad_einsum("C", (1, 4, 4))
    s = scheduled(td.func("g", [x, y], [c]))
    s.pad_einsum("C", (1, 4, 1))
    assert s.blocks() == ("X.C", "C")
    check(s)


def products(count):
    factors = [td.placeholder((3, 5), "int32", name=f"F{n}") for n in range(count)]
    k = td.reduce_axis(5, name="k")

    def term(i):
        product = factors[0][i, k]
        for factor in factors[1:]:
            product = product * factor[i, k]
        return td.sum(product, axis=k)

    return td.func("products", factors, [td.compute((3,), term, name="P")])


def test_four_operands_are_padded_and_five_are_not():
    s = scheduled(products(4))
    assert s.pad_einsum("P", 4) == ("F0.P", "F1.P", "F2.P", "F3.P", "P.out")
    check(s)
    with pytest.raises(td.ScheduleError, match="'P' has 5 operands to pad, 4 at most"):
        scheduled(products(5)).pad_einsum("P", 4)
    d = td.placeholder((3, 5), "float32", name="D")
    c = td.placeholder((3, 5), "float32", name="C")
    b = td.placeholder((3, 5), "float32", name="B")
    a = td.placeholder((3, 5), "float32", name="A")
    k = td.reduce_axis(5, name="k")
    e = td.compute((3,), lambda i: td.sum(d[i, k] + c[i, k] + b[i, k] + a[i, k] + 1.0, axis=k))
    with pytest.raises(td.ScheduleError, match="no margin of 'A', 'B', 'C', 'D' makes"):
        scheduled(td.func("f", [a, b, c, d], [e])).pad_einsum(e.name, (1, 4))


def test_reads_that_start_elsewhere_or_anywhere_are_named():
    a = td.placeholder((30,), "int32", name="A")
    x = td.placeholder((5,), "int32", name="X")
    axes = [td.reduce_axis(5, name=name) for name in "zyxw"]
    z, y, v, w = axes
    b = td.compute((3,), lambda i: td.sum(a[20 - z - y - v - w + i], axis=axes), name="B")
    s = scheduled(td.func("f", [a], [b]))
    with pytest.raises(td.ScheduleError, match="at an index of 'w', 'x', 'y', 'z' that starts"):
        s.pad_einsum("B", (1, 4, 4, 4, 4))
    c = td.compute((3,), lambda i: td.sum(a[x[z] * 2], axis=z), name="C")
    with pytest.raises(
        td.ScheduleError, match=r"'A' is read at an index of 'z' .* comes from data"
    ):
        scheduled(td.func("g", [a, x], [c])).pad_einsum("C", (1, 4))
    d = td.compute((3,), lambda i: td.sum(a[z + 1], axis=z), name="D")
    with pytest.raises(td.ScheduleError, match="'A' is read at an index of 'z' that starts"):
        scheduled(td.func("h", [a], [d])).pad_einsum("D", (1, 4))


def test_a_contraction_is_padded_before_it_is_scheduled():
    for step in (
        lambda s: s.split("C.i", 5),
        lambda s: s.reorder("C.k", "C.i"),
        lambda s: s.fuse("C.i", "C.j"),
        lambda s: s.parallel("C.i"),
        lambda s: s.decompose_reduction("C", "C.i"),
        lambda s: s.shift("C.i", 1),
    ):
        s = scheduled(matmul(5, 6, 7))
        step(s)
        with pytest.raises(td.ScheduleError, match="block 'C' is scheduled already"):
            s.pad_einsum("C", 4)
    for step in (lambda s: s.compute_at("C", "D.i"), lambda s: s.compute_with("D", "C.i")):
        s = scheduled(matmul(5, 6, 7, relu=True))
        step(s)
        with pytest.raises(td.ScheduleError, match="block 'C' is scheduled already"):
            s.pad_einsum("C", 4)
    s = scheduled(matmul(5, 6, 7))
    s.partition("C.i", 2)
    with pytest.raises(td.ScheduleError, match="block 'C' stands in 2 pieces"):
        s.pad_einsum("C", 4)


def test_a_padded_contraction_is_padded_again():
    s = scheduled(matmul(5, 6, 7))
    s.pad_einsum("C", (1, 1, 4))
    assert s.pad_einsum("C", (4, 4, 3)) == ("A.C.C", "B.C.C", "C.out")
    assert "for k in 9:  # reduction" in nest(s)
    check(s)


def test_a_tensor_that_others_write_too_is_not_made_anew():
    s = scheduled(matmul(5, 6, 7, relu=True))
    s.reuse("D", of="C")  # C is made in D, which is then changed in place
    with pytest.raises(td.ScheduleError, match="'C' writes a part of 'D'") as caught:
        s.pad_einsum("C", 4)
    assert caught.value.hint == "pad the reduction axes only: 1 in the place of the others"
    s.pad_einsum("C", (1, 1, 4))
    check(s)
