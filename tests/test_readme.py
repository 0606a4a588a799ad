"""The README's example prints what the README says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import tdsl as td

README = (Path(__file__).parent.parent / "README.md").read_text()
BLOCKS = re.findall(r"```(python)?\n(.*?)```", README, re.DOTALL)


def _run(capsys: pytest.CaptureFixture[str]) -> tuple[dict[str, object], str]:
    code = next(text for language, text in BLOCKS if language == "python")
    scope: dict[str, object] = {"__name__": "readme"}
    exec(compile(code, "README.md", "exec"), scope)
    return scope, capsys.readouterr().out


def test_example_prints_what_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    _, printed = _run(capsys)
    shown = next(text for language, text in BLOCKS if not language and "numerics:" in text)
    if "vectorized(16)" not in printed:
        pytest.skip("this machine has another vector width than the one in the README")
    assert printed.strip() == shown.strip()


def test_refusal_is_the_one_shown(capsys: pytest.CaptureFixture[str]) -> None:
    scope, _ = _run(capsys)
    s = scope["s"]
    assert isinstance(s, td.Schedule)
    with pytest.raises(td.ScheduleError) as caught:
        s.parallel("C.k")
    shown = next(text for language, text in BLOCKS if not language and "ScheduleError" in text)
    first, witness = shown.splitlines()[0], next(x for x in shown.splitlines() if "witness" in x)
    assert f"ScheduleError: {caught.value}".startswith(first)
    if "jii" in str(caught.value):
        assert witness.strip() in str(caught.value)
