import pytest

from tdsl import dtypes
from tdsl.ir import build, frames
from tdsl.ir.expr import Binary, BinaryOp, Buffer, Load, Select, Var
from tdsl.ir.frames import Sizes, budget
from tdsl.ir.polyhedra import Domain, NotAffine, Unknown, leaves_bounds

i, j, k = Var("i"), Var("j"), Var("k")
M, N = Var("M"), Var("N")


def both(*conds):
    return build.conjunction(list(conds))


def test_an_index_inside_its_extent_is_proven():
    assert Domain({i: N}, sizes=[N]).proves(both(build.ge(i, 0), build.lt(i, N)))


def test_a_counterexample_has_the_smallest_sizes():
    found = Domain({i: N}, sizes=[N]).counterexample(build.lt(build.add(i, 1), N))
    assert found == {"N": 1, "i": 0}


def test_assumptions_are_used():
    aligned = build.compare(BinaryOp.EQ, build.floormod(N, 16), 0)
    tiles = build.floordiv(N, 16)
    index = build.add(build.mul(i, 16), j)
    ranges = {i: build.ceildiv(N, 16), j: build.index(16)}
    assert Domain(ranges, sizes=[N], assume=[aligned]).proves(build.lt(index, N))
    assert not Domain(ranges, sizes=[N]).proves(build.lt(index, N))
    assert Domain({i: tiles, j: 16}, sizes=[N]).proves(build.lt(index, N))


def test_conditions_restrict_the_domain():
    padded = build.sub(i, 1)
    assert not Domain({i: N}, sizes=[N]).proves(build.ge(padded, 0))
    assert Domain({i: N}, [build.ge(i, 1)], sizes=[N]).proves(build.ge(padded, 0))


def test_min_max_and_select_are_understood():
    clamped = build.maximum(build.minimum(build.sub(i, 3), build.sub(N, 1)), 0)
    domain = Domain({i: build.add(N, 6)}, [build.ge(N, 1)], sizes=[N])
    assert domain.proves(both(build.ge(clamped, 0), build.lt(clamped, N)))
    folded = Select(build.lt(i, N), i, build.sub(build.mul(N, 2), build.add(i, 1)))
    assert Domain({i: build.mul(N, 2)}, sizes=[N]).proves(build.lt(folded, N))


def test_nested_divisions_are_cheap():
    e = build.add(build.mul(i, 7), j)
    for d in (3, 5, 4, 9):
        e = build.add(build.mul(build.floordiv(e, d), 5), build.floormod(e, d))
    domain = Domain({i: build.index(100), j: build.index(7)})
    assert domain.proves(build.ge(e, 0))


def test_products_of_sizes_are_opaque_but_equal_to_themselves():
    product = build.mul(M, N)
    assert Domain({i: product}, sizes=[M, N]).proves(build.lt(i, product))
    assert not Domain({i: product}, sizes=[M, N]).proves(build.lt(i, N))


def test_what_is_not_affine_is_unknown():
    domain = Domain({i: N, j: M}, sizes=[M, N])
    cond = build.lt(build.add(build.mul(i, M), j), build.mul(M, N))
    assert not domain.proves(cond)
    with pytest.raises(NotAffine):
        domain.counterexample(cond)
    table = Buffer("T", dtypes.int64, (N,))
    with pytest.raises(Unknown):
        domain.counterexample(build.lt(Load(table, (i,)), 4))


def test_extremes_over_the_domain():
    domain = Domain({i: build.index(8), j: build.index(3)})
    e = build.sub(build.mul(i, 2), j)
    assert (domain.minimum(e), domain.maximum(e)) == (-2, 14)
    assert Domain({i: N}, sizes=[N]).maximum(i) is None


def test_an_empty_domain_is_seen():
    assert Domain({i: N}, [build.ge(i, N)], sizes=[N]).is_empty()
    assert not Domain({i: N}, sizes=[N]).is_empty()


def test_disjunctions_and_negations():
    outside = Binary(BinaryOp.OR, build.lt(i, 2), build.ge(i, 5))
    domain = Domain({i: build.index(10)}, [outside])
    assert domain.counterexample(build.ge(i, 4)) == {"i": 0}
    assert domain.proves(build.compare(BinaryOp.NE, i, 3))


def test_a_spent_budget_is_unknown_and_leaves_no_trace(monkeypatch):
    m = frames.isl().Map.read_from_str(
        frames.context(), "{ [i,j,k] -> [a,b,c] : i = 3a + b and 0 <= b < 3 and j = 5c }"
    )
    with monkeypatch.context() as patch:
        patch.setattr(frames, "BUDGET", 5)
        with pytest.raises(Unknown), budget():
            m.is_injective()
    with budget():
        assert m.is_injective() is False


def test_sizes_know_that_they_are_not_negative():
    assert Domain({}, sizes=[N]).proves(build.ge(N, 0))
    assert len(Sizes([M, N])) == 2


def test_leaving_always_differs_from_leaving_for_some_sizes():
    domain = [build.ge(i, 0), build.lt(i, N)]
    beyond = build.ge(build.add(i, 1), N)
    found = leaves_bounds([i], [N], domain, [], beyond)
    assert found is not None
    assert found.always
    assert found.values == {i: 0, N: 1}
    some = leaves_bounds([i], [M, N], domain, [], build.ge(i, M))
    assert some is not None
    assert not some.always
    assert leaves_bounds([i], [N], domain, [build.lt(build.add(i, 1), N)], beyond) is None


@pytest.mark.parametrize("nested", [False, True])
def test_remainders_of_negative_coefficients(nested):
    e = build.floormod(build.sub(11, i), 3)
    if nested:
        e = build.floormod(build.add(build.floordiv(e, 2), build.sub(5, i)), 3)
    for value in range(12):
        fixed = Domain({i: build.index(12)}, [build.compare(BinaryOp.EQ, i, value)])
        want = (11 - value) % 3
        want = (want // 2 + 5 - value) % 3 if nested else want
        assert fixed.proves(build.compare(BinaryOp.EQ, e, want))
