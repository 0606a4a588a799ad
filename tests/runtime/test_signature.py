import pytest
from hypothesis import given, settings, strategies as st

from tdsl.dtypes import ALL
from tdsl.errors import FormatError, InternalError
from tdsl.runtime.signature import Dim, Param, Role, Signature, solving_plan
from tests.runtime.kernels import M, N, array, output, signature

DIMS = st.builds(
    lambda terms, const: Dim(tuple(sorted(terms.items())), const),
    st.dictionaries(st.sampled_from("KMN"), st.integers(1, 5), max_size=2),
    st.integers(-3, 9),
)


def test_a_dimension_prints_as_it_is_written():
    assert str(Dim()) == "0"
    assert str(Dim((("N", 1),))) == "N"
    assert str(Dim((("N", -1), ("M", 3)), 2)) == "-N + 3*M + 2"
    assert str(Dim((("N", 1), ("M", -1)), -1)) == "N - M - 1"


def test_a_signature_prints_inputs_keyword_sizes_and_outputs():
    sig = signature("f", array("a", N), output("b", N, M), output("c"))
    assert str(sig) == "f(a: float32[N], *, M: size) -> b: float32[N, M], c: float32[]"


@settings(deadline=None)
@given(
    st.lists(
        st.builds(
            lambda dtype, shape, strides, inout: (dtype.name, tuple(shape), strides, inout),
            st.sampled_from(ALL),
            st.lists(DIMS, max_size=3),
            st.booleans(),
            st.booleans(),
        ),
        max_size=4,
    )
)
def test_json_round_trip(rows):
    params = [
        Param(f"p{k}", dtype, shape, strides, Role.INOUT if inout else Role.IN)
        for k, (dtype, shape, strides, inout) in enumerate(rows)
    ]
    sig = Signature("f", tuple(params), ("K", "M", "N"), ("N > 0",))
    assert Signature.from_json(sig.to_json()) == sig


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"name": 1}', "null"])
def test_json_of_something_else_is_refused(text):
    with pytest.raises(FormatError, match="not a kernel signature"):
        Signature.from_json(text)


def test_a_plain_dimension_is_preferred_to_an_affine_one():
    sig = signature("f", array("a", Dim((("N", 2),))), array("b", N))
    (step,) = solving_plan(sig, 2).steps
    assert (step.param, step.coefficient) == (1, 1)


def test_affine_dimensions_are_solved_one_after_the_other():
    both = Dim((("N", 1), ("M", 2)), 1)
    sig = signature("f", array("a", both), array("b", Dim((("N", 3),), -1)))
    assert [step.size for step in solving_plan(sig, 2).steps] == ["N", "M"]


def test_a_size_that_only_occurs_in_sums_stays_free():
    sig = signature("f", array("a", Dim((("N", 1), ("M", 1)))))
    assert sig.free_sizes == ("N", "M")
    assert solving_plan(sig, 1, ("M",)).steps[0].size == "N"


@pytest.mark.parametrize(
    ("params", "sizes", "message"),
    [
        ([output("a"), array("b")], (), "after an output"),
        ([array("a"), array("a")], (), "occurs twice"),
        ([array("a", N)], (), "unlisted size N"),
        ([array("a", dtype="float128")], (), "unknown dtype"),
    ],
)
def test_an_impossible_signature_is_an_internal_error(params, sizes, message):
    with pytest.raises(InternalError, match=message):
        Signature("f", tuple(params), sizes)
