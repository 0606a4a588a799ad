"""Kept schedules replay, and lowering makes of them what it made before."""

import pytest

from tests.expected.programs import Expected, names


@pytest.mark.parametrize("name", names())
def test_lowered_program_is_the_expected_one(name, tmp_path):
    expected = Expected(name)
    assert expected.made(tmp_path) == expected.kept(), (
        f"if meant: python -m tests.expected --renew {name}"
    )
