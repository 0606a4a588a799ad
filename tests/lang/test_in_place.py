"""Arguments that are changed in place: nothing is lost, nothing is read when it is gone."""

from __future__ import annotations

import gc

import numpy as np
import pytest

import tdsl as td

START = np.arange(4, dtype=np.float32)
TENS = np.full(4, 10, np.float32)


def arguments():
    A = td.inout(td.placeholder((4,), "float32", name="A"))
    return A, td.placeholder((4,), "float32", name="x"), td.reduce_axis(4, name="i")


def results(func):
    """What the reference says, what the kernel returns, and the array that it changed."""
    array = START.copy()
    made = td.build(td.Schedule(func))(array, TENS)
    return td.reference(func)(START, TENS), made, array


def added(base, x, i, name="added"):
    return td.update(base, over=i, at=i, value=x[i], op="add", name=name)


def test_an_update_of_an_update_changes_the_array_a_second_time() -> None:
    A, x, i = arguments()
    first = added(A, x, i)
    second = td.update(first, over=i, at=i, value=2, op="mul", name="doubled")
    expected, made, array = results(td.func("f", [A, x], [second]))
    np.testing.assert_array_equal(expected, (START + 10) * 2)
    np.testing.assert_array_equal(made, expected)
    np.testing.assert_array_equal(array, expected)


def test_what_reads_the_new_values_has_them_made_though_they_are_no_output() -> None:
    A, x, i = arguments()
    new = added(A, x, i)
    C = td.compute((4,), lambda j: new[j] * 2.0, name="C")
    func = td.func("f", [A, x], [C])
    assert [p.role.value for p in func.program.params] == ["inout", "in", "out"]
    expected, made, array = results(func)
    np.testing.assert_array_equal(expected, (START + 10) * 2)
    np.testing.assert_array_equal(made, expected)
    np.testing.assert_array_equal(array, START + 10)


def test_scans_and_scalars_and_padding_read_the_new_values() -> None:
    A, x, i = arguments()
    new = added(A, x, i)
    t = td.scan_axis(2, name="t")
    S = td.scan(t, {"s": ((4,), new)}, lambda t, p: {"s": lambda j: p["s"][j] + 1.0}, name="S")["s"]
    P = td.pad(new, 1, 0, name="P")
    func = td.func("f", [A, x], [S, P])
    (scanned, padded), made, _array = results(func)
    np.testing.assert_array_equal(scanned, [START + 11, START + 12])
    np.testing.assert_array_equal(padded, [0, *(START + 10)])
    for one, other in zip(made, (scanned, padded), strict=True):
        np.testing.assert_array_equal(one, other)
    total = td.inout(td.placeholder((), "float32", name="total"))
    summed = td.update(total, over=i, at=(), value=x[i], op="add", name="summed")
    mean = td.compute((), lambda: summed[()] + 1.0, name="mean")
    assert td.reference(td.func("g", [total, x], [mean]))(np.float32(4), TENS) == 45


def test_old_values_are_read_before_the_change() -> None:
    A, x, i = arguments()
    old = td.compute((4,), lambda j: A[j] * 2.0, name="old")
    new = added(A, x, i)
    both = td.compute((4,), lambda j: old[j] + new[j], name="both")
    expected, made, _array = results(td.func("f", [A, x], [both]))
    np.testing.assert_array_equal(expected, 3 * START + 10)
    np.testing.assert_array_equal(made, expected)


def refusal(*arguments) -> td.DeclarationError:
    with pytest.raises(td.DeclarationError) as caught:
        td.func("f", *arguments)
    assert caught.value.span.file == __file__
    return caught.value


def test_a_read_of_what_is_gone_is_refused() -> None:
    A, x, i = arguments()
    new = added(A, x, i)
    late = td.compute((4,), lambda j: A[j] * 2.0, name="late")
    error = refusal([A, x], [new, late])
    assert "late reads A as it was before added" in error.message
    assert error.hint == "read added[...], the new values, or declare late before added"
    assert 'name="late"' in error.span.text


@pytest.mark.parametrize("listed", [1, 2])
def test_two_updates_of_the_same_values_are_refused(listed) -> None:
    A, x, i = arguments()
    one, two = added(A, x, i, "one"), added(A, x, i, "two")
    error = refusal([A, x], [one, two][-listed:])
    assert "two = td.update(one, ...) changes it a second time" in error.hint
    assert ("one is no output of f, and would be lost" in error.message) is (listed == 1)


def test_an_update_that_nobody_has_any_more_is_forgotten() -> None:
    A, x, i = arguments()
    added(A, x, i, "one")
    gc.collect()
    expected, _made, array = results(td.func("f", [A, x], [added(A, x, i, "two")]))
    np.testing.assert_array_equal(array, expected)


def test_an_output_that_is_changed_again_is_refused() -> None:
    A, x, i = arguments()
    one = added(A, x, i, "one")
    two = added(one, x, i, "two")
    C = td.compute((4,), lambda j: two[j], name="C")
    error = refusal([A, x], [one, C])
    assert "output one of f is changed in place again by two" in error.message
    assert "list two in its place" in error.hint


def test_the_old_value_of_the_element_that_is_written_is_there() -> None:
    A, x, i = arguments()
    doubled = td.update(A, over=i, at=i, value=A[i] * x[i], op="set", name="doubled")
    expected, made, array = results(td.func("f", [A, x], [doubled]))
    np.testing.assert_array_equal(expected, START * 10)
    np.testing.assert_array_equal(made, expected)
    np.testing.assert_array_equal(array, expected)


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(
    ("at", "value"),
    [
        (lambda i, j: i, lambda A, i, j: A[3 - i]),
        (lambda i, j: 3 - i, lambda A, i, j: A[i]),
        (lambda i, j: i, lambda A, i, j: A[i]),  # overwritten at j = 0
        (lambda i, j: td.minimum(i, 2), lambda A, i, j: A[td.minimum(i, 2)]),
    ],
    ids=["mirrored", "written mirrored", "written twice", "written by several"],
)
def test_other_old_values_are_gone(at, value, after) -> None:
    A, x, i = arguments()
    base = added(A, x, i) if after else A
    j = td.reduce_axis(2, name="j")
    with pytest.raises(td.DeclarationError, match=r"late changes A in place .* as it was before"):
        td.update(base, over=(i, j), at=at(i, j), value=value(base, i, j), op="set", name="late")
    so_far = td.update(
        base, over=(i, j), at=at(i, j), value=lambda cur: value(cur, i, j), op="set", name="late"
    )
    expected, made, array = results(td.func("f", [A, x], [so_far]))
    np.testing.assert_array_equal(made, expected)
    np.testing.assert_array_equal(array, expected)
