"""tdsl: a schedule language and compiler for tensor kernels.

Algorithms (what to compute) are declared with `td.placeholder`, `td.compute`, ...; schedules (how
to loop) with `td.Schedule`; `td.build` compiles. Names resolve on first use, so that importing
tdsl loads almost nothing; `__init__.pyi` lists them.

    import tdsl as td
"""

from __future__ import annotations

import ast
import sys
from importlib import import_module
from pathlib import Path
from types import FunctionType

from tdsl.options import warn_of_unknown_switches

if sys.platform != "linux":
    raise ImportError(f"tdsl runs on Linux (x86-64 and aarch64), not on {sys.platform}")

__version__ = "0.1.0"


def _public_names() -> dict[str, str]:
    """The home of each public name, read from the stub so that there is one list of them."""
    stub = ast.parse(Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8"))
    return {
        alias.name: str(node.module)
        for node in stub.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


_HOME = _public_names()

__all__ = sorted(_HOME)  # noqa: PLE0605 - the stub is the one list of public names


# Loaded at once: as soon as anything imports the submodule, the name would stand for the module.
from tdsl.errors import explained  # noqa: E402 - below the comment that is about both
from tdsl.target import target as target  # noqa: E402 - the same

warn_of_unknown_switches()


def __getattr__(name: str) -> object:
    home = _HOME.get(name)
    if home is None:
        here = sys.modules[__name__]  # from which Python proposes close names
        raise AttributeError(f"module 'tdsl' has no attribute {name!r}", name=name, obj=here)
    if home == __name__:
        return import_module(f"{home}.{name}")
    value = getattr(import_module(home), name)
    if isinstance(value, FunctionType):
        value = explained(value)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
