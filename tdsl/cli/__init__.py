"""The `tdsl` command: a thin face over the library."""

from __future__ import annotations

from tdsl.cli.main import main

__all__ = ["main"]
