"""Storage that checks itself, and the shadow memory that finds conflicting iterations.

For every element the shadow keeps who wrote it last and who has read it since. A `Path` says
where an access stands: one step per concurrent loop around it. Two accesses are unordered when
their paths part at the same execution of a loop in different iterations, unless a barrier lies
between them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from tdsl.errors import TdslError, Witness
from tdsl.ir.interp_values import Scalar
from tdsl.ir.stmt import Block

Key: TypeAlias = Any  # int (flat) or a tuple of logical indices


@dataclass(frozen=True, slots=True)
class Step:
    """One iteration of one execution of a concurrent loop."""

    loop: int
    iteration: int
    name: str
    in_team: bool  # a work-item of a group: barriers order it


Path: TypeAlias = tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Access:
    """Who touched an element. `instance` marks writes that always write the same value."""

    path: Path
    phase: int
    block: Block | None
    values: tuple[int, ...]
    atomic: bool = False
    instance: object = None


class ConflictError(TdslError, RuntimeError):
    """Two iterations of a concurrent loop touch one element, and one of them writes it.

    `witness` names both; `loop` is the loop that both belong to.
    """

    def __init__(self, witness: Witness, loop: str) -> None:
        super().__init__(f"iterations of {loop!r} conflict: {witness.render()}")
        self.witness = witness
        self.loop = loop


def unordered(a: Access, b: Access) -> Step | None:
    """The step of *a* at which it may run at the same time as *b*, or None."""
    for one, two in zip(a.path, b.path, strict=False):
        if one.loop != two.loop:
            return None
        if one.iteration != two.iteration:
            return None if one.in_team and a.phase != b.phase else one
    return None


@dataclass(slots=True)
class _Element:
    writes: list[Access] = field(default_factory=list)
    reads: list[Access] = field(default_factory=list)


class Shadow:
    """What happened to each element of one copy of a buffer."""

    def __init__(self, name: str, shape: Sequence[int]) -> None:
        self.name = name
        self.shape = tuple(shape)
        self.elements: dict[Key, _Element] = {}

    def read(self, key: Key, access: Access) -> None:
        """Note a read.

        Raises:
            ConflictError: another iteration wrote the element, and this one did not.
        """
        element = self.elements.get(key)
        if element is None:
            element = self.elements[key] = _Element()
        clashing = [w for w in element.writes if self._clash(w, access)]
        if clashing and len(clashing) == len(element.writes):
            raise self._error("RAW", key, clashing[0], access)
        if not element.reads or element.reads[-1].path is not access.path:
            element.reads.append(access)

    def write(self, key: Key, access: Access) -> None:
        """Note a write.

        Raises:
            ConflictError: another iteration wrote something else to the element, or read it.
        """
        element = self.elements.get(key)
        if element is None:
            self.elements[key] = _Element([access])
            return
        same = access.instance is not None and all(
            w.instance == access.instance for w in element.writes
        )
        if same and element.writes:
            # every reader so far found this very value
            if any(not self._clash(w, access) for w in element.writes):
                return
            element.writes.append(access)
            return
        for kind, others in (("WAW", element.writes), ("WAR", element.reads)):
            for other in others:
                if self._clash(other, access):
                    raise self._error(kind, key, other, access)
        element.writes = [access]
        element.reads = []

    @staticmethod
    def _clash(a: Access, b: Access) -> bool:
        return unordered(a, b) is not None and not (a.atomic and b.atomic)

    def _error(self, kind: str, key: Key, first: Access, second: Access) -> ConflictError:
        step = unordered(first, second)
        assert step is not None
        witness = Witness(
            kind,
            self.name,
            self.indices(key),
            _instance(first),
            _instance(second),
            first.block.name if first.block else "store",
            second.block.name if second.block else "store",
        )
        return ConflictError(witness, step.name)

    def indices(self, key: Key) -> tuple[int, ...]:
        """Logical indices of an element."""
        return key if isinstance(key, tuple) else unflatten(key, self.shape)


def _instance(access: Access) -> dict[str, int]:
    if access.block is None:
        return {step.name: step.iteration for step in access.path}
    return {v.name: x for v, x in zip(access.block.vars, access.values, strict=True)}


def unflatten(flat: int, shape: Sequence[int]) -> tuple[int, ...]:
    """Logical indices of a row-major position."""
    found: list[int] = []
    for extent in reversed(shape[1:]):
        flat, rest = divmod(flat, extent) if extent else (flat, 0)
        found.append(rest)
    return (flat, *reversed(found))


@dataclass(slots=True)
class Copy:
    """One copy of an allocated buffer: elements appear when first written."""

    name: str
    shape: tuple[int, ...]
    size: int
    data: dict[Key, Scalar]
    shadow: Shadow | None
