"""The tuner, imported as ``tdsl.autotune``: search spaces, measurement, and what came out.

Names resolve on first use, so that importing the tuner loads neither xgboost nor LLVM.
"""

from __future__ import annotations

from importlib import import_module

if __name__ != "tdsl.autotune":
    raise ImportError("import tdsl.autotune, not autotune")

_HOME = {
    "KnobError": "knobs",
    "KnobInt": "knobs",
    "Knobs": "knobs",
    "Limits": "measure",
    "Listener": "results",
    "Options": "session",
    "SearchKind": "search",
    "Space": "space",
    "Task": "tasks",
    "TaskResult": "results",
    "Template": "template",
    "task_of": "tasks",
    "template": "template",
    "tune": "tuning",
}

__all__ = sorted(_HOME)  # noqa: PLE0605 - the table above is the one list of names


def __getattr__(name: str) -> object:
    if name not in _HOME:
        raise AttributeError(f"module 'tdsl.autotune' has no attribute {name!r}")
    return getattr(import_module(f"tdsl.autotune.{_HOME[name]}"), name)
