"""What is known of extents: from their form, and from facts that were stated of sizes."""

import pytest

import tdsl as td
from tdsl.ir.build import as_index
from tdsl.scheduling.facts import divides
from tests.scheduling.running import check, nest, scheduled

M, N = td.sizes("M N")

# a number, an extent, what is stated -> whether the number divides the extent for every size
EXTENTS = [
    (1, M, [], True),
    (2, M, [], False),
    (4, 12, [], True),
    (5, 12, [], False),
    (3, 0, [], True),
    # sums need both parts, products one, or a part of the number each
    (4, M * 8 + 12, [], True),
    (4, M * 8 + 10, [], False),
    (4, M * 6 + 12, [], False),
    (4, M * 8 - 4, [], True),
    (4, M * 8 - 2, [], False),
    (12, M * 8, [], False),
    (12, M * 8, ["M % 3 == 0"], True),  # 8 has the 4 of 12, and M the 3
    (8, M * 4, ["M % 2 == 0"], True),
    (8, M * 4, ["N % 2 == 0"], False),
    (4, M * N, ["M % 4 == 0"], True),
    (4, M * N, ["N % 4 == 0"], True),
    (4, M * N, [], False),
    (4, M + N, ["M % 4 == 0"], False),
    (4, M + N, ["N % 4 == 0"], False),
    (4, M + N, ["M % 4 == 0", "N % 4 == 0"], True),
    # what is stated: of this size, that it is a multiple, or what it is
    (4, M, ["M % 4 == 0"], True),
    (4, M, ["M % 12 == 0"], True),
    (4, M, ["M % 6 == 0"], False),
    (4, M, ["M % 4 == 2"], False),
    (2, M, ["N % 4 == 0"], False),
    (2, M, ["M % 3 == 0", "M % 4 == 0"], True),
    (2, M, ["M % 0 == 0"], False),  # holds for no size at all
    (2, M, ["M >= 4"], False),
    (4, M, ["M == 12"], True),
    (4, M, ["N == 12"], False),
    (5, M, ["M == 12"], False),
    (5, M, ["M == 0"], True),
    (4, M, ["M >= 8 and M % 4 == 0"], True),
    (4, M, ["M % 4 == 0 and M >= 8"], True),
    (4, M, ["M % 2 == 0 and M % 4 == 0"], True),
    (4, M, ["M % 4 == 0 and M % 2 == 0"], True),
    (4, M, ["M % 2 == 0 and N % 4 == 0"], False),
    # a quotient of a multiple need not be one
    (4, M // 4, ["M % 4 == 0"], False),
    (4, td.minimum(M, 8), ["M % 4 == 0"], False),
]


def known(facts):
    """Facts as an algorithm over these sizes holds them."""
    a = td.placeholder((M, N), "float32", name="A")
    b = td.compute((M, N), lambda i, j: a[i, j], name="B")
    return td.func("f", [a], [b], assume=facts).program.assume


@pytest.mark.parametrize("row", range(len(EXTENTS)))
def test_whether_a_number_divides_an_extent(row):
    factor, extent, facts, wanted = EXTENTS[row]
    assert divides(factor, as_index(getattr(extent, "expr", extent)), known(facts)) == wanted


@pytest.mark.parametrize(
    ("facts", "guard"),
    [
        ([], True),
        (["M % 4 == 0"], True),
        (["M % 8 == 0"], False),
        (["M % 8 == 0 and M >= 8"], False),
        (["M == 24"], False),
    ],
)
def test_a_split_has_a_tail_unless_it_is_known_to_have_none(facts, guard):
    a = td.placeholder((M,), "float32", name="A")
    b = td.compute((M,), lambda i: a[i] + 1, name="B")
    s = scheduled(td.func("f", [a], [b], assume=facts))
    if guard:
        with pytest.raises(td.ScheduleError, match="not known to be a multiple of 8"):
            s.split("i", 8, tail="exact")
        s.split("i", 8)
        assert "for io in (M + 7) // 8:" in nest(s)
        assert "if io * 8 + ii < M:" in nest(s)
    else:
        s.split("i", 8, tail="exact")
        assert "for io in M // 8:" in nest(s)
        assert "if" not in nest(s)
    check(s, {"M": 24})


def test_a_version_for_some_sizes_knows_what_it_was_made_for():
    a = td.placeholder((M,), "float32", name="A")
    b = td.compute((M,), lambda i: a[i] + 1, name="B")
    s = scheduled(td.func("f", [a], [b]))
    fast, slow = s.specialize("M % 8 == 0")
    s.split(fast, 8, tail="exact")
    with pytest.raises(td.ScheduleError, match="not known to be a multiple of 8"):
        s.split(slow, 8, tail="exact")
    check(s, {"M": 16})
    check(s, {"M": 17})
