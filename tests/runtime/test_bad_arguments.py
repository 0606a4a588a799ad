"""Calls that are wrong: refused with a message that names the argument, never a crash."""

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from tdsl.errors import TdslError
from tdsl.runtime.errors import ArgumentTypeError, ArgumentValueError
from tdsl.runtime.signature import Dim
from tests.runtime import kernels
from tests.runtime.kernels import N, array, output, signature, slow_only
from tests.runtime.test_call import Exporter


def f32(*shape):
    return np.ones(shape, np.float32)


def unaligned(count):
    return np.zeros(4 * count + 1, np.uint8)[1:].view(np.float32)


def read_only(count):
    values = f32(count)
    values.flags.writeable = False
    return values


@pytest.fixture(scope="module")
def add():
    return kernels.add_kernel()


class Lying:
    """Its DLPack methods return what they must not."""

    def __dlpack__(self, **keywords):
        return 3

    def __dlpack_device__(self):
        return (1, 0)


BAD_INPUTS = {
    "a list": ([1.0, 2.0], TypeError, ["argument 'b' is a list", "np.asarray(b, np.float32)"]),
    "None": (None, TypeError, ["argument 'b' is a NoneType"]),
    "a number": (2.5, TypeError, ["argument 'b' is the number 2.5", "b: float32[N]"]),
    "a string": ("xy", TypeError, ["argument 'b' is a str"]),
    "another dtype": (np.ones(2), TypeError, ["'b' has dtype float64", "takes float32", "astype"]),
    "the other byte order": (
        np.ones(2, ">f4"),
        TypeError,
        ["'b' has dtype float32 in the other byte order"],
    ),
    "a structured dtype": (np.ones(2, [("x", "f4")]), TypeError, ["'b' has dtype structured"]),
    "another rank": (
        f32(2, 1),
        ValueError,
        ["'b' has 2 dimensions, shape (2, 1)", "takes 1: (N,)"],
    ),
    "rank 0": (np.array(1, np.float32), ValueError, ["'b' has 0 dimensions"]),
    "another extent": (
        f32(3),
        ValueError,
        ["'b' has shape (3,), expected (N,) = (2,)", "N = 2 from argument 'a', dimension 0"],
    ),
    "every other element": (
        f32(4)[::2],
        ValueError,
        ["'b' is not contiguous", "(8,) bytes", "np.ascontiguousarray(b)", 'strides="any"'],
    ),
    "backwards": (f32(2)[::-1], ValueError, ["'b' is not contiguous", "(-4,) bytes"]),
    "unaligned": (unaligned(2), ValueError, ["'b' is not aligned", "4 bytes of float32"]),
    "a masked array": (np.ma.array(f32(2)), TypeError, ["'b' is a masked array", "filled"]),
    "on a GPU": (Exporter(f32(2), (2, 1)), TypeError, ["'b' is a Exporter on cuda:1", "cpu()"]),
    "a lie": (Lying(), TypeError, ["'b' is a Lying that cannot be shared"]),
    "an array of objects": (np.array([1, None]), TypeError, ["'b' has dtype object"]),
    "a type": (np.ndarray, TypeError, ["'b' is a type, not an array"]),
}


@pytest.mark.parametrize("case", BAD_INPUTS)
def test_a_bad_input_is_named(add, case):
    value, kind, words = BAD_INPUTS[case]
    with pytest.raises(kind) as caught:
        add(f32(2), value)
    assert isinstance(caught.value, TdslError)
    assert str(caught.value).startswith("add: ")
    for word in words:
        assert word in str(caught.value)


def overlapping():
    memory = f32(6)
    return memory[:4], memory[2:]


