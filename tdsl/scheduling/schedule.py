"""`Schedule`: how to loop, apart from what to compute. Every step is proven when it is called."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tdsl.errors import FormatError, UnknownAttribute, close_names, explained
from tdsl.scheduling.core import ScheduleCore
from tdsl.scheduling.file_format import save_schedule
from tdsl.scheduling.loops import Loop
from tdsl.scheduling.moves import Moves, find_moves
from tdsl.scheduling.primitive import PRIMITIVES
from tdsl.scheduling.primitives import (
    alignment,
    caches,
    cases,
    factors,
    fissions,
    inlining,
    jams,
    lifetimes,
    mapping,
    marks,
    orders,
    paddings,
    pieces,
    pipelining,
    placement,
    reductions,
    scans,
    sharing,
    shifts,
    splits,
    storage,
    stores,
    vectors,
)

_OTHER_WORDS = {  # how other schedule languages say it
    "compute_inline": "s.inline(block)",
    "reverse_compute_inline": "s.reverse_inline(block)",
    "compute_root": "what is nobody's part is computed at the root: leave it there",
    "blockize": "s.tensorize takes the loops themselves",
    "get_loops": "s.loops(block)",
    "get_block": "blocks go by their names: s.blocks() lists them",
    "reduce_at": "s.decompose_reduction(block, at=loop)",
    "annotate": "s.parallel, s.unroll, s.vectorize and s.bind mark loops",
    "interleave": "s.unroll_and_jam(loop, factor)",
    "gpu_blocks": 's.bind(loop, "group.x")',
    "gpu_threads": 's.bind(loop, "local.x")',
    "build": "td.build(s)",
    "load": "td.load_schedule(path, func)",
}


class Schedule(ScheduleCore):
    """A schedule of one algorithm for one target.

    Each primitive acts at once and is proven, or is refused and changes nothing. Loops are given
    by handle or by name (`C.i`, or `i` where that is unique), blocks by name.

    Args:
        func: the algorithm.
        target: what it is scheduled for; None: this machine's processor.

    >>> import tdsl as td
    >>> A = td.placeholder((64,), "float32", name="A")
    >>> B = td.compute((64,), lambda i: A[i] + 1.0, name="B")
    >>> s = td.Schedule(td.func("increment", [A], [B]))
    >>> (i,) = s.loops("B")
    >>> s.split(i, 16)
    (<Loop B.io>, <Loop B.ii>)
    >>> print(s.trace)
    s = td.Schedule(increment)
    io, ii = s.split("B.i", 16)
    """

    split = splits.split
    tile = splits.tile
    reorder = orders.reorder
    fuse = orders.fuse
    reverse = shifts.reverse
    shift = shifts.shift
    skew = shifts.skew
    partition = pieces.partition
    fission = fissions.fission
    specialize = cases.specialize
    unroll = marks.unroll
    unroll_and_jam = jams.unroll_and_jam
    parallel = marks.parallel
    bind = marks.bind
    vectorize = vectors.vectorize
    compute_at = placement.compute_at
    reverse_compute_at = placement.reverse_compute_at
    inline = inlining.inline
    reverse_inline = inlining.reverse_inline
    compute_with = jams.compute_with
    store_at = lifetimes.store_at
    hoist_storage = lifetimes.hoist_storage
    fold_storage = lifetimes.fold_storage
    decompose_reduction = reductions.decompose_reduction
    rfactor = factors.rfactor
    split_scan = scans.split_scan
    atomic = stores.atomic
    stream = stores.stream
    prefetch = stores.prefetch
    pipeline = pipelining.pipeline
    double_buffer = pipelining.double_buffer
    tensorize = mapping.tensorize
    call_extern = mapping.call_extern
    set_scope = storage.set_scope
    transform_layout = storage.transform_layout
    align = alignment.align
    cache_read = caches.cache_read
    cache_write = caches.cache_write
    pad_einsum = paddings.pad_einsum
    reuse = sharing.reuse

    if not TYPE_CHECKING:  # a checker knows what there is

        def __getattr__(self, name: str) -> object:
            """Say which primitive was probably meant: called for what there is not.

            Raises:
                UnknownAttribute: always.
            """
            if name.startswith("_") or hasattr(type(self), name):
                raise AttributeError(name)
            known = [*sorted(PRIMITIVES), "loops", "blocks", "moves", "save", "nest", "trace"]
            raise UnknownAttribute(
                f"a schedule has no primitive {name!r}",
                hint=_OTHER_WORDS.get(name) or close_names(name, known),
            )

    def apply(self, name: str, *args: object, **options: object) -> object:
        """Call the primitive *name*; what traces and files are replayed with.

        Raises:
            FormatError: there is no such primitive.
        """
        found = PRIMITIVES.get(name)
        if found is None:
            hint = close_names(name, PRIMITIVES)
            raise FormatError(f"there is no primitive {name!r}", span=self.span(), hint=hint)
        return found.apply(self, *args, **options)

    @explained
    def moves(self, loop: Loop | str, sizes: Mapping[str, int] | None = None) -> Moves:
        """The next steps that could be taken at a loop: which are legal, and why others are not.

        Each is tried, proof included, and nothing changes. `print` shows them as a list, with the
        gain that is predicted for each: a rough forecast of instructions, caches and threads,
        made to rank steps; measure before you believe it.

        Args:
            loop: a handle or a name.
            sizes: numbers for symbolic sizes, for the predictions; 512 for those not given.

        >>> import tdsl as td
        >>> A = td.placeholder((8, 4), "float32", name="A")
        >>> k = td.reduce_axis(4, name="k")
        >>> B = td.compute((8,), lambda i: td.sum(A[i, k], axis=k), name="B")
        >>> s = td.Schedule(td.func("row_sums", [A], [B]))
        >>> moves = s.moves("k")
        >>> "reverse" in [move.primitive for move in moves.legal]
        True
        >>> print(next(move for move in moves.refused if move.primitive == "parallel"))
        no   s.parallel("B.k")  # iterations of k may run at once, but B and B write the same ...

        Raises:
            ScheduleError: there is no such loop.
            TypeMismatch: `sizes` names no size of the algorithm.
        """
        return find_moves(self, self.loop(loop, "list moves"), sizes)

    @explained
    def save(self, path: str | Path, algorithm: str | None = None) -> None:
        """Write the schedule to a file that people can read, edit and check.

        Args:
            path: the file; it is replaced at once or not at all.
            algorithm: where the algorithm is found, if not where it was declared: `FILE.py:NAME`
                relative to the file, or a library operator with its sizes.

        Raises:
            FormatError: the file cannot be written, or is no path.
        """
        save_schedule(self, path, algorithm)

    def __str__(self) -> str:
        lines = [str(self.nest), f"numerics: {self.numerics.value}"]
        lines += [f"unsafe: {step}" for step in self.trace if step.unsafe]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<Schedule of {self.func.name} after {len(self.trace)} steps>"
