"""compute_at and reverse_compute_at: make a tensor where it is needed, use it where it is made."""

from __future__ import annotations

from functools import partial

from tdsl.scheduling.arguments import BlockArg, LoopArg
from tdsl.scheduling.edit import Edit
from tdsl.scheduling.loops import Loop
from tdsl.scheduling.placing import place_consumer, place_producer
from tdsl.scheduling.primitive import primitive


@primitive
def compute_at(edit: Edit, block: BlockArg, at: LoopArg, unsafe: bool = False) -> tuple[Loop, ...]:
    """Compute a block inside a loop of its consumer: only what is needed there, just before it.

    The block's own loops are rebuilt, zero-based, over the box that one iteration reads, with a
    condition where the box may leave the tensor; its tensor moves into the loop and is private to
    each iteration. Place a block first and schedule its new loops afterwards.

    Returns:
        The rebuilt loops, outer first.

    >>> import tdsl as td
    >>> A = td.placeholder((66,), "float32", name="A")
    >>> B = td.compute((66,), lambda i: A[i] * A[i], name="B")
    >>> C = td.compute((64,), lambda i: B[i] + B[i + 2], name="C")
    >>> s = td.Schedule(td.func("squares", [A], [C]))
    >>> io, ii = s.split("C.i", 8)
    >>> s.compute_at("B", at=io)
    (<Loop B.i>,)
    >>> print(s.nest)
    for io in 8:
      alloc B: f32[66]
      for i in 10:
        B[io * 8 + i] = A[io * 8 + i] * A[io * 8 + i]
      for ii in 8:
        C[io * 8 + ii] = B[io * 8 + ii] + B[io * 8 + ii + 2]

    Raises:
        ScheduleError: already scheduled ("compute_at first"), an update, read outside the loop
            too, or not all that is read there can be computed there.
    """
    target = edit.leaf(block).block
    body = place_producer(edit, edit.body, target, edit.loop(at).var)
    edit.commit(body, unsafe=unsafe)
    return edit.nest_handles(body, target)


@primitive
def reverse_compute_at(
    edit: Edit, block: BlockArg, at: LoopArg, unsafe: bool = False
) -> tuple[Loop, ...]:
    """Compute a block inside a loop of its producer: on what one iteration made, just after it.

    The block's own loops are rebuilt over the box that one iteration of the loop writes. Tensors
    that are then used inside the loop only become private to each iteration, where that is legal.

    Returns:
        The rebuilt loops, outer first.

    >>> import tdsl as td
    >>> A = td.placeholder((64,), "float32", name="A")
    >>> B = td.compute((64,), lambda i: A[i] * A[i], name="B")
    >>> C = td.compute((64,), lambda i: B[i] + 1.0, name="C")
    >>> s = td.Schedule(td.func("squares", [A], [C]))
    >>> io, ii = s.split("B.i", 8)
    >>> s.reverse_compute_at("C", at=io)
    (<Loop C.i>,)
    >>> print(s.nest)
    for io in 8:
      alloc B: f32[64]
      for ii in 8:
        B[io * 8 + ii] = A[io * 8 + ii] * A[io * 8 + ii]
      for i in 8:
        C[io * 8 + i] = B[io * 8 + i] + 1

    Raises:
        ScheduleError: already scheduled, nothing that it reads is made in the loop, or what it
            reads is not complete there.
    """
    target = edit.leaf(block).block
    inside = edit.loop(at).var

    def attempt(*, private: bool) -> None:
        body = place_consumer(edit, edit.body, target, inside, private=private)
        edit.commit(body, unsafe=unsafe)

    edit.first_accepted([partial(attempt, private=True), partial(attempt, private=False)])
    return edit.nest_handles(edit.outcome.program.body, target)
