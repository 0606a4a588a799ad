"""Steps that random drawing seldom tries and people do: what each refusal says, and what helps."""

from __future__ import annotations

import pytest

import tdsl as td
from tdsl.schedules import combinators
from tdsl.scheduling.combinator import COMBINATORS
from tests.fuzz.instructions import declare
from tests.scheduling.algorithms import cumsum, increment, matmul

DOT = "dot_float32_4x3"
C_DOT = "c_dot_float32_4x3"


def product() -> td.Schedule:
    return td.Schedule(matmul(8, 8, 12, relu=True))


def dotted(instruction: str | None = None) -> td.Schedule:
    """A product of 4 columns by 3 terms innermost, which an instruction may run."""
    declare()
    s = td.Schedule(matmul(8, 8, 12))
    s.split("C.j", 4)
    s.split("C.k", 3)
    s.reorder("C.jo", "C.ko", "C.ji", "C.ki")
    if instruction is not None:
        s.tensorize("C.ji", instruction)
    return s


def run_by_dot() -> td.Schedule:
    return dotted(DOT)


def run_by_c() -> td.Schedule:
    s = dotted()
    s.call_extern("C.ji", C_DOT)
    return s


def fused() -> td.Schedule:
    s = dotted()
    s.fuse("C.ko", "C.ji")
    return s


def marked() -> td.Schedule:
    s = dotted()
    s.vectorize("C.ji", 4)
    return s


def alone() -> td.Schedule:
    return td.Schedule(increment(8))


def of_one() -> td.Schedule:
    return td.Schedule(increment(1))


def recurrence() -> td.Schedule:
    return td.Schedule(cumsum(16))


def relaxed() -> td.Schedule:
    """Paths in place: the only tensor that the update reads is the one that it writes."""
    d = td.placeholder((4, 4), "float32", name="D")
    k, i, j = (td.reduce_axis(4, name=name) for name in "kij")
    p = td.update(
        d, over=(k, i, j), at=(i, j), name="P",
        value=lambda cur: td.minimum(cur[i, j], cur[i, k] + cur[k, j]), op="set",
    )  # fmt: skip
    return td.Schedule(td.func("paths", [d], [p]))


def of_five() -> td.Schedule:
    """A contraction of five tensors."""
    given = [td.placeholder((7,), "float32", name=name) for name in "ABCDE"]
    k = td.reduce_axis(7, name="k")

    def term() -> td.Expr:
        a, b, c, d, e = (x[k] for x in given)
        return td.sum(a * b * c * d * e, axis=k)

    return td.Schedule(td.func("five", given, [td.compute((), term, name="F")]))


def scattered() -> td.Schedule:
    """Counts, whose elements come from data, and twice as much."""
    x = td.placeholder((16,), "int32", name="X")
    zero = td.placeholder((4,), "int32", name="zero")
    r = td.reduce_axis(16, name="r")
    hist = td.update(zero, over=r, at=x[r], value=1, op="add", name="hist")
    twice = td.compute((4,), lambda i: hist[i] * 2, name="twice")
    return td.Schedule(td.func("counts", [x, zero], [twice]))


def of_logarithms() -> td.Schedule:
    """A sum of exponentials by its logarithms: -inf and -inf make a NaN."""

    def combined(a: td.Expr, b: td.Expr) -> td.Expr:
        top = td.maximum(a, b)
        return top + td.log(td.exp(a - top) + td.exp(b - top))

    x = td.placeholder((16,), "float32", name="X")
    k = td.reduce_axis(16, name="k")
    total = td.reducer(identity=(float("-inf"),), combine=combined)
    return td.Schedule(td.func("f", [x], [td.compute((), lambda: total(x[k], axis=k), name="Y")]))


def counted_from_1() -> td.Schedule:
    """A sum whose identity is said to be 1."""
    x = td.placeholder((15,), "int32", name="X")
    k = td.reduce_axis(15, name="k")
    total = td.reducer(identity=(1,), combine=lambda a, b: a + b)
    return td.Schedule(td.func("f", [x], [td.compute((), lambda: total(x[k], axis=k), name="Y")]))


def two_fused() -> td.Schedule:
    """Two nests of other extents, each fused into one loop."""
    a = td.placeholder((6, 8), "float32", name="A")
    first = td.compute((6, 8), lambda i, j: a[i, j] + 1, name="C")
    s = td.Schedule(
        td.func("two", [a], [first, td.compute((6, 7), lambda i, j: a[i, j], name="D")])
    )
    s.fuse("C.i", "C.j")
    s.fuse("D.i", "D.j")
    return s


