"""Whose values an instance reads: what running shows beyond the numbers that come out.

Equal numbers hide faults. Where a folded place is overwritten by an equal value, or the data drawn
happen to agree, results are right although a read finds what another instance wrote. A schedule is
legal if each instance reads what the instances wrote that its algorithm names, in any order, and
the results are theirs: so every element here carries its version (the instance that wrote it, or
for an accumulator what was added to it), and folded storage is one place for the elements in it.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from unittest.mock import patch

import tdsl as td
from tdsl.analysis.repeat import is_idempotent
from tdsl.fuzzing.differences import Disagreement
from tdsl.ir import interp, interp_memory
from tdsl.ir.expr import Var
from tdsl.ir.interp import CANONICAL, REVERSED, Order, OrderKind
from tdsl.ir.interp_shadow import Access, Key, Shadow, unflatten
from tdsl.ir.stmt import Alloc, Block, Layout, Program, Role
from tdsl.ir.visit import block_reads, leaves, walk
from tdsl.lang.bounds import evaluate
from tests.fuzz.algorithms import Algorithm
from tests.fuzz.oracles import known_sizes, run

_ORDERS = (CANONICAL, REVERSED, Order(OrderKind.INTERLEAVED, 2))
_INITIAL, _LOST = 0, 1  # versions: what an argument held; the place holds another element

Instance = tuple[int, tuple[int, ...]]  # a block by identity, and its iteration vector
Cell = tuple[str, tuple[int, ...]]


@dataclass
class Versions:
    """Versions as numbers, the same in every run that shares this table."""

    numbers: dict[Hashable, int] = field(default_factory=dict)
    forms: list[Hashable] = field(default_factory=lambda: ["initial", "lost"])

    def of(self, form: Hashable) -> int:
        """The number of a version."""
        number = self.numbers.setdefault(form, len(self.forms))
        if number == len(self.forms):
            self.forms.append(form)
        return number

    def updated(self, before: int, block: Block, at: tuple[int, ...]) -> int:
        """What an accumulator holds after one more update, in whichever order they came."""
        form = self.forms[before]
        known: Hashable = None
        if isinstance(form, tuple) and form[0] == ("sum", id(block)):
            _, before, known = form
        if is_idempotent(block):
            done = frozenset([at]) if known is None else known | {at}
        else:
            done = hash(at) if known is None else known + hash(at)
        return self.of((("sum", id(block)), before, done))

    def begun(self, version: int, block: Block) -> int:
        """What an accumulator held before the first of a block's updates that it has."""
        form = self.forms[version]
        if isinstance(form, tuple) and form[0] == ("sum", id(block)):
            begun: int = form[1]
            return begun
        return version


@dataclass
class Trace:
    """One run: the versions that each instance read and wrote, and what is left at the end."""

    versions: Versions
    layouts: dict[str, Layout]
    sizes: dict[Var, int]
    reads: dict[Instance, dict[Cell, set[int]]] = field(default_factory=dict)
    writes: dict[Instance, set[Cell]] = field(default_factory=dict)
    blocks: dict[int, Block] = field(default_factory=dict)  # kept, so that ids stay theirs
    last: dict[str, TracedShadow] = field(default_factory=dict)

    def place(self, name: str, element: tuple[int, ...]) -> tuple[int, ...]:
        """Where an element of a buffer lies."""
        layout = self.layouts.get(name)
        if layout is None:
            return element
        env = self.sizes | dict(zip(layout.inputs, element, strict=True))
        return tuple(evaluate(e, env) for e in layout.outputs)

    def instance(self, access: Access) -> Instance:
        """The instance that makes an access."""
        assert access.block is not None
        self.blocks[id(access.block)] = access.block
        return id(access.block), access.values


