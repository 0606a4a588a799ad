"""Names for printing: every variable and buffer gets one that nothing visible has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from tdsl.ir.expr import Buffer, Var


class Names:
    """What variables and buffers are called in a text, innermost scope first."""

    def __init__(self) -> None:
        self._vars: dict[Var, str] = {}
        self._visible: set[str] = set()
        self._buffers: dict[Buffer, str] = {}
        self._buffer_names: set[str] = set()

    def var(self, v: Var) -> str:
        """The name of a variable; one that was never declared keeps its own, marked with `?`."""
        return self._vars.get(v) or f"{v.name}?"

    def buffer(self, b: Buffer) -> str:
        """The name of a buffer."""
        return self._buffers.get(b) or f"{b.name}?"

    def declare_buffer(self, b: Buffer) -> str:
        """Name a buffer for the rest of the text: no two buffers share a name."""
        name = _unused(b.name, self._buffer_names)
        self._buffers[b] = name
        self._buffer_names.add(name)
        return name

    @contextmanager
    def scope(self, variables: Iterable[Var], hiding: Iterable[Var] = ()) -> Iterator[None]:
        """Name variables for as long as the context lasts; they may reuse the names of *hiding*."""
        saved = self._visible
        self._visible = saved - {self.var(v) for v in hiding}
        added = []
        for v in variables:
            name = _unused(v.name, self._visible)
            self._vars[v] = name
            self._visible.add(name)
            added.append(v)
        try:
            yield
        finally:
            self._visible = saved

    def open(self, v: Var) -> str:
        """Name a variable until the enclosing `scope` ends."""
        name = _unused(v.name, self._visible)
        self._vars[v] = name
        self._visible = self._visible | {name}
        return name


def _unused(name: str, taken: set[str]) -> str:
    if name not in taken:
        return name
    number = 1
    while f"{name}.{number}" in taken:
        number += 1
    return f"{name}.{number}"
