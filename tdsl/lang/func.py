"""`td.func`: close an algorithm over its arguments and results."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

from tdsl.errors import DeclarationError, Span, TypeMismatch, caller_span
from tdsl.ir.expr import Buffer, Checked, Expr, Node, Var
from tdsl.ir.stmt import Alloc, Block, For, Leaf, Param, Program, Role, Seq, Stmt
from tdsl.ir.visit import leaves, map_block, map_children, redirect, transform, walk
from tdsl.lang.assume import check_facts, parse_fact
from tdsl.lang.bounds import check_function
from tdsl.lang.contract import contract
from tdsl.lang.in_place import changed_buffers, check_changes, reads
from tdsl.lang.tensor import Stage, Tensor
from tdsl.lang.value import SizeVar, check_name


class Func:
    """An algorithm: what to compute, and nothing about how.

    Attributes: `name`, `inputs`, `outputs`, `sizes` (variables, in ABI order), `assume`,
    `program` (the canonical, unscheduled loop nest), `span` (where it was declared).
    """

    __slots__ = ("assume", "inputs", "name", "outputs", "program", "sizes", "span", "stages")

    def __init__(
        self, name: str, inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...],
        assume: Sequence[object], *, fp_contract: bool,
    ) -> None:  # fmt: skip
        self.name = name
        self.inputs = inputs
        self.outputs = outputs
        self.span: Span | None = caller_span()
        self.stages = _stages(inputs, outputs)
        check_changes(name, self.stages, outputs)
        self.sizes = _sizes(inputs, outputs, self.stages)
        names = {v.name: cast("Var", v) for v in self.sizes}
        self.assume = tuple(parse_fact(fact, names) for fact in assume)
        check_facts(name, self.assume, self.sizes)
        self._check_names()
        self.program = _program(self, fp_contract=fp_contract)
        for leaf in leaves(self.program.body):
            check_function(leaf.block, self.assume)
            if leaf.block.init is not None:
                check_function(leaf.block.init, self.assume)

    @classmethod
    def of_program(cls, program: Program) -> Func:
        """An algorithm that only its canonical program is known of: to schedule and to build.

        There are no declarations behind it, so `td.reference` does not evaluate it.
        """
        made = cls.__new__(cls)
        made.name, made.program, made.assume = program.name, program, program.assume
        made.sizes = cast("tuple[SizeVar, ...]", program.sizes)
        made.inputs, made.outputs, made.stages, made.span = (), (), (), None
        return made

    def __repr__(self) -> str:
        return f"<func {self.name}({', '.join(t.name for t in self.inputs)})>"

    def _check_names(self) -> None:
        seen: dict[str, Buffer] = {}
        buffers = [t.buffer for t in self.inputs] + [b for s in self.stages for b in s.buffers]
        for buffer in buffers:
            if seen.setdefault(buffer.name, buffer) is not buffer:
                raise DeclarationError(
                    f"two tensors of {self.name} are called {buffer.name!r}",
                    hint="give each its own name=",
                )


def func(
    name: str,
    inputs: Iterable[Tensor] | Tensor,
    outputs: Iterable[Tensor] | Tensor,
    assume: Sequence[object] = (),
    fp_contract: bool = True,
) -> Func:
    """Close an algorithm: the arguments in order, the results in order, facts about sizes.

    With `fp_contract`, floating-point `a * b + c` becomes one fused multiply-add here, so that no
    schedule step can change which products are rounded.

    Args:
        name: of the function, and of the symbol in the object file.
        inputs: placeholders, in the order in which a call passes arrays.
        outputs: tensors, in the order in which a call returns them.
        assume: facts about sizes, such as "M % 16 == 0": checked at each call, used by proofs.
        fp_contract: whether `a * b + c` of floats becomes one operation.

    >>> import tdsl as td
    >>> n = td.sizes("n")
    >>> x = td.placeholder((n,), "float32", name="x")
    >>> y = td.compute((n,), lambda i: x[i] * 2.0 + 1.0, name="y")
    >>> line = td.func("line", [x], [y], assume=["n % 16 == 0"])
    >>> print(td.Schedule(line).nest)
    for i in n:
      y[i] = fma(x[i], 2, 1)

    Raises:
        DeclarationError: a placeholder that is used but not listed, an output that is an argument,
            two tensors or two sizes of one name, an index that may leave its tensor.
    """
    check_name(name, "a function")
    arguments, given = _tensors(name, "inputs", inputs), _tensors(name, "outputs", outputs)
    if isinstance(assume, str):
        raise TypeMismatch("assume= is a list of facts", hint=f"assume=[{assume!r}]")
    if not given:
        raise DeclarationError(f"function {name} has no outputs")
    return Func(name, arguments, given, tuple(assume), fp_contract=fp_contract)


def _tensors(name: str, what: str, given: object) -> tuple[Tensor, ...]:
    listed = (given,) if isinstance(given, Tensor) or not isinstance(given, Iterable) else given
    for x in listed:
        if not isinstance(x, Tensor):
            raise TypeMismatch(
                f"{what}= of {name} are tensors, got {type(x).__name__}",
                hint="td.placeholder declares an argument; arrays are passed when it is called"
                if what == "inputs"
                else "td.compute declares a result",
            )
    return tuple(listed)


def _stages(inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...]) -> tuple[Stage, ...]:
    """Every declaration the outputs need, in declaration order (which is topological)."""
    listed = {t.buffer for t in inputs}
    for tensor in inputs:
        if not tensor.stage.is_placeholder:
            raise DeclarationError(
                f"input {tensor.name} is no placeholder",
                hint="inputs are what a caller passes; what is computed from them is found",
            )
    if len(listed) != len(inputs):
        raise DeclarationError("an input is listed twice")
    for n, tensor in enumerate(outputs):
        if tensor.stage.is_placeholder:
            raise DeclarationError(
                f"output {tensor.name} is an argument", hint="td.compute a copy of it"
            )
        twice = [other for other in outputs[:n] if tensor.buffer is other.buffer]
        if twice and twice[0].stage is not tensor.stage:
            first, second = twice[0].stage.name, tensor.stage.name
            raise DeclarationError(
                f"outputs {first} and {second} are one array, {tensor.name}, that both change",
                hint=f"{second} = td.update({first}, ...) changes it a second time: list it alone",
            )
        if twice:
            raise DeclarationError(f"output {tensor.name} is listed twice")
    found: dict[int, Stage] = {}
    todo = [t.stage for t in outputs]
    while todo:
        stage = todo.pop()
        if stage.order in found or stage.is_placeholder:
            continue
        found[stage.order] = stage
        for buffer in reads(stage):
            origin = buffer.origin
            assert isinstance(origin, Stage)
            if origin.is_placeholder and buffer not in listed:
                raise DeclarationError(
                    f"{stage.name} reads the placeholder {buffer.name}, which is no input",
                    hint=f"add {buffer.name} to inputs=",
                    span=stage.span,
                )
            todo.append(origin)
    return tuple(found[order] for order in sorted(found))


def _sizes(
    inputs: tuple[Tensor, ...], outputs: tuple[Tensor, ...], stages: tuple[Stage, ...]
) -> tuple[SizeVar, ...]:
    roots: list[Node] = [e for t in (*inputs, *outputs) for e in t.buffer.shape]
    roots += [e for s in stages for b in s.buffers for e in b.shape]
    for stage in stages:
        assert stage.nest is not None
        roots += [s.extent for s in walk(stage.nest) if isinstance(s, For)]
        for leaf in leaves(stage.nest):
            block = leaf.block
            roots += [w.value for w in block.writes] + [i for w in block.writes for i in w.indices]
            roots += [] if block.where is None else [block.where]
    found: dict[SizeVar, None] = {}
    for root in roots:
        found.update((n, None) for n in walk(root) if isinstance(n, SizeVar))
    names: dict[str, SizeVar] = {}
    for size in found:
        if names.setdefault(size.name, size) is not size:
            raise DeclarationError(
                f"two sizes are called {size.name!r}", hint="declare it once and share it"
            )
    return tuple(found)


def _program(f: Func, *, fp_contract: bool) -> Program:
    outputs = {t.buffer for t in f.outputs}
    one_array = changed_buffers(f.stages)
    changed = set(one_array.values())
    params = [Param(t.buffer, Role.INOUT if t.buffer in changed else Role.IN) for t in f.inputs]
    params += [Param(t.buffer, Role.OUT) for t in f.outputs if t.buffer not in changed]
    counter = _AccessCounter()
    nests: list[Stmt] = []
    hidden: list[Buffer] = []
    for stage in f.stages:
        assert stage.nest is not None
        nest = _finish(stage.nest, counter, one_array, fp_contract=fp_contract)
        inner = _step_local(stage, outputs)
        nests += _flat(_place_inside(nest, inner) if inner else nest)
        hidden += [b for b in stage.buffers if b not in outputs and b not in inner]
    body: Stmt = nests[0] if len(nests) == 1 else Seq(tuple(nests))
    taken = {p.buffer for p in params}
    for buffer in reversed([b for b in hidden if b not in taken]):
        body = Alloc(buffer, body)
    return Program(f.name, tuple(params), f.sizes, f.assume, body)


def _flat(nest: Stmt) -> tuple[Stmt, ...]:
    return nest.body if isinstance(nest, Seq) else (nest,)


def _step_local(stage: Stage, outputs: set[Buffer]) -> list[Buffer]:
    """Buffers of computes inside a scan's step: no other step ever reads them."""
    return [b for b in stage.buffers if b in stage.step_local and b not in outputs]


