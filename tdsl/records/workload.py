"""Workloads: what a record is about. Names are labels, so they are no part of the key.

A workload is an algorithm, a target, a number of threads, and numbers for its symbolic sizes. Its
*anchor* is the block that does most of the work: algorithms that share it, with an elementwise
epilogue or none, can serve each other's tuned schedules.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum

from tdsl.analysis.cost import flops_of
from tdsl.cache import content_key
from tdsl.codegen.llvm.host import cpu_of
from tdsl.ir.affine import linear
from tdsl.ir.equal import nameless_fingerprint
from tdsl.ir.expr import Buffer, Expr, Var
from tdsl.ir.nest import print_expr
from tdsl.ir.stmt import Block, BlockKind, For, IterKind, Leaf, Param, Program, Role, Stmt
from tdsl.ir.visit import block_reads, leaves, loop_path
from tdsl.lang.func import Func
from tdsl.records.schema import RecordError
from tdsl.target import Target, TargetKind

VOCABULARY = 1  # of schedule primitives: raised when a recorded step would mean something else


class Epilogue(Enum):
    """What follows the anchor block."""

    NONE = "none"
    ELEMENTWISE = "elementwise"
    OTHER = "other"


_EPILOGUES = {kind.value: kind for kind in Epilogue}


@dataclass(frozen=True, slots=True)
class Workload:
    """What is tuned.

    Attributes:
        key: equal for equal algorithms, up to names, on equal machines with as many threads.
        anchor: equal for equal anchor blocks likewise.
        epilogue: what the algorithm does around the anchor.
        name: the function's name, for people.
        target, cpu: the machine as a target string, and its processor or OpenCL device.
        threads: of the measurements.
        sizes: numbers for symbolic sizes.
        shapes: the arguments, for people.
    """

    key: str
    anchor: str
    epilogue: Epilogue
    name: str
    target: str
    cpu: str
    threads: int
    sizes: tuple[tuple[str, int], ...]
    shapes: str

    def json(self) -> dict[str, object]:
        """The workload as JSON data."""
        return {
            "anchor": self.anchor,
            "epilogue": self.epilogue.value,
            "name": self.name,
            "target": self.target,
            "cpu": self.cpu,
            "threads": self.threads,
            "sizes": dict(self.sizes),
            "shapes": self.shapes,
        }

    @staticmethod
    def parse(key: str, data: object) -> Workload:
        """The workload of a key from its JSON data.

        Raises:
            RecordError: the data have another form.
        """
        match data:
            case {
                "anchor": str(anchor),
                "epilogue": str(epilogue),
                "name": str(name),
                "target": str(target),
                "cpu": str(cpu),
                "threads": int(threads),
                "sizes": dict(sizes),
                "shapes": str(shapes),
            } if epilogue in _EPILOGUES and all(isinstance(n, int) for n in sizes.values()):
                numbers = tuple((str(k), int(v)) for k, v in sizes.items())
                kind = _EPILOGUES[epilogue]
                return Workload(key, anchor, kind, name, target, cpu, threads, numbers, shapes)
            case _:
                raise RecordError(f"workload {key[:12]} is damaged")

    def __str__(self) -> str:
        return f"{self.name}({self.shapes}) on {self.cpu} x{self.threads}"


def workload_of(
    func: Func,
    target: Target,
    threads: int,
    sizes: Mapping[str, int] | None = None,
    constants: Collection[str] = (),
) -> Workload:
    """The workload of an algorithm on a machine.

    `sizes` are the numbers that symbolic sizes have when measured; a schedule serves all sizes, but
    it is good for those. `constants` are names of arguments that stay the same from call to call:
    a schedule may have them packed ahead, which is another workload than packing them in each call.

    Raises:
        RecordError: a symbolic size has no number, or no argument has the name of a constant.
    """
    program = func.program
    numbers = _numbers(program, sizes or {})
    _check_names(program, constants)
    cpu = cpu_of(target)[0] if target.kind is TargetKind.LLVM else _device_name(target)
    machine = (target.kind.value, cpu, str(threads), str(VOCABULARY), repr(numbers))
    anchor = anchor_leaf(program)
    alone = _alone(program, anchor)
    own, fixed = _constants(alone, constants), _constants(program, constants)
    return Workload(
        key=content_key("workload", nameless_fingerprint(program), *machine, *fixed),
        anchor=content_key("anchor", nameless_fingerprint(alone), *machine, *own),
        epilogue=_epilogue(program, anchor.block),
        name=func.name,
        target=str(target),
        cpu=cpu,
        threads=threads,
        sizes=numbers,
        shapes=_shapes(program, dict(numbers), constants),
    )


def _device_name(target: Target) -> str:
    """The device that a target stands for here; where there is none, what the target calls it."""
    from tdsl.runtime.devices import DeviceError, device_facts  # an optional back end

    try:
        return device_facts(target.cpu).name
    except DeviceError:
        return target.cpu or target.kind.value


def _check_names(program: Program, constants: Collection[str]) -> None:
    inputs = [param.buffer.name for param in program.params if param.role is Role.IN]
    unknown = [name for name in constants if name not in inputs]
    if unknown:
        raise RecordError(
            f"{program.name} has no input {unknown[0]!r} that could be constant",
            hint=f"its inputs are {', '.join(inputs)}" if inputs else None,
        )


def _constants(program: Program, names: Collection[str]) -> tuple[str, ...]:
    """What constants add to a key: their places among the parameters, nothing without any."""
    places = [n for n, param in enumerate(program.params) if param.buffer.name in names]
    return ("constants", repr(places)) if places else ()


def _numbers(program: Program, sizes: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    names = [size.name for size in program.sizes]
    missing = [name for name in names if name not in sizes]
    if missing:
        raise RecordError(
            f"{program.name} has symbolic sizes {', '.join(names)}, and {missing[0]} has no number",
            hint=f"give {' x '.join(names)}, such as -s {'x'.join(['512'] * len(names))}",
        )
    return tuple((name, int(sizes[name])) for name in names)


def anchor_leaf(program: Program) -> Leaf:
    """The block that does most of the arithmetic; ties go to the first one."""
    return max(leaves(program.body), key=lambda leaf: _work(leaf.block))


def _work(block: Block) -> int:
    instances = 1
    for it in block.iters:
        form = linear(it.extent)
        instances *= form.const if form.is_constant else 1024
    return instances * max(1, flops_of(block))


def _alone(program: Program, leaf: Leaf) -> Program:
    """A program of one block: what it reads comes in, what it writes goes out."""
    block = leaf.block
    written = {write.buffer for write in block.writes}
    read: dict[Buffer, None] = {}
    for load in block_reads(block):
        if load.buffer not in written:
            read[load.buffer] = None
    params = [Param(buffer, Role.IN) for buffer in read]
    params += [Param(write.buffer, Role.OUT) for write in block.writes]
    nest: Stmt = leaf
    for loop in reversed(loop_path(program.body, leaf)):
        nest = For(loop.var, loop.extent, nest)
    return Program("anchor", tuple(params), program.sizes, (), nest)


def _epilogue(program: Program, anchor: Block) -> Epilogue:
    blocks = [leaf.block for leaf in leaves(program.body)]
    others = [block for block in blocks if block is not anchor]
    if not others:
        return Epilogue.NONE
    made = {write.buffer for write in anchor.writes}
    for block in others:
        reads = {load.buffer for load in block_reads(block)}
        if not reads & made or not _is_elementwise(block, made):
            return Epilogue.OTHER
        made |= {write.buffer for write in block.writes}
    return Epilogue.ELEMENTWISE


def _is_elementwise(block: Block, made: set[Buffer]) -> bool:
    """Whether each instance reads what was made at the very place that it writes."""
    if block.kind is not BlockKind.COMPUTE or any(
        it.kind is not IterKind.DATA for it in block.iters
    ):
        return False
    places = {write.indices for write in block.writes}
    return len(places) == 1 and all(
        load.indices in places for load in block_reads(block) if load.buffer in made
    )


def _shapes(program: Program, sizes: Mapping[str, int], constants: Collection[str]) -> str:
    def extent(e: Expr) -> str:
        form = linear(e)
        if all(isinstance(atom, Var) and atom.name in sizes for atom in form.terms):
            total = form.const
            for atom, factor in form.terms.items():
                assert isinstance(atom, Var)
                total += factor * sizes[atom.name]
            return str(total)
        return print_expr(e)

    def described(b: Buffer) -> str:
        word = "const " if b.name in constants else ""
        return f"{b.name}: {word}{b.dtype.short}[{'x'.join(map(extent, b.shape))}]"

    return ", ".join(described(param.buffer) for param in program.params)
