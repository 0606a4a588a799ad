"""The order of times, level by level, against plain comparison of the times."""

from itertools import product

import pytest

from tdsl.analysis.model import Meeting
from tdsl.analysis.order import before, differing, same_prefix, unless_before, unordered
from tdsl.ir.frames import context, isl

SPAN = range(3)
WAYS = [ways for depth in (1, 2, 3) for ways in product([False, True], repeat=depth)]


def everything(depth):
    """All pairs of times, as an isl map and as a list."""
    times = list(product(SPAN, repeat=depth))
    ins = ", ".join(f"a{n}" for n in range(depth))
    outs = ", ".join(f"b{n}" for n in range(depth))
    bounds = " and ".join(f"0 <= a{n} < 3 and 0 <= b{n} < 3" for n in range(depth))
    text = f"{{ [{ins}] -> [{outs}] : {bounds} }}"
    return isl().Map.read_from_str(context(), text), [(a, b) for a in times for b in times]


def points(found):
    """The pairs that an isl map holds."""
    pairs = set()
    if found is None:
        return pairs
    kind = isl().dim_type.set
    flat = found.wrap().flatten()
    width = flat.dim(kind)

    def take(point):
        row = [point.get_coordinate_val(kind, n).to_python() for n in range(width)]
        pairs.add((tuple(row[: width // 2]), tuple(row[width // 2 :])))

    flat.foreach_point(take)
    return pairs


def surely_before(a, b, ways, *, first):
    """Whether the time a comes before b in every order that the loops may take."""
    for x, y, anyhow in zip(a, b, ways, strict=True):
        if x != y:
            return not anyhow and x < y
    return first


def level(a, b):
    """The first level at which two times differ, or their depth."""
    return next((n for n, (x, y) in enumerate(zip(a, b, strict=True)) if x != y), len(a))


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("ways", WAYS, ids=str)
def test_pairs_that_are_not_surely_in_order(ways, first):
    pairs, known = everything(len(ways))
    found = points(unless_before(pairs, ways, first=first))
    assert found == {(a, b) for a, b in known if not surely_before(a, b, ways, first=first)}


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("ways", WAYS, ids=str)
@pytest.mark.parametrize("start", [0, 1])
def test_offenders_are_those_of_one_level(ways, first, start):
    pairs, known = everything(len(ways))
    found = points(unordered(pairs, ways, first=first, start=start))
    wrong = {
        (a, b)
        for a, b in known
        if level(a, b) >= start and not surely_before(a, b, ways, first=first)
    }
    assert found <= wrong
    assert bool(found) == bool(wrong)
    outermost = min((level(a, b) for a, b in wrong), default=None)
    assert {level(a, b) for a, b in found} <= {outermost}


@pytest.mark.parametrize("ways", WAYS, ids=str)
def test_races_are_at_concurrent_levels(ways):
    pairs, known = everything(len(ways))
    found = points(unordered(pairs, ways, first=False, races_only=True))
    races = {(a, b) for a, b in known if level(a, b) < len(ways) and ways[level(a, b)]}
    assert found <= races
    assert bool(found) == bool(races)


def test_an_order_both_ways_is_looked_for():
    for wanted in ("a0 < b0", "a0 > b0"):
        pairs = isl().Map.read_from_str(context(), f"{{ [a0] -> [b0] : {wanted} and a0 = 1 }}")
        found = unordered(pairs, (True,), first=True)
        assert found is not None
        assert not found.is_empty()
    pairs = isl().Map.read_from_str(context(), "{ [a0] -> [b0] : a0 < b0 }")
    assert unordered(pairs, (False,), first=True) is None


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_prefixes(depth):
    pairs, known = everything(3)
    assert points(same_prefix(pairs, depth)) == {(a, b) for a, b in known if a[:depth] == b[:depth]}
    found = points(differing(pairs, depth))
    assert found
    assert found <= {(a, b) for a, b in known if a[:depth] != b[:depth]}
    assert differing(same_prefix(pairs, depth), depth) is None
    inner = same_prefix(pairs, depth - 1)
    assert points(differing(inner, depth)) <= {
        (a, b) for a, b in known if a[: depth - 1] == b[: depth - 1] and a != b
    }


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("ways", WAYS, ids=str)
@pytest.mark.parametrize("start", [0, 1])
def test_writers_that_surely_come_before(ways, first, start):
    pairs, known = everything(len(ways))
    parts = before(pairs, ways, Meeting(len(ways), first), start)
    found = [points(part) for part in parts]
    # the left end is the reader's time, the right end the writer's
    wanted = {
        (a, b) for a, b in known if level(a, b) >= start and surely_before(b, a, ways, first=first)
    }
    assert set().union(*found) == wanted
    if first:
        assert found[0] == {(a, a) for a, _ in known}
    levels = [level(*next(iter(part))) for part in found if part]
    assert levels == sorted(levels, reverse=True)
