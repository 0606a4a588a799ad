"""Kept steps are refused, with the words and the witness that they were refused with before."""

import pytest

from tests.expected.refusals import Refusals, names


@pytest.mark.parametrize("name", names())
def test_refused_steps_are_told_why(name):
    refusals = Refusals(name)
    assert refusals.made() == refusals.kept(), (
        f"if meant: python -m tests.expected --refusals {name}"
    )


def test_nothing_kept_is_a_fault():
    assert names()
    assert not [name for name in names() if "FAULT" in Refusals(name).kept()]
