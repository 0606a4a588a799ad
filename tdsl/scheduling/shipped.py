"""Instructions and combinators that tdsl ships: declared when a schedule names one that is unknown.

So a schedule file needs no import line for them. Those of a user's own are declared by the file
that holds the algorithm, which is run first.
"""

from __future__ import annotations

import functools
import importlib

from tdsl.scheduling.locations import LIBRARY


@functools.cache
def declare_instructions() -> None:
    """Import the library's module of instructions, once."""
    importlib.import_module(f"{LIBRARY}.instructions")


@functools.cache
def declare_combinators() -> None:
    """Import the library's modules of combinators, once."""
    for name in ("combinators", "dot_products", "stencil_chain"):
        importlib.import_module(f"{LIBRARY}.{name}")
