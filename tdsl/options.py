"""Switches read from the environment, in one place."""

from __future__ import annotations

import os
from pathlib import Path


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
