"""A function body in LLVM IR, written as text from top to bottom."""

from __future__ import annotations


class Body:
    """Lines of a function that leaves for the block `slow` as soon as a requirement fails."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._values = 0
        self._labels = 0
        self.current = "entry"

    def line(self, text: str) -> None:
        """Append an instruction without a result."""
        self._lines.append(f"  {text}")

    def emit(self, text: str) -> str:
        """Append an instruction; return the name of its result."""
        self._values += 1
        name = f"%v{self._values}"
        self._lines.append(f"  {name} = {text}")
        return name

    def label(self) -> str:
        """A fresh block name."""
        self._labels += 1
        return f"b{self._labels}"

    def block(self, label: str) -> None:
        """Start a block."""
        self._lines.append(f"{label}:")
        self.current = label

    def jump(self, label: str) -> None:
        """End the block by going to another."""
        self.line(f"br label %{label}")

    def branch(self, condition: str, yes: str, no: str) -> None:
        """End the block by going one of two ways."""
        self.line(f"br i1 {condition}, label %{yes}, label %{no}")

    def require(self, condition: str) -> None:
        """Go on only where the condition holds."""
        on = self.label()
        self.branch(condition, on, "slow")
        self.block(on)

    def require_equal(self, kind: str, left: str, right: str) -> None:
        """Go on only where two values are equal."""
        self.require(self.emit(f"icmp eq {kind} {left}, {right}"))

    def offset(self, base: str, distance: int) -> str:
        """The address `distance` bytes after `base`."""
        if distance == 0:
            return base
        return self.emit(f"getelementptr i8, ptr {base}, i64 {distance}")

    def render(self) -> str:
        """All lines."""
        return "\n".join(self._lines)
