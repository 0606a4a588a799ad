"""Random signatures: both call paths hand the kernel the same buffers, and what the ABI says."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from tdsl.dtypes import ALL
from tdsl.runtime import pool
from tdsl.runtime.native.entry import entry_ir, entry_key, has_fast_path
from tdsl.runtime.signature import Dim, Param, Role, Signature
from tests.runtime import kernels
from tests.runtime.kernels import array, output, signature, slow_only

WORDS = 200


def spy_ir(sig: Signature) -> str:
    """A kernel that writes all that it is given to its last array: an int64[WORDS]."""
    last = len(sig.params) - 1
    lines = [f"define i32 @{sig.name}(ptr %args, i32 %n, ptr %context) {{"]
    lines += [
        f"  %at = getelementptr i8, ptr %args, i64 {48 * last}",
        "  %to = load ptr, ptr %at",
    ]
    position = count = 0

    def copy(base: str, offset: int) -> None:
        nonlocal position, count
        count += 1
        lines.extend(
            [
                f"  %f{count} = getelementptr i8, ptr {base}, i64 {offset}",
                f"  %v{count} = load i64, ptr %f{count}",
                f"  %t{count} = getelementptr i64, ptr %to, i64 {position}",
                f"  store i64 %v{count}, ptr %t{count}",
            ]
        )
        position += 1

    for index in range(len(sig.params) + len(sig.sizes)):
        rank = len(sig.params[index].shape) if index <= last else 0
        for offset in (0, 24, 32, 40):
            copy("%args", 48 * index + offset)
        for field in (8, 16):
            lines += [
                f"  %pa{index}.{field} = getelementptr i8, ptr %args, i64 {48 * index + field}",
                f"  %p{index}.{field} = load ptr, ptr %pa{index}.{field}",
            ]
            for axis in range(rank):
                copy(f"%p{index}.{field}", 8 * axis)
        if index > last:
            lines += [
                f"  %pd{index} = getelementptr i8, ptr %args, i64 {48 * index}",
                f"  %d{index} = load ptr, ptr %pd{index}",
            ]
            copy(f"%d{index}", 0)
    copy("%context", 0)
    lines += [
        "  %wide = sext i32 %n to i64",
        f"  %tn = getelementptr i64, ptr %to, i64 {position}",
        "  store i64 %wide, ptr %tn",
        "  ret i32 0",
        "}",
    ]
    return "\n".join(lines)


def expected_words(sig, arrays, sizes, threads):
    words = []
    for param, values in zip(sig.params, arrays, strict=True):
        words += [
            values.__array_interface__["data"][0],
            param.element.code | values.ndim << 32,
            0,
            0,
        ]
        words += list(values.shape)
        if not param.any_strides or (param.role.is_written and values.flags.c_contiguous):
            steps = [
                int(np.prod(values.shape[axis + 1 :], dtype=object)) for axis in range(values.ndim)
            ]
        else:
            steps = [stride // values.itemsize for stride in values.strides]
        words += steps
    for name in sig.sizes:
        words += [None, 4, 0, 0, sizes[name]]
    return [*words, 1 | threads << 32, len(sig.params) + len(sig.sizes)]


SIZES = {"N": 3, "M": 2, "K": 5}
DIMS = st.one_of(
    st.sampled_from([Dim(((name, 1),)) for name in SIZES]),
    st.integers(0, 4).map(lambda extent: Dim((), extent)),
    st.builds(
        lambda a, b, fa, fb, const: Dim(((a, fa), (b, fb)) if a < b else ((a, fa),), const),
        st.sampled_from(sorted(SIZES)),
        st.sampled_from(sorted(SIZES)),
        st.integers(1, 3),
        st.integers(1, 2),
        st.integers(-2, 2),
    ),
)
PARAMS = st.builds(
    lambda dtype, shape, strides, inout: (dtype.name, tuple(shape), strides, inout),
    st.sampled_from(ALL),
    st.lists(DIMS, max_size=3),
    st.booleans(),
    st.sampled_from([Role.IN, Role.IN, Role.INOUT]),
)


def make_array(draw, param):
    shape = tuple(dim.evaluate(SIZES) for dim in param.shape)
    values = np.zeros(shape, param.element.numpy)
    if not param.any_strides or not shape or draw(st.booleans()):
        return values
    wide = np.zeros((*shape[:-1], 2 * shape[-1] + 1), param.element.numpy)
    view = wide[..., 1 : 1 + shape[-1] * 2 : 2][..., : shape[-1]]
    return view[::-1] if draw(st.booleans()) else view


@settings(max_examples=40, deadline=None)
@given(st.data(), st.lists(PARAMS, max_size=4))
def test_both_paths_hand_over_the_same_buffers(data, rows):
    inputs = [
        Param(f"p{index}", dtype, shape, strides, role)
        for index, (dtype, shape, strides, role) in enumerate(rows)
        if all(dim.evaluate(SIZES) >= 0 for dim in shape)
    ]
    sig = Signature("spy", (*inputs, output("spied", WORDS, dtype="int64")), tuple(SIZES))
    kernel = kernels.load(sig, spy_ir(sig))
    arrays = [make_array(data.draw, param) for param in inputs]
    keywords = {name: SIZES[name] for name in sig.free_sizes}
    threads = pool.num_threads()
    for path in (kernel, slow_only(kernel)):
        spied = np.zeros(WORDS, np.int64)
        path(*arrays, out=spied, **keywords)
        words = expected_words(sig, [*arrays, spied], SIZES, threads)
        got = [
            None if word is None else int(value) for word, value in zip(words, spied, strict=False)
        ]
        assert got == words
        assert not spied[len(words) :].any()


@settings(max_examples=40, deadline=None)
@given(st.data(), st.lists(PARAMS, min_size=1, max_size=3), st.integers(0, 2))
def test_a_wrong_extent_never_reaches_the_kernel(data, rows, which):
    """One extent of one array is off by one: refused, unless another size explains it."""
    inputs = [
        Param(f"p{index}", dtype, shape, strides, Role.IN)
        for index, (dtype, shape, strides, _) in enumerate(rows)
        if shape and all(dim.evaluate(SIZES) >= 0 for dim in shape)
    ]
    if not inputs:
        return
    sig = Signature("spy", (*inputs, output("spied", WORDS, dtype="int64")), tuple(SIZES))
    kernel = kernels.load(sig, spy_ir(sig))
    arrays = [make_array(data.draw, param) for param in inputs]
    chosen = which % len(arrays)
    axis = data.draw(st.integers(0, arrays[chosen].ndim - 1))
    shape = list(arrays[chosen].shape)
    shape[axis] += 1
    arrays[chosen] = np.zeros(shape, arrays[chosen].dtype)
    keywords = {name: SIZES[name] for name in sig.free_sizes}
    outcomes = set()
    for path in (kernel, slow_only(kernel)):
        try:
            spied = path(*arrays, **keywords)
            sizes = [int(word) for word in spied[: WORDS // 2]]
            outcomes.add("done" if sizes else "")
        except ValueError as error:
            outcomes.add(str(error).split("\n", maxsplit=1)[0])
    assert len(outcomes) == 1


def test_enormous_coefficients_are_left_to_python():
    assert has_fast_path(signature("f", array("a", Dim((("N", 1 << 16),)))))
    huge = signature(
        "f", array("a", Dim((("N", 1 << 17),)), dtype="int8"), output("b", Dim((("N", 1),)))
    )
    assert not has_fast_path(huge)
    kernel = kernels.load(huge, kernels.flat_loop(huge, "  store float 1.0, ptr %at1"))
    np.testing.assert_array_equal(kernel(np.zeros(1 << 18, np.int8)), [1, 1])


def test_many_arrays():
    sig = signature("many", *(array(f"a{k}", kernels.N) for k in range(30)), output("b", kernels.N))
    body = "  %sum = fadd float %x0, %x29\n  store float %sum, ptr %at30"
    kernel = kernels.load(sig, kernels.flat_loop(sig, body))
    values = [np.full(3, k, np.float32) for k in range(30)]
    np.testing.assert_array_equal(kernel(*values), 29)
    with pytest.raises(ValueError, match="argument 'a17' has shape"):
        kernel(*values[:17], np.ones(4, np.float32), *values[18:])


def test_sizes_by_keyword_in_any_order():
    sig = signature(
        "spy", array("x", kernels.N), output("y", kernels.N, kernels.M, Dim((("K", 1),)))
    )
    kernel = kernels.load(sig, kernels.flat_loop(sig, "  store float 7.0, ptr %at1"))
    x, y = np.ones(2, np.float32), np.zeros((2, 3, 4), np.float32)
    for path in (kernel, slow_only(kernel)):
        assert path(x, M=3, K=4).shape == (2, 3, 4)
        assert path(x, K=4, M=3).shape == (2, 3, 4)
        assert path(x, K=4, out=y, M=3) is y
        assert path(x, out=y) is y
        assert path(x, out=y, M=3) is y
        with pytest.raises(TypeError, match="no argument fixes the size 'K'"):
            path(x, M=3)
        with pytest.raises(ValueError, match=r"M = 5 from the keyword M="):
            path(x, out=y, M=5, K=4)
        with pytest.raises(TypeError, match="no keyword argument 'L'"):
            path(x, M=3, L=4)
    assert (y == 7).all()


def test_the_key_of_call_paths_is_stable():
    assert entry_key() == entry_key()
    sig = signature("f", array("a", kernels.N), output("b", kernels.N))
    assert entry_ir(sig, "f") == entry_ir(sig, "f")