BAD_OUTPUTS = {
    "read-only": (lambda a: read_only(4), ValueError, ["output 'c' is read-only"]),
    "an input": (lambda a: a, ValueError, ["output 'c'", "overlaps argument 'a'", "td.inout"]),
    "part of an input": (lambda a: a[:], ValueError, ["overlaps argument 'a'"]),
    "another extent": (lambda a: f32(5), ValueError, ["output 'c' has shape (5,)", "N = 4"]),
    "another dtype": (lambda a: np.zeros(4), TypeError, ["output 'c' has dtype float64"]),
    "strided": (lambda a: f32(8)[::2], ValueError, ["output 'c' is not contiguous"]),
    "unaligned": (lambda a: unaligned(4), ValueError, ["output 'c' is not aligned"]),
    "bytes": (lambda a: b"x" * 16, TypeError, ["output 'c' has dtype uint8"]),
    "two arrays": (lambda a: (f32(4), f32(4)), TypeError, ["out= takes 1 array (c), got 2"]),
    "a list of numbers": (lambda a: [1, 2, 3, 4], TypeError, ["out= takes 1 array (c), got 4"]),
    "a number": (lambda a: 3, TypeError, ["output 'c' is the number 3"]),
}


@pytest.mark.parametrize("case", BAD_OUTPUTS)
def test_a_bad_output_is_named(add, case):
    make, kind, words = BAD_OUTPUTS[case]
    a = f32(4)
    with pytest.raises(kind) as caught:
        add(a, f32(4), out=make(a))
    for word in words:
        assert word in str(caught.value)
    np.testing.assert_array_equal(a, 1)


def test_outputs_that_overlap_each_other():
    two = kernels.two_outputs_kernel()
    p, m = overlapping()
    with pytest.raises(
        ValueError, match="output 'p', which the kernel writes, overlaps output 'm'"
    ):
        two(f32(4), f32(4), out=(p, m))


def test_an_inout_argument_that_overlaps_an_input():
    x, y = overlapping()
    with pytest.raises(ValueError, match=r"argument 'x', which .* overlaps argument 'y'"):
        kernels.increment_kernel()(x, y)


def test_a_read_only_inout_argument():
    with pytest.raises(ValueError, match="argument 'x' is read-only"):
        kernels.increment_kernel()(read_only(3), f32(3))


@pytest.mark.parametrize(
    ("arguments", "keywords", "words"),
    [
        ((), {}, "add takes 2 arguments (a, b), got 0"),
        ((f32(2),) * 3, {}, "outputs go into out=..."),
        ((f32(2),) * 2, {"where": 1}, "no keyword argument 'where'"),
        ((f32(2),), {"b": f32(2)}, "takes 2 arguments"),
        ((f32(2),) * 2, {"a": f32(2)}, "inputs are passed by position"),
        ((f32(2),) * 2, {"N": 2.0}, "size 'N' is 2.0, of type float"),
        ((f32(2),) * 2, {"N": True}, "size 'N' is True"),
        ((f32(2),) * 2, {"N": 3}, "N = 3 from the keyword N="),
        ((f32(2),) * 2, {"N": -1}, "the size N = -1 is out of range"),
    ],
)
def test_bad_counts_and_keywords(add, arguments, keywords, words):
    with pytest.raises((TypeError, ValueError)) as caught:
        add(*arguments, **keywords)
    assert words in str(caught.value)


def test_a_missing_size_is_asked_for():
    with pytest.raises(TypeError, match="no argument fixes the size 'N'") as caught:
        kernels.iota_kernel()()
    assert "N=..." in str(caught.value)


@pytest.mark.parametrize("size", [2**40, 2**61, 2**62, 2**63, 2**100])
def test_an_enormous_size_is_refused(size):
    with pytest.raises((ValueError, MemoryError)):
        kernels.iota_kernel()(N=size)


@pytest.mark.parametrize(("extent", "problem"), [(4, "a whole number"), (0, "a whole number")])
def test_an_extent_that_no_size_gives(extent, problem):
    with pytest.raises(ValueError, match=rf"no N that is {problem} gives 2\*N \+ 1 = {extent}"):
        kernels.halves_kernel()(np.zeros(extent, np.int32))


