"""Switches read from the environment, in one place."""

from __future__ import annotations

import difflib
import os
import warnings
from pathlib import Path

PREFIX = "TDSL_"
SWITCHES = (
    "TDSL_CACHE_DIR",
    "TDSL_DB",
    "TDSL_DEBUG",
    "TDSL_DUMP",
    "TDSL_NUM_THREADS",
    "TDSL_VERIFY",
)
_OTHERS = ("TDSL_PEERS", "TDSL_TUNE_MEMORY")  # between benchmarks, the tuner and their processes


class SwitchWarning(UserWarning):
    """A variable of the environment that looks like a switch of tdsl's and is none."""


def unknown_switches() -> dict[str, str]:
    """Variables that begin as tdsl's do and change nothing, with what was probably meant."""
    own = {name.removeprefix(PREFIX): name for name in SWITCHES}
    found = {}
    for name in sorted(os.environ):
        if name.startswith(PREFIX) and name not in (*SWITCHES, *_OTHERS):
            close = difflib.get_close_matches(name.removeprefix(PREFIX).upper(), own, n=1)
            meant = f"did you mean {own[close[0]]}?" if close else f"it knows {', '.join(SWITCHES)}"
            found[name] = meant
    return found


def warn_of_unknown_switches() -> None:
    """Warn at the line that imports tdsl."""
    for name, meant in unknown_switches().items():
        text = f"{name} is set, which tdsl does not know: {meant}"
        warnings.warn(text, SwitchWarning, stacklevel=3)


def dump_dir() -> Path | None:
    """`TDSL_DUMP=dir`: where each pass writes the IR after it."""
    value = os.environ.get("TDSL_DUMP", "")
    return Path(value) if value else None


def debug_level() -> int:
    """`TDSL_DEBUG=1`: print the time of each pass; 2: also the program, where it changed."""
    value = os.environ.get("TDSL_DEBUG", "0")
    return int(value) if value.isdigit() else 0


def verify() -> bool:
    """`TDSL_VERIFY=1`: run the IR verifier after each pass and each primitive."""
    return os.environ.get("TDSL_VERIFY", "0") not in ("", "0")


def passes_are_watched() -> bool:
    """Whether somebody looks at what passes do: then they run, though their result were cached."""
    return dump_dir() is not None or debug_level() > 0 or verify()
