"""Values that lie in another one's memory."""

from __future__ import annotations

from collections.abc import Mapping

from tdsl.graph.ir import Value


class Views:
    """For each such value the other one, and how many bytes lie between their starts."""

    def __init__(self, inside: Mapping[Value, tuple[Value, int]]) -> None:
        self._inside = inside

    def root(self, value: Value) -> Value:
        """The value that has the memory."""
        while value in self._inside:
            value = self._inside[value][0]
        return value

    def start(self, value: Value) -> int:
        """Bytes from the start of its root's memory."""
        start = 0
        while value in self._inside:
            value, more = self._inside[value]
            start += more
        return start