def test_an_output_of_negative_extent():
    sig = signature("tail", array("a", N), output("b", Dim((("N", 1),), -3)))
    kernel = kernels.load(sig, kernels.flat_loop(sig, "  store float 0.0, ptr %at1"))
    assert kernel(f32(3)).shape == (0,)
    for attempt in (kernel, slow_only(kernel)):
        with pytest.raises(ValueError, match="output 'b' would have extent -1 in dimension 0"):
            attempt(f32(2))


def test_huge_extents_next_to_a_zero_do_not_overflow():
    sig = signature(
        "wide",
        array("a", N, kernels.M, dtype="int8"),
        output("b", Dim((("M", 4),)), dtype="int8"),
    )
    kernel = kernels.load(sig, kernels.flat_loop(sig, "  store i8 1, ptr %at1"))
    with pytest.raises(ValueError, match="output 'b'"):
        kernel(np.empty((0, 2**62), np.int8))


@pytest.mark.parametrize(
    ("dtype", "value", "kind"),
    [
        ("float32", 1e300, ValueError),
        ("float32", 2 + 3j, TypeError),
        ("float32", 10**400, ValueError),
        ("float16", 1e6, ValueError),
        ("int8", 128, ValueError),
        ("int8", -129, ValueError),
        ("uint8", -1, ValueError),
        ("uint64", 2**64, ValueError),
        ("uint64", -1, ValueError),
        ("int64", 2**63, ValueError),
        ("int32", 1.0, TypeError),
        ("int32", "1", TypeError),
        ("float32", None, TypeError),
        ("float32", np.array([1], np.float32), ValueError),
        ("float32", np.array(1.0), TypeError),
    ],
)
def test_a_scalar_that_does_not_fit(dtype, value, kind):
    kernel = kernels.scale_kernel(dtype)
    x = np.ones(3, kernel.signature.params[1].element.numpy)
    with pytest.raises(kind, match="argument 'alpha'"):
        kernel(value, x)


def test_strides_that_are_no_multiples_of_the_itemsize():
    kernel = kernels.strided_copy_kernel("float32")
    pairs = np.zeros((3, 4), np.dtype([("x", "f4"), ("y", "i2"), ("z", "i2"), ("w", "i1")]))
    view = pairs["x"]
    assert view.strides[-1] == 9
    with pytest.raises(ValueError, match=r"argument 'a' (is not aligned|has strides)"):
        kernel(view)
    narrow = np.zeros((3, 4), np.dtype([("x", "f4"), ("y", "i2")], align=False))
    halves = np.ndarray((2, 2), np.float32, narrow.tobytes() + b"    ", strides=(8, 6))
    with pytest.raises(ValueError, match="argument 'a'"):
        kernel(halves)


def test_an_output_that_holds_an_element_twice():
    sig = signature("bump", array("x", N, role=kernels.Role.INOUT, any_strides=True))
    kernel = kernels.load(sig, kernels.flat_loop(sig, "  store float 5.0, ptr %at0"))
    view = np.lib.stride_tricks.as_strided(f32(4), (3,), (0,))
    with pytest.raises(ValueError, match="argument 'x' holds some element twice"):
        kernel(view)


@pytest.mark.parametrize(
    ("code", "kind", "message"),
    [
        (1, MemoryError, "out of memory"),
        (2, IndexError, "index 7 is out of range in B[idx[i]]: dimension 0 has extent 5"),
        (3, ValueError, "break the assumption N > 3"),
        (4, RuntimeError, "disagree about the ABI"),
        (77, RuntimeError, "failed with code 77"),
    ],
)
def test_a_kernels_error_code_becomes_an_exception(code, kind, message):
    kernel = kernels.failing_kernel(accesses=("A[i]", "B[idx[i]]"))
    for attempt in (kernel, slow_only(kernel)):
        with pytest.raises(kind) as caught:
            attempt(np.array([code], np.int32))
        assert message in str(caught.value)
        assert isinstance(caught.value, TdslError)


