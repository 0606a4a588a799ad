"""Index maps: their text, which of them keep elements apart, and the storage that they need."""

import re

import pytest

import tdsl as td
from tdsl.ir.affine import linear, tidy
from tdsl.ir.build import add, index, mul
from tdsl.scheduling.index_map import MAX_LENGTH, as_index_map
from tdsl.scheduling.layouts import clash, image
from tests.scheduling.algorithms import increment
from tests.scheduling.running import check, scheduled

SAME = [
    "i -> i",
    "i, k -> i // 6, k, i % 6",
    "i, j -> j, i",
    "i, j -> i * 4 + j",
    "i, j -> (i + j) * 4",
    "i, j -> (i - j) * 4",
    "i, j -> (i - j) // 4, (i + j) % 4",
    "i, j, k -> i - (j - k)",
    "i, j, k -> i - j - k",
    "i, j -> i // 4 % 2, (i % 4 + j) // 2",
    "i, j -> i * (j // 2)",
    "i, j -> i // 2 * 2",
    "i -> 7 - i",
    "i -> i, 3",
    " -> ",
]


@pytest.mark.parametrize("text", SAME)
def test_a_map_is_printed_as_it_is_written(text):
    found = as_index_map(text)
    assert str(found) == text
    assert str(as_index_map(str(found))) == text


WRITTEN = {
    "i,k->k , i": "i, k -> k, i",
    "i, k, -> k, i": "i, k -> k, i",
    "i, k -> i % 1, k // 1": "i, k -> 0, k",
    "i -> -i + 8": "i -> 0 - i + 8",
    "i -> (i)": "i -> i",
    "i -> i + (2 * i)": "i -> i + 2 * i",
}


@pytest.mark.parametrize("text", WRITTEN)
def test_a_map_has_one_way_to_be_printed(text):
    assert str(as_index_map(text)) == WRITTEN[text]


