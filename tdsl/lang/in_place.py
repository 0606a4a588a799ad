"""Arguments that are changed in place: which of their values a declaration reads.

While an algorithm is declared, a buffer of its own stands for the values after each update in
place, so that what is read is known. A function has one array for all of them: it is refused where
a value is wanted that the array does not hold any more.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator, Sequence

from tdsl.errors import DeclarationError
from tdsl.ir.expr import Buffer, Expr, Var
from tdsl.ir.visit import accessed_buffers, loads
from tdsl.lang.tensor import Stage, Tensor


class InPlace(Tensor):
    """The updated value of an inout placeholder: its buffer, but a declaration of its own."""

    __slots__ = ("_stage", "_version")

    def __init__(self, buffer: Buffer, version: Buffer, stage: Stage) -> None:
        super().__init__(buffer)
        self._version = version
        self._stage = stage

    @property
    def stage(self) -> Stage:
        """The update."""
        return self._stage

    @property
    def version(self) -> Buffer:
        """The buffer that stands for the values after the update."""
        return self._version


def change_in_place(base: Tensor, stage: Stage) -> None:
    """Note that the update changes the argument that is, or whose update is, `base`."""
    stage.inout = True
    stage.changes = base.version
    stage.buffers = (base.buffer,)
    base.stage.changed_by.append(weakref.ref(stage))


def check_old_values(
    base: Tensor, name: str, at: Sequence[Expr], read: Sequence[Expr], axes: frozenset[Var]
) -> None:
    """Refuse an update in place that needs old values which it may have overwritten itself.

    The element that a point alone writes is still what it was when the point reads it.

    Raises:
        DeclarationError: `read` holds another element of `base`.
    """
    own = axes <= {i for i in at if isinstance(i, Var)}
    for load in (found for e in read for found in loads(e)):
        if load.buffer is base.version and not (own and load.indices == tuple(at)):
            raise DeclarationError(
                f"{name} changes {base.name} in place and reads an element of it as it was before, "
                f"which an earlier point may have overwritten",
                hint="value=lambda cur: ... and cur[...] in it reads what is written so far; "
                "a placeholder that is not td.inout keeps its old values",
            )


def reads(stage: Stage) -> set[Buffer]:
    """The buffers whose values a declaration needs."""
    assert stage.nest is not None
    found = accessed_buffers(stage.nest)
    return found if stage.changes is None else found | {stage.changes}


def changed_buffers(stages: Sequence[Stage]) -> dict[Buffer, Buffer]:
    """The argument's buffer for each that stands for its values after an update."""
    return {
        buffer: stage.buffers[0]
        for stage in stages
        if stage.changes is not None
        for buffer in reads(stage)
        if buffer.origin is stage
    }


def check_changes(name: str, stages: Sequence[Stage], outputs: Sequence[Tensor]) -> None:
    """Refuse a function that needs values which an update in place has overwritten.

    Raises:
        DeclarationError: two updates of one value, a read after the change, an output that is
            changed again.
    """
    for stage in stages:
        if stage.changes is not None:
            _check_rivals(name, stage, stages)
            _check_readers(stage, stages)
            for output in outputs:
                if output.version is stage.changes:
                    raise DeclarationError(
                        f"output {output.stage.name} of {name} is changed in place again by "
                        f"{stage.name}",
                        hint=f"list {stage.name} in its place: there is one array {output.name}",
                        span=stage.span,
                    )


def _check_rivals(name: str, stage: Stage, stages: Sequence[Stage]) -> None:
    for other in _updates(stage.changes):
        if other is stage:
            continue
        first, second = sorted((stage, other), key=lambda s: s.order)
        array = stage.buffers[0].name
        lost = (
            "" if other in stages else f" ({other.name} is no output of {name}, and would be lost)"
        )
        raise DeclarationError(
            f"{first.name} and {second.name} both change {array} in place, from the same values"
            + lost,
            hint=f"{second.name} = td.update({first.name}, ...) changes it a second time; for "
            f"functions that change it apart, declare a placeholder each",
            span=second.span,
        )


def _updates(changed: Buffer | None) -> Iterator[Stage]:
    """The updates of a value that somebody still has."""
    assert changed is not None
    assert isinstance(changed.origin, Stage)
    for reference in changed.origin.changed_by:
        update = reference()
        if update is not None:
            yield update


def _check_readers(stage: Stage, stages: Sequence[Stage]) -> None:
    for reader in stages:
        if reader.order > stage.order and stage.changes in reads(reader):
            array = stage.buffers[0].name
            raise DeclarationError(
                f"{reader.name} reads {array} as it was before {stage.name}, which is declared "
                f"earlier and changes it in place",
                hint=f"read {stage.name}[...], the new values, or declare {reader.name} before "
                f"{stage.name}",
                span=reader.span,
            )
