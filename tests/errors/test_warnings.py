"""Warnings stand at the user's line, and each is given once."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

import tdsl as td
from tdsl.cache import CacheWarning, ObjectCache
from tdsl.lower import LoweringWarning


def _too_large() -> td.Schedule:
    """A tensor of 256 KiB on the stack, in each iteration of a loop."""
    A = td.placeholder((1 << 18,), "float32", name="A")
    B = td.compute((1 << 18,), lambda i: A[i] + 1.0, name="B")
    C = td.compute((1 << 18,), lambda i: B[i] * B[i], name="C")
    s = td.Schedule(td.func("squares", [A], [C]))
    outer, _ = s.split("C.i", 1 << 16)
    s.compute_at("B", at=outer)
    s.set_scope("B", "stack")
    return s


def test_a_warning_of_lowering_names_the_line_that_builds() -> None:
    with pytest.warns(LoweringWarning, match="lives on the heap") as caught:
        td.build(_too_large()).source("lowered")
    assert {warning.filename for warning in caught} == {__file__}


def test_a_warning_of_the_cache_names_the_line_that_builds(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.warns(CacheWarning, match="Not a directory") as caught:
        ObjectCache(tmp_path / "file").load("0" * 64)
    assert [warning.filename for warning in caught] == [__file__]


def test_a_warning_is_given_once_for_each_line() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(2):
            td.build(_too_large()).source("lowered")
    assert len(caught) == 1