FUNCTIONS = {
    "i, j -> j, i": lambda i, j: (j, i),
    "i, j -> j // 4, i, j % 4": lambda i, j: [j // 4, i, j % 4],
    "i -> i * 2 + 1": lambda i: i * 2 + 1,
    "i -> i, 0": lambda i: (i, 0),
    "i -> 5": lambda i: 5,
    "i, j -> i - j": lambda i, j: i - j,
}


@pytest.mark.parametrize("text", FUNCTIONS)
def test_a_function_says_the_same_as_a_text(text):
    assert str(as_index_map(FUNCTIONS[text])) == text


NO_TEXTS = {
    "i, k": "is no index map",
    "i, i -> i": "'i, i' is no list of different names",
    "i, 2 -> i": "'i, 2' is no list of different names",
    "2, 3 -> 0": "'2, 3' is no list of different names",
    "i -> i +": "'i +' does not parse as index expressions",
    "i -> i) + (i": "'i) + (i' is no list of index expressions",
    "i -> k": "'k' is not an index of the map",
    "i -> i // 0": "divides by positive constants only",
    "i -> i % 0": "divides by positive constants only",
    "i -> i // -2": "divides by positive constants only",
    "i -> i % -2": "divides by positive constants only",
    "i, j -> i // j": "divides by positive constants only",
    "i, j -> i % j": "divides by positive constants only",
    "i -> i ** 2": "may not stand in an index map",
    "i -> f(i)": "may not stand in an index map",
    "i -> i / 2": "may not stand in an index map",
    "i -> 1.5": "may not stand in an index map",
    "i -> True": "may not stand in an index map",
    "i -> +i": "may not stand in an index map",
    "i -> ()": "may not stand in an index map",
}


@pytest.mark.parametrize("text", NO_TEXTS)
def test_what_is_no_map_is_refused(text):
    with pytest.raises(td.FormatError, match=re.escape(NO_TEXTS[text])):
        as_index_map(text)


def test_texts_have_a_greatest_length():
    short = "i -> i"
    longest = short + " " * (MAX_LENGTH - len(short))
    assert str(as_index_map(longest)) == short
    with pytest.raises(td.FormatError, match=f"at most {MAX_LENGTH} characters, got 2001"):
        as_index_map(longest + " ")


NO_FUNCTIONS = {
    "a text": (lambda i: "i", "returns index expressions, got 'i'"),
    "nothing": (lambda i: (i, None), "returns index expressions, got None"),
    # no number, as it is none in a text
    "a truth": (lambda i: (i, True), "returns index expressions, got True"),
    "a minimum": (lambda i: td.minimum(i, 3), "may not stand in an index map"),
    "a condition": (lambda i: td.select(i < 3, i, 0), "may not stand in an index map"),
}


@pytest.mark.parametrize("case", NO_FUNCTIONS)
def test_functions_return_index_expressions(case):
    function, reason = NO_FUNCTIONS[case]
    with pytest.raises(td.TypeMismatch, match=reason):
        as_index_map(function)


FUNC = increment("N")
N = FUNC.program.sizes[0]
FAR = 1 << 40  # places that far apart are too many to be numbered one after the other

# a map and a box -> two elements that share a place, "unknown", or None where all are kept apart
BOXES = [
    ("i, j -> j, i", (3, 4), None),
    ("i, j -> i * 4 + j", (3, 4), None),
    ("i, j -> i * 3 + j", (3, 4), "elements [0, 3] and [1, 0] share a place"),
    ("i -> i // 2", (6,), "elements [0] and [1] share a place"),
    ("i -> i // 2, i % 2", (6,), None),
    ("i -> (i + 5) % 6", (6,), None),
    ("i -> (i + 5) % 5", (6,), "elements [0] and [5] share a place"),
    ("i, j -> i, j - 2", (2, 3), None),
    ("i, j -> i, 3 - j", (3, 5), None),
    ("i, j -> i", (3, 1), None),
    ("i, j -> i", (3, 2), "elements [0, 0] and [0, 1] share a place"),
    # 0, 1, 4 and 5, 6, 9: no rule shows that, but there are six of them
    ("i, j -> i * 5 + j * j", (2, 3), None),
    ("i, j -> i * 4 + j * j", (2, 3), "elements [0, 2] and [1, 0] share a place"),
    ("i -> i", (0,), None),
    ("i -> i, 0", (1,), None),
    (f"i, j -> i * {FAR}, j * {FAR}", (3, 3), None),
    (f"i, j -> i * {FAR}, j // 2 * {FAR}", (3, 3), "elements [0, 0] and [0, 1] share a place"),
    (f"i, j, k -> i * {FAR}, j, k * {FAR}", (2, 3, 2), None),
    (f"i, j -> i * {1 << 62}, j", (2, 4), None),
    ("i -> 0", (2,), "elements [0] and [1] share a place"),
    ("i, j -> i, j", (0, 3), None),
    (" -> ", (), None),
    (" -> 0, 2", (), None),
    # of any size: a rule shows it, or finds two elements
    ("i, j -> j, i", (N, 4), None),
    ("i, j -> i * 4 + j", (N, 4), None),
    ("i -> i // 4, i % 4", (N,), None),
    ("i, j -> j", (N, 4), "share a place"),
    ("i -> i // 2", (N,), "share a place"),
    ("i -> i * i", (N,), "it cannot be shown that no two elements share a place"),
    # more elements than are looked at one by one
    ("i, j -> j, i", (300, 300), None),
    ("i, j -> i + j", (300, 300), "share a place"),
]


@pytest.mark.parametrize(("text", "box", "wanted"), BOXES)
def test_which_maps_keep_elements_apart(text, box, wanted):
    extents = tuple(index(n) if isinstance(n, int) else n for n in box)
    found = clash(FUNC.program, as_index_map(text), extents)
    if wanted is None or found is None:
        assert found == wanted
    else:
        assert wanted in found


def test_elements_that_share_a_place_are_told_by_number():
    found = clash(FUNC.program, as_index_map("i, j -> i"), (N, index(4)))
    assert found is not None
    i, j, k, m = map(int, re.findall(r"\d+", found))
    assert i == k  # the same row,
    assert j != m  # and another column of it


IMAGES = [
    ("i, j -> j, i", (3, 4), (4, 3)),
    ("i, j -> i * 4 + j", (3, 4), (12,)),
    ("i -> i // 4, i % 4", (10,), (3, 4)),
    ("i -> 9 - i", (10,), (10,)),
    ("i -> i + 2", (10,), (12,)),  # two places at the start stay empty
    ("i -> i, 5", (10,), (10, 6)),
    (" -> ", (), ()),
    (" -> 0, 2", (), (1, 3)),
    ("i -> i - 1", (10,), None),  # a place before the first
    ("i -> 8 - i", (10,), None),
    ("i, j -> j, i - 1", (10, 3), None),
    ("i, j -> j, i", (N, 4), (4, N)),
    ("i, j -> i * 4 + j", (N, 4), (mul(N, 4),)),
    ("i -> i + 2", (N,), (add(N, 2),)),
    ("i -> 8 - i", (N,), None),  # N may be 10
]


@pytest.mark.parametrize(("text", "box", "wanted"), IMAGES)
def test_the_storage_that_a_map_needs(text, box, wanted):
    extents = tuple(index(n) if isinstance(n, int) else n for n in box)
    shape = image(as_index_map(text), extents)
    assert (shape is None) == (wanted is None)
    if wanted is not None:
        assert [linear(tidy(e)) for e in shape] == [
            linear(index(e) if isinstance(e, int) else e) for e in wanted
        ]


def test_a_single_element_may_be_stored_anywhere():
    a = td.placeholder((4,), "float32", name="A")
    k = td.reduce_axis(4, name="k")
    b = td.compute((), lambda: td.sum(a[k], axis=k), name="B")
    c = td.compute((4,), lambda i: a[i] * b[()], name="C")
    s = scheduled(td.func("f", [a], [c]))
    s.transform_layout("B", "-> 2")
    assert 's.transform_layout("B", " -> 2")' in str(s.trace)
    check(s)