def stepping() -> td.Schedule:
    """A scan of two states, one of which is made of what each step has for itself."""
    x = td.placeholder((8,), "float32", name="X")
    t = td.scan_axis(8, name="t")

    def step(t: td.Expr, prev: dict[str, td.Tensor]) -> dict[str, object]:
        own = td.compute((), lambda: prev["v"] * 2, name="own")
        return {"u": own[()] + 1, "v": prev["v"] + x[t]}

    out = td.scan(t, states={"u": ((), 0.0), "v": ((), 0.0)}, step=step, name="S")
    late = td.compute((8,), lambda i: out["u"][i] * 3, name="late")
    return td.Schedule(td.func("stepping", [x], [late, out["v"]]))


def unread() -> td.Schedule:
    """A scan of two states, one of which nothing reads."""
    x = td.placeholder((8,), "float32", name="X")

    def step(t: td.Expr, prev: dict[str, td.Tensor]) -> dict[str, object]:
        return {"u": x[t] * 2, "v": prev["v"] + x[t]}

    states = {"u": ((), 0.0), "v": ((), 0.0)}
    out = td.scan(td.scan_axis(8, name="t"), states=states, step=step, name="S")
    return td.Schedule(td.func("unread", [x], [out["v"]]))


def uneven() -> td.Schedule:
    """A loop `C.i` of one or two rows, as the five elements that `i_jo` stands for lie in them."""
    a = td.placeholder((8, 8), "float32", name="A")
    b = td.compute((8, 8), lambda i, j: a[i, j] + 1, name="B")
    s = td.Schedule(td.func("rows", [a], [td.compute((8, 8), lambda i, j: b[i, j] * 2, name="C")]))
    s.split(s.fuse("B.i", "B.j"), 5)
    s.reverse_compute_at("C", "B.i_jo", unsafe=True)
    s.store_at("B", unsafe=True)
    s.fission("B.i_jo", "B", unsafe=True)
    return s


ON_ROW = "the extent of 'i' depends on 'i_jo'"
OWN = "is a loop of '{}' itself"
APART = f"this step and '{DOT}' exclude each other"

