"""Docstrings of the public names keep up with what the code says."""

from __future__ import annotations

import inspect
import re

import pytest

import tdsl as td
from tdsl.dtypes import float32, float64
from tdsl.ir.expr import MathFn
from tdsl.lower.maths.bounds import bound


@pytest.mark.parametrize("fn", MathFn)
def test_documented_errors_are_the_measured_ones(fn: MathFn) -> None:
    told = inspect.getdoc(getattr(td, fn.value)) or ""
    figures = [float(text) for text in re.findall(r"(\d+\.\d+)(?= ULP| in float64)", told)]
    single, double = bound(fn, float32), bound(fn, float64)
    expected = [] if not single else [single] if single == double else [single, double]
    assert figures == expected


@pytest.mark.parametrize("name", [n for n in td.__all__ if n.islower()])
def test_every_public_name_is_documented(name: str) -> None:
    value = getattr(td, name)
    if callable(value):
        assert len(inspect.getdoc(value) or "") > 20