def _place_inside(nest: Stmt, buffers: list[Buffer]) -> Stmt:
    assert isinstance(nest, For)
    body = nest.body
    for buffer in reversed(buffers):
        body = Alloc(buffer, body)
    return For(nest.var, nest.extent, body, nest.kind, nest.parts, nest.span)


class _AccessCounter:
    """Numbers data-dependent accesses, so that a run-time error can name one."""

    def __init__(self) -> None:
        self.count = 0

    def number(self, e: Expr) -> Expr:
        def visit(n: Node) -> Node:
            if isinstance(n, Checked):
                self.count += 1
                return Checked(n.index, n.extent, self.count)
            return n

        return cast("Expr", transform(e, visit))


def _finish(
    nest: Stmt, counter: _AccessCounter, one_array: Mapping[Buffer, Buffer], *, fp_contract: bool
) -> Stmt:
    def finish_expr(e: Expr) -> Expr:
        e = counter.number(e)
        return contract(e) if fp_contract else e

    def visit(n: Node) -> Node:
        if isinstance(n, Leaf):
            return Leaf(_finish_block(n.block), n.bindings)
        return map_children(n, visit) if isinstance(n, Stmt) else n

    def _finish_block(block: Block) -> Block:
        if one_array:
            block = redirect(block, lambda x: one_array.get(x.buffer, x.buffer), one_array)
        return map_block(block, finish_expr)

    return cast("Stmt", visit(nest))