# a schedule, the step, words of the message, words of the help
STEPS = [
    (product, lambda s: s.compute_at("C", "C.i"), OWN.format("C"), "a loop of its consumer"),
    (product, lambda s: s.reverse_compute_at("D", "D.i"), OWN.format("D"), "of its producer"),
    (alone, lambda s: s.reverse_compute_at("B", "B.i"), OWN.format("B"), "of its producer"),
    (product, lambda s: s.tile("D.j", "C.i", 2, 2), "loops 'C.i', 'D.j' are not all", "one block"),
    (product, lambda s: s.reorder("C.i", "D.i"), "loops 'C.i', 'D.i' are not all", "one block"),
    (relaxed, lambda s: s.cache_read("P", "P"), "block 'P' writes 'P'", "it reads nothing else"),
    (product, lambda s: s.cache_read("D", "A"), "'D' does not read 'A'", "it reads C"),
    (of_one, lambda s: s.partition("B.i", 1), "1 is not inside loop 'i'", "nothing to part"),
    (alone, lambda s: s.partition("B.i", 8), "8 is not inside loop 'i' of extent 8", "1 to 7"),
    (dotted, lambda s: s.tensorize("C.ji", C_DOT), f"'{C_DOT}' is a C function", "call_extern"),
    (dotted, lambda s: s.call_extern("C.ji", DOT), f"'{DOT}' is an instruction", "tensorize maps"),
    (fused, lambda s: s.tensorize("C.ko_ji", DOT), "'ko_ji' is fused", "tensorize before marking"),
    (fused, lambda s: s.call_extern("C.ko_ji", C_DOT), "'ko_ji' is fused", "call_extern before"),
    (marked, lambda s: s.tensorize("C.ji", DOT), "'ji' is vectorized", "tensorize before marking"),
    (run_by_dot, lambda s: s.atomic("C"), "'C' is atomic", APART),
    (run_by_dot, lambda s: s.prefetch("C", "A", "i, j, k -> i, k + 1"), "prefetching", APART),
    (run_by_dot, lambda s: s.split("C.ki", 3), f"'{DOT}' runs loop 'kii'", "tensorize after"),
    (run_by_dot, lambda s: s.unroll("C.ki"), f"'{DOT}' runs loop 'ki'", "tensorize after this"),
    (run_by_dot, lambda s: s.unroll("C.ji"), "'ki' is part of what an instruction", "tensorize or"),
    (run_by_c, lambda s: s.unroll("C.ki"), f"'{C_DOT}' runs loop 'ki'", "call_extern after this"),
    (run_by_c, lambda s: s.fission("C.ki", "C"), "nothing follows 'C'", "fission the loops inside"),
    (product, lambda s: combinators.tree_reduce(s, "C.k", 3), "3 parts has no halves", "power of"),
    (product, lambda s: combinators.tree_reduce(s, "C.k", 1), "1 parts has no halves", "power of"),
    (product, lambda s: combinators.tile_in_registers(s, "C", 4), "takes 2 pos", "(s, block)"),
    (product, combinators.tile_in_registers, "missing 1", "tile_in_registers(s, block)"),
    (product, lambda s: combinators.tree_reduce(s, "C.k", wide=4), "'wide'", "tree_reduce(s, loop"),
    (product, lambda s: combinators.tree_reduce(s, "C.k", {4}), "{4} cannot stand", "pass loops"),
    (product, lambda s: s.transform_layout("C", lambda i, j: "i"), "index expressions", ""),
    (product, lambda s: s.transform_layout("C", lambda i, j: i * 0.5), "0.5 is no int64", ""),
    (product, lambda s: s.transform_layout("C", lambda i, j: ()), "no outputs", "write"),
    (product, lambda s: s.prefetch("D", "C", "i, j -> i, j"), "neither an argument", "the caches"),
    (of_five, lambda s: s.pad_einsum("F", 4), "'F' has 5 operands to pad, 4 at most", ""),
    (recurrence, lambda s: s.rfactor("t"), "is not associative", ""),
    (uneven, lambda s: s.reorder("C.i", "C.i_jo"), f"{ON_ROW}, which would come inside it", ""),
    (uneven, lambda s: s.reorder("C.j", "C.i", "C.i_jo"), f"{ON_ROW}, which would come", ""),
    (uneven, lambda s: s.fuse("C.i_jo", "C.i"), ON_ROW, "over a rectangle fuse"),
    (uneven, lambda s: s.shift("C.i_jo", 1), ON_ROW, "over a rectangle can be renumbered"),
    (uneven, lambda s: s.unroll_and_jam("C.i_jo", 2), ON_ROW, "a rectangle can be jammed"),
    (product, lambda s: s.split("q", 4), "no loop 'q'", "one of 'i', 'j', 'k', 'C.i', 'C.j'"),
    (product, lambda s: s.split("D.q", 4), "no loop 'q'", "did you mean 'D."),
    (product, lambda s: s.split("E.q", 4), "no loop 'E.q'", "one of 'C.i', 'C.j', 'C.k', 'D.i'"),
    (scattered, lambda s: s.reverse_compute_at("twice", "hist.r"), "order changes", "hist has"),
    (of_logarithms, lambda s: s.rfactor("Y.k"), "identity with itself into (nan)", "an identity"),
    (of_logarithms, lambda s: s.pad_einsum("Y", 5), "itself into (nan), and the terms", "finite"),
    (counted_from_1, lambda s: s.pad_einsum("Y", 4), "identity with itself into (2)", "leaves"),
    (two_fused, lambda s: s.compute_with("D", "C.i_j"), "'i_j' differ", "of equal extents"),
    (unread, lambda s: s.inline("S.u"), "no block reads 'S.u'", ""),
    (stepping, lambda s: s.inline("S.u"), "of which each step has its own", "compute_at brings"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "step", "words", "hint"), STEPS)
def test_a_refusal_says_what_is_wrong_and_what_helps(make, step, words, hint) -> None:
    s = make()
    before, length = s.program, len(s.trace)
    with pytest.raises(td.TdslError) as caught:
        step(s)
    assert words in caught.value.message
    assert hint in (caught.value.hint or "")
    assert isinstance(caught.value, ValueError | TypeError)  # the user's fault, never tdsl's
    assert s.program is before
    assert len(s.trace) == length


@pytest.mark.parametrize("step", ['tile_in_registers(s, "C", unsafe=True)', "tile_in_registers(s)"])
def test_a_combinator_that_is_called_wrongly_in_a_file_is_refused_at_its_line(
    step: str, tmp_path
) -> None:
    path = tmp_path / "product.schedule"
    s = product()
    s.save(path)
    path.write_text(f"{path.read_text()}{step}\n")
    with pytest.raises(td.TdslError, match=r"tile_in_registers\(\)") as caught:
        td.load_schedule(path, s.func)
    assert caught.value.span is not None
    assert caught.value.span.text == step


def test_a_combinator_takes_a_schedule_first() -> None:
    with pytest.raises(TypeError, match=r"first argument of tree_reduce is a schedule, got 'C'"):
        combinators.tree_reduce("C", "k", 4)


def test_the_name_of_another_combinator_is_taken() -> None:
    def tree_reduce(s: td.Schedule) -> None:
        """Another one, of the same name."""

    with pytest.raises(td.TdslError, match="'tree_reduce' is registered already") as caught:
        td.combinator(tree_reduce)
    assert "combinators" in caught.value.message
    assert caught.value.hint == "give one of them another name"
    assert COMBINATORS["tree_reduce"] is combinators.tree_reduce
