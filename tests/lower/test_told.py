"""What the place of an element tells: compared with all elements of a box, one by one."""

from itertools import compress, product

import pytest

import tdsl as td
from tdsl.analysis.witness import value_at
from tdsl.ir.stmt import Layout
from tdsl.lower.told import anchored, grows, told, unbounded
from tdsl.scheduling.index_map import as_index_map
from tests.lower.nests import TARGET, check_every_pass

# with what is told of each index of any two elements, and which of them storage must not move
LAYOUTS = {
    "i, j -> j, i": ("ij", ""),
    "i, j -> j": ("j", ""),
    "i, j -> i // 4, i % 4, j": ("ij", ""),
    "i, j -> i // 4, j": ("j", "i"),
    "i, j -> i % 4, j": ("j", ""),
    "i, j -> i * 7 + j": ("", ""),
    "i, j -> (i * 7 + j) // 4, (i * 7 + j) % 4": ("", ""),
    "i, j -> i, (i + j) % 5": ("i", ""),
    "i, j -> i + j, 3 - j": ("ij", ""),
    "i, j -> 2 * i + 1, j": ("ij", ""),
    "i, j -> (i % 8) // 4, (i % 8) % 4, j": ("j", ""),
    "i, j -> (i % 4) % 3, j": ("j", "i"),
    "i, j -> (i % 4 + j) % 3": ("", "ij"),
    "i, j -> i // 4 + j, j": ("j", "ij"),
    "i, j -> (i // 4) % 2, i % 4, j": ("j", "i"),
    "i, j -> 0": ("", ""),
}


BOX = list(product(range(20), range(9)))


def layout_of(text):
    given = as_index_map(text)
    return Layout(given.inputs, given.outputs)


def shared(layout, begin=(0, 0)):
    """The elements of a box, those in one place together, if the storage begins at *begin*."""
    places = {}
    for i, j in BOX:
        env = dict(zip(layout.inputs, (i - begin[0], j - begin[1]), strict=True))
        at = tuple(value_at(output, env) for output in layout.outputs)
        places.setdefault(at, []).append((i, j))
    return sorted(places.values())


@pytest.mark.parametrize("text", LAYOUTS)
def test_a_place_tells_the_indices_that_all_elements_in_it_have_in_common(text):
    layout = layout_of(text)
    known = told(layout, unbounded)
    assert known == [
        all(len({element[d] for element in group}) == 1 for group in shared(layout)) for d in (0, 1)
    ]
    assert "".join(compress("ij", known)) == LAYOUTS[text][0]


@pytest.mark.parametrize("text", LAYOUTS)
def test_storage_that_is_not_anchored_may_begin_anywhere(text):
    layout = layout_of(text)
    fixed = anchored(layout)
    assert "".join(compress("ij", fixed)) == LAYOUTS[text][1]
    for begin in [(1, 0), (3, 0), (0, 1), (0, 2)]:
        if not any(by and f for by, f in zip(begin, fixed, strict=True)):
            assert shared(layout, begin) == shared(layout)


@pytest.mark.parametrize(
    ("text", "free"),
    [
        ("i, j -> 2 * i + j, j // 2", [True, True]),
        ("i, j -> i, 6 - j", [True, False]),
        ("i, j -> i, (6 - j) % 7", [True, True]),
        ("i, j -> i // 2 - j, j", [False, False]),
    ],
)
def test_storage_grows_where_places_are_counted_upwards(text, free):
    assert grows(layout_of(text)) == free


@pytest.mark.parametrize(
    ("extents", "known"),
    [
        ((3, 4), [True, True]),
        ((4, 4), [False, True]),
        ((3, 5), [True, False]),
        ((1, 4), [True] * 2),
    ],
)
def test_among_few_elements_a_ring_tells_more(extents, known):
    layout = layout_of("i, j -> i % 3, j % 4")
    reach = dict(zip(layout.inputs, extents, strict=True))
    assert told(layout, reach.get) == known


def test_storage_of_every_fourth_element_begins_where_places_were_counted_from():
    A = td.placeholder((48,), "float32", name="A")
    B = td.compute((48,), lambda i: A[i] * 2.0, name="B")
    r = td.reduce_axis(2, name="r")
    C = td.compute((10,), lambda i: td.sum(B[4 * i + 3 + r], axis=r), name="C")
    s = td.Schedule(td.func("f", [A], [C]), TARGET)
    s.compute_at("B", "C.r")
    s.transform_layout("B", "i -> i // 4")
    s.store_at("B", "C.i")
    s.fission("C.r", "B")  # elements 3 and 4 are kept together from here on
    check_every_pass(s.program, {})