def test_an_exception_points_at_the_callers_line(add):
    with pytest.raises(ArgumentTypeError) as caught:
        add(f32(2), 3)
    assert caught.value.span is not None
    assert caught.value.span.file == __file__


# -- random argument lists ---------------------------------------------------------------------

DTYPES = st.sampled_from([np.float32] * 6 + [np.float64, np.int32, np.bool_, ">f4", object, "U3"])


@st.composite
def arrays(draw):
    shape = tuple(draw(st.lists(st.sampled_from([0, 1, 2, 3, 3, 3, 4]), max_size=3)))
    if draw(st.booleans()):
        shape = (3,)
    values = np.zeros(shape, draw(DTYPES))
    match draw(st.integers(0, 9)):
        case 0:
            values = values.T
        case 1 if values.ndim:
            values = values[::-1]
        case 2 if values.ndim:
            values = np.repeat(values, 2, axis=-1)[..., ::2]
        case 3:
            values.flags.writeable = False
        case 4:
            values = unaligned(3)
        case 5:
            values = values.view(np.matrix) if values.ndim == 2 else np.ma.array(values)
        case 6:
            values = np.lib.stride_tricks.as_strided(values, (3,), (0,)) if values.size else values
        case _:
            pass
    return values


SHARED = np.zeros(8, np.float32)
ODD_THINGS = st.sampled_from(
    [None, 1, 2.5, True, "a", b"abcdabcdabcd", [1.0, 2.0, 3.0], (), {}, object(), int, Lying(), 1j]
)
VALUES = st.one_of(
    arrays(),
    ODD_THINGS,
    st.integers(0, 4).map(lambda start: SHARED[start : start + 3]),
    arrays().filter(lambda a: a.dtype == np.float32).map(Exporter),
)
KEYWORDS = st.dictionaries(
    st.sampled_from(["out", "out", "N", "M", "a", "bogus"]),
    st.one_of(VALUES, st.tuples(VALUES, VALUES), st.sampled_from([3, 0, -1, 2**70])),
    max_size=2,
)


def outcome(kernel, arguments, keywords):
    try:
        result = kernel(*arguments, **keywords)
    except (ArgumentTypeError, ArgumentValueError) as error:
        named = error.message.startswith(kernel.signature.name)
        return type(error).__name__, named or "the message does not begin with the kernel's name"
    results = result if isinstance(result, tuple) else (result,)
    return "done", [np.asarray(getattr(item, "array", item)).shape for item in results]


KERNELS = {
    "add": kernels.add_kernel,
    "two": kernels.two_outputs_kernel,
    "increment": kernels.increment_kernel,
    "scale": kernels.scale_kernel,
    "copy": kernels.strided_copy_kernel,
}


def check_alike(which, arguments, keywords):
    fast = _built(which)
    got = outcome(fast, arguments, keywords)
    assert got == outcome(slow_only(fast), arguments, keywords)
    assert got[0] == "done" or got[1] is True


@pytest.mark.parametrize("which", KERNELS)
@settings(max_examples=250, deadline=None)
@given(arguments=st.lists(VALUES, min_size=1, max_size=3), keywords=KEYWORDS)
def test_random_arguments_are_right_or_refused_alike_on_both_paths(which, arguments, keywords):
    check_alike(which, arguments, keywords)


@pytest.mark.fuzz
@pytest.mark.parametrize("which", KERNELS)
@settings(max_examples=4_000, deadline=None)
@given(arguments=st.lists(VALUES, max_size=4), keywords=KEYWORDS)
def test_many_random_arguments(which, arguments, keywords):
    check_alike(which, arguments, keywords)


_kernels = {}


def _built(which):
    if which not in _kernels:
        _kernels[which] = KERNELS[which]()
    return _kernels[which]
