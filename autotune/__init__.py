"""The tuner, imported as ``tdsl.autotune``: search spaces, measurement, and what came out.

Names resolve on first use, so that importing the tuner loads neither xgboost nor LLVM;
`__init__.pyi` lists them.
"""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path

if __name__ != "tdsl.autotune":
    raise ImportError("import tdsl.autotune, not autotune")

_HOME = {
    alias.name: str(node.module)
    for node in ast.parse(Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8")).body
    if isinstance(node, ast.ImportFrom)
    for alias in node.names
}

__all__ = sorted(_HOME)  # noqa: PLE0605 - the stub is the one list of public names


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'tdsl.autotune' has no attribute {name!r}")
    return getattr(import_module(_HOME[name]), name)
