"""What the rule for products chooses where, besides being right."""

import pytest

import tdsl as td
from tests.schedules.test_rules import check, matmul

PAGE = 4096 // 4


def test_small_operands_of_whole_lines_are_read_in_place():
    s = check(matmul(90, 128, 64), "matmul")
    assert "operands in place" in str(s.why)


@pytest.mark.parametrize("n", [100, 130])
def test_rows_that_cross_lines_are_packed(n):
    s = check(matmul(90, n, 64), "matmul")
    assert "B packed" in str(s.why)


def test_rows_that_meet_in_few_sets_are_packed():
    s = check(matmul(90, 512, 24), "matmul")
    assert "B packed" in str(s.why)


@pytest.mark.parametrize("tb", [False, True])
def test_scalars_a_page_apart_are_turned(tb):
    s = check(matmul(PAGE + 5, 520, 40, ta=True, tb=tb, relu=True), "matmul", tolerance=1e-4)
    assert "A turned" in str(s.why)
    near = td.default_schedule(matmul(256, 520, 40, ta=True))
    assert "turned" not in str(near.why)


@pytest.mark.parametrize("n", [10, 20, 100, 129])
def test_narrow_products_are_not_turned_into_convolutions(n):
    check(matmul(300, n, 50), "matmul")
