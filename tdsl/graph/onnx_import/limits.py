"""What a model file may contain: it comes from anywhere, so every count and path is checked."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds on a model.

    Attributes: `file_bytes`, `tensor_bytes` (of all constants together), `nodes`, `rank`,
    `value_bytes` (of any one value), `generated` (elements of an array that no file holds, but
    that follows from numbers in it).
    """

    file_bytes: int = 1 << 31
    tensor_bytes: int = 1 << 34
    nodes: int = 100_000
    rank: int = 16
    value_bytes: int = 1 << 34
    generated: int = 1 << 28


DEFAULT = Limits()
