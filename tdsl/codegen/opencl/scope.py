"""What code generation knows at a point of a kernel: names of variables and buffers, the lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import Enum

from tdsl.codegen.opencl.functions import Functions
from tdsl.codegen.opencl.names import Names
from tdsl.codegen.opencl.types import Value
from tdsl.dtypes import DType
from tdsl.ir.expr import Buffer, Expr, Var
from tdsl.ir.stmt import For
from tdsl.lower.facts import Facts


class Space(Enum):
    """Where a buffer lives, as OpenCL says it."""

    GLOBAL = "__global"
    LOCAL = "__local"
    PRIVATE = "__private"


@dataclass(frozen=True, slots=True)
class Storage:
    """A buffer in C: its name, where it is, and whether it is one scalar or vector variable.

    Private storage holds values as registers do; other storage holds elements as memory does.
    """

    name: str
    space: Space
    whole: bool = False


@dataclass(slots=True)
class Scope:
    """A kernel being written."""

    functions: Functions
    names: Names
    values: dict[Var, Value] = field(default_factory=dict)
    storage: dict[Buffer, Storage] = field(default_factory=dict)
    dims: Mapping[int, int] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    depth: int = 1
    checks: bool = False
    barriers: int = 0  # written so far
    shares_global: bool = False  # work-items exchange values through global memory
    data: set[Var] = field(default_factory=set)  # integer values that may wrap
    declaring: dict[str, str] = field(default_factory=dict)  # variables to be, with their types
    facts: Facts = field(default_factory=Facts)

    def line(self, text: str) -> None:
        """Write a line at the present depth."""
        self.lines.append("    " * self.depth + text)

    @contextmanager
    def block(self, head: str) -> Iterator[None]:
        """Write a block in braces; names given inside are free again after it."""
        self.line(f"{head} {{")
        names, self.names = self.names, self.names.copy()
        self.depth += 1
        yield
        self.depth -= 1
        self.names = names
        self.line("}")

    @contextmanager
    def given(self, *conds: Expr, loop: For | None = None) -> Iterator[None]:
        """What holds inside a condition or a loop."""
        before = self.facts
        known = before if loop is None else before.inside(loop)
        self.facts = known.given(*conds)
        yield
        self.facts = before

    def let(self, wanted: str, v: Value) -> Value:
        """Give a value a name."""
        name = self.names.fresh(wanted)
        self.line(f"const {v.type} {name} = {v.text};")
        return v.named(name)

    def plain(self, v: Value, wanted: str = "t") -> Value:
        """A value under a name that can be mentioned again and again."""
        return v if v.text.isidentifier() else self.let(wanted, v)

    def feature(self, dtype: DType) -> None:
        """Note what a type asks of the device."""
        if dtype.is_float and dtype.bits == 64:
            self.functions.features.add("fp64")
