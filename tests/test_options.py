"""Switches of the environment: a misspelt one is told, wherever it would have been read."""

import os
import subprocess
import sys

import pytest

from tdsl.cli.doctor import _switches
from tdsl.options import SWITCHES, unknown_switches


@pytest.fixture
def switches(monkeypatch):
    """Sets variables, where none of tdsl's is set."""
    for name in [name for name in os.environ if name.startswith("TDSL_")]:
        monkeypatch.delenv(name)
    return lambda *names: [monkeypatch.setenv(name, "1") for name in names]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("TDSL_CACHEDIR", "TDSL_CACHE_DIR"),
        ("TDSL_THREADS", "TDSL_NUM_THREADS"),
        ("TDSL_num_threads", "TDSL_NUM_THREADS"),
        ("TDSL_VERIFIED", "TDSL_VERIFY"),
    ],
)
def test_a_misspelt_switch_is_told_with_the_one_that_was_meant(switches, name, meant):
    switches(name, *SWITCHES, "OTHER_CACHEDIR")
    assert unknown_switches() == {name: f"did you mean {meant}?"}


def test_a_switch_that_is_like_none_is_told_with_all_that_there_are(switches):
    switches("TDSL_JOBS")
    assert unknown_switches() == {"TDSL_JOBS": f"it knows {', '.join(SWITCHES)}"}


def test_the_doctor_tells_switches_and_what_is_none(switches):
    assert (_switches().ok, _switches().text) == (True, "none are set (TDSL_*)")
    switches("TDSL_VERIFY", "TDSL_DUMPS")
    found = _switches()
    assert (found.ok, found.text) == (False, "TDSL_DUMPS=1 TDSL_VERIFY=1")
    assert found.hint == "TDSL_DUMPS is none: did you mean TDSL_DUMP?"


def test_the_line_that_imports_tdsl_is_warned(switches, tmp_path):
    switches("TDSL_DEBUGS", "TDSL_DEBUG")
    file = tmp_path / "kernels.py"
    file.write_text("import numpy as np\nimport tdsl as td\nfrom tdsl import errors\n")
    done = subprocess.run(
        [sys.executable, str(file)], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    told = "SwitchWarning: TDSL_DEBUGS is set, which tdsl does not know: did you mean TDSL_DEBUG?"
    assert done.stderr == f"{file}:2: {told}\n  import tdsl as td\n"
