"""Symbolic loop nests: what a structure's nest looks like for every knob vector at once."""

from tdsl.autotune.nests.model import NestAccess, NestBlock, NestLoop, SymbolicNest
from tdsl.autotune.nests.watching import NestWatcher

__all__ = ["NestAccess", "NestBlock", "NestLoop", "NestWatcher", "SymbolicNest"]
