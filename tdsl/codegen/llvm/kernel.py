"""A whole module: the ABI entry that checks and unpacks its arguments, and the kernel's body."""

from __future__ import annotations

from collections.abc import Mapping

from tdsl.codegen.llvm import expressions, statements
from tdsl.codegen.llvm.builder import Builder, Module
from tdsl.codegen.llvm.frame import CONTEXT_ERROR_CODE, CONTEXT_ERROR_INFO, Frame
from tdsl.codegen.llvm.parallel import fence
from tdsl.codegen.llvm.types import Value, literal
from tdsl.ir.expr import Expr, Var
from tdsl.ir.stmt import Param, Program
from tdsl.target import Target

_BUFFER_BYTES = 48  # sizeof(tdsl_buffer)
_STRIDES_OFFSET = 16
_ABI_VERSION = 1


def emit_module(
    program: Program, target: Target, symbol: str, dims: Mapping[int, int] | None = None
) -> str:
    """LLVM IR text of a lowered program.

    Args:
        program: what to write.
        target: the processor it will be compiled for.
        symbol: the exported function.
        dims: the dimension that each checked access indexes, by the access's number.
    """
    module = Module()
    _write_entry(module, program, target, symbol)
    _write_body(module, program, target, symbol, dims or {})
    return module.text(target.triple)


def _variables(program: Program) -> list[Var]:
    """What the body takes besides pointers: the sizes, then the strides of strided parameters."""
    strides = [stride for param in program.params for stride in param.strides]
    return [*program.sizes, *strides]


def _write_body(
    module: Module, program: Program, target: Target, symbol: str, dims: Mapping[int, int]
) -> None:
    variables = _variables(program)
    parameters = ["ptr %context"]
    parameters += [f"ptr noalias %p{k}" for k in range(len(program.params))]
    parameters += [f"i64 %x{k}" for k in range(len(variables))]
    name = f'@"{symbol}.body"'
    b = Builder(module, f"define internal void {name}({', '.join(parameters)}) nounwind noinline")
    f = Frame(
        builder=b,
        target=target,
        context=Value("%context", "ptr"),
        evaluate=expressions.evaluate,
        values={var: Value(f"%x{k}", "i64") for k, var in enumerate(variables)},
        pointers={p.buffer: Value(f"%p{k}", "ptr") for k, p in enumerate(program.params)},
        dims=dims,
    )
    statements.emit(f, program.body)
    fence(f)
    b.effect("ret void")
    b.finish()


def _write_entry(module: Module, program: Program, target: Target, symbol: str) -> None:
    """`i32 symbol(ptr args, i32 n, ptr context)`."""
    b = Builder(module, f'define i32 @"{symbol}"(ptr %args, i32 %n, ptr %context) nounwind')
    f = Frame(b, target, Value("%context", "ptr"), expressions.evaluate)
    count = len(program.params) + len(program.sizes)
    version = b.emit("load i32, ptr %context, align 4", "i32")
    wrong = b.binary(
        "or",
        b.icmp("ne", Value("%n", "i32"), literal(count, "i32")),
        b.icmp("ne", version, literal(_ABI_VERSION, "i32")),
    )
    refuse, fits = b.label("refuse"), b.label("fits")
    b.branch(wrong, refuse, fits, unlikely=True)
    b.start(refuse)
    b.effect("ret i32 4")
    b.start(fits)
    pointers = [_field(b, k, 0) for k in range(len(program.params))]
    for k, size in enumerate(program.sizes):
        where = _field(b, len(program.params) + k, 0)
        f.values[size] = b.emit(f"load i64, {where.typed}, align 8", "i64")
    for k, param in enumerate(program.params):
        _read_strides(f, k, param)
    for number, fact in enumerate(program.assume):
        _check_fact(f, number, fact)
    arguments = [*pointers, *(f.values[var] for var in _variables(program))]
    call = ", ".join(["ptr %context", *(a.typed for a in arguments)])
    b.effect(f'call void @"{symbol}.body"({call})')
    code = b.emit(f"load i32, {f.field_address(CONTEXT_ERROR_CODE).typed}, align 4", "i32")
    b.effect(f"ret {code.typed}")
    b.finish()


def _field(b: Builder, argument: int, offset: int) -> Value:
    """A pointer field of an argument's tdsl_buffer."""
    where = b.address(
        Value("%args", "ptr"), literal(argument * _BUFFER_BYTES + offset, "i64"), "i8"
    )
    return b.emit(f"load ptr, {where.typed}, align 8", "ptr")


def _read_strides(f: Frame, argument: int, param: Param) -> None:
    if not param.strides:
        return
    b = f.builder
    table = _field(b, argument, _STRIDES_OFFSET)
    for axis, stride in enumerate(param.strides):
        where = b.address(table, literal(axis, "i64"), "i64")
        f.values[stride] = b.emit(f"load i64, {where.typed}, align 8", "i64")


def _check_fact(f: Frame, number: int, fact: Expr) -> None:
    b = f.builder
    holds = f.value(fact)
    refuse, after = b.label("refuse"), b.label("holds")
    b.branch(holds, after, refuse)
    b.start(refuse)
    with b.scope():
        info = f.field_address(CONTEXT_ERROR_INFO)
        b.effect(f"store i64 {number}, {info.typed}, align 8")
        b.effect(f"store i32 3, {f.field_address(CONTEXT_ERROR_CODE).typed}, align 4")
    b.effect("ret i32 3")
    b.start(after)