class TracedShadow(Shadow):
    """Shadow memory by place that keeps versions too."""

    def __init__(self, trace: Trace, name: str, shape: tuple[int, ...]) -> None:
        super().__init__(name, shape)
        self.trace = trace
        self.cells: dict[tuple[int, ...], tuple[tuple[int, ...], int]] = {}
        trace.last[name] = self

    def version(self, element: tuple[int, ...]) -> int:
        """The version of an element that is in its place."""
        found = self.cells.get(self.trace.place(self.name, element))
        if found is None:
            return _INITIAL
        return found[1] if found[0] == element else _LOST

    def read(self, key: Key, access: Access) -> None:
        element = self.indices(key)
        super().read(self.trace.place(self.name, element), access)
        found = self.trace.reads.setdefault(self.trace.instance(access), {})
        found.setdefault((self.name, element), set()).add(self.version(element))

    def write(self, key: Key, access: Access) -> None:
        element, block = self.indices(key), access.block
        instance = self.trace.instance(access)
        assert block is not None
        super().write(self.trace.place(self.name, element), access)
        self.trace.writes.setdefault(instance, set()).add((self.name, element))
        if _accumulates(block):
            version = self.trace.versions.updated(self.version(element), block, access.values)
        else:
            version = self.trace.versions.of(instance)
        self.cells[self.trace.place(self.name, element)] = element, version

    def indices(self, key: Key) -> tuple[int, ...]:
        if isinstance(key, tuple):
            return key
        return (key,) if len(self.shape) == 1 else unflatten(key, self.shape)


def _accumulates(block: Block) -> bool:
    return block.reducer is not None and bool(block.sources)


@contextmanager
def _traced(trace: Trace) -> Iterator[None]:
    def made(name: str, shape: tuple[int, ...]) -> TracedShadow:
        return TracedShadow(trace, name, shape)

    with patch.object(interp, "Shadow", made), patch.object(interp_memory, "Shadow", made):
        yield


def traced(
    program: Program, algorithm: Algorithm, data: int, versions: Versions, order: Order
) -> Trace:
    """Run a program and keep whose values were read."""
    # what nobody reads is dropped when it is lowered: its elements disturb each other nowhere
    read = {load.buffer for leaf in leaves(program.body) for load in block_reads(leaf.block)}
    layouts = {
        s.buffer.name: s.layout
        for s in walk(program.body)
        if isinstance(s, Alloc) and s.layout is not None and s.buffer in read
    }
    values = known_sizes(algorithm)
    trace = Trace(versions, layouts, {v: values[v.name] for v in program.sizes})
    with _traced(trace):
        run(program, algorithm, algorithm.arrays(data), order, detect=True)
    return trace


def against_algorithm(s: td.Schedule, algorithm: Algorithm, data: int) -> Disagreement | None:
    """Whether instances of the schedule read what the same instances of its algorithm do."""
    versions = Versions()
    wanted = traced(s.algorithm, algorithm, data, versions, CANONICAL)
    for order in _ORDERS:
        try:
            found = traced(s.program, algorithm, data, versions, order)
        except td.TdslError as error:
            return Disagreement("flow", f"{order.kind.value} order: {error.message}")
        wrong = _difference(wanted, found, s.program)
        if wrong:
            return Disagreement("flow", f"{order.kind.value} order: {wrong}")
    return None


def _difference(wanted: Trace, found: Trace, program: Program) -> str | None:
    for instance, reads in found.reads.items():
        known = wanted.reads.get(instance)
        if known is None:
            continue  # beyond the domain: it pads a tail, and what it writes nobody may read
        block = found.blocks[instance[0]]
        own = found.writes.get(instance, set()) if _accumulates(block) else set()
        for cell, versions in reads.items():
            meant = known.get(cell, set())
            if cell in own:  # other updates may have come first
                differs = _begun(found, versions, block) != _begun(found, meant, block)
            else:
                differs = versions != meant
            if differs:
                name, element = cell
                return f"{block.name}{instance[1]} reads another {name}{list(element)}"
    for param in program.params:
        name = param.buffer.name
        if param.role is not Role.IN and wanted.last[name].cells != found.last[name].cells:
            return f"{name} is not what the algorithm leaves in it"
    return None


def _begun(trace: Trace, versions: set[int], block: Block) -> set[int]:
    return {trace.versions.begun(version, block) for version in versions}
