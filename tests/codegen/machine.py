"""Run a program of loops and stores through code generation, straight from ir nodes."""

import ctypes

import numpy as np

from tdsl import dtypes
from tdsl.codegen.llvm.compile import compile_text
from tdsl.codegen.llvm.kernel import emit_module
from tdsl.ir.stmt import Role
from tdsl.lower.flatten import flatten_storage
from tdsl.runtime.native.loader import load_object
from tdsl.target import target


class TensorBuffer(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("shape", ctypes.c_void_p),
        ("strides", ctypes.c_void_p),
        ("dtype", ctypes.c_int32),
        ("rank", ctypes.c_int32),
        ("device", ctypes.c_int32),
        ("flags", ctypes.c_int32),
        ("reserved", ctypes.c_int64),
    )


class Context(ctypes.Structure):
    _fields_ = (
        ("version", ctypes.c_int32),
        ("num_threads", ctypes.c_int32),
        ("error_code", ctypes.c_int32),
        ("reserved", ctypes.c_int32),
        ("error_info", ctypes.c_int64 * 4),
    )


def _argument(array, keep):
    rank = array.ndim
    shape = (ctypes.c_int64 * rank)(*array.shape)
    strides = (ctypes.c_int64 * rank)(*(s // array.itemsize for s in array.strides))
    keep += [shape, strides]
    code = dtypes.BY_NAME[array.dtype.name].code
    return TensorBuffer(
        array.ctypes.data, ctypes.addressof(shape), ctypes.addressof(strides), code, rank, 0, 0, 0
    )


def call(address, arrays, sizes=()):
    """Call an ABI v1 function; returns its code and the context."""
    keep = [np.array(size, np.int64) for size in sizes]
    holders = []
    arguments = [_argument(a, holders) for a in (*arrays, *keep)]
    table = (TensorBuffer * len(arguments))(*arguments)
    context = Context(version=1, num_threads=2)
    function = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_int32, ctypes.c_void_p)(
        address
    )
    code = function(ctypes.addressof(table), len(arguments), ctypes.addressof(context))
    return code, context


def build(program, where="llvm", *, flat=False):
    machine = target(where)
    program = program if flat else flatten_storage(program, machine)
    text = emit_module(program, machine, "kernel")
    return load_object(compile_text(text, machine), "kernel"), text


def run_program(program, arrays, sizes=(), where="llvm", *, flat=False):
    """Run a program of loops and stores on arrays by name; outputs are made here.

    `flat`: its accesses have one index already.
    """
    values = dict(arrays)
    bound = dict(zip((s.name for s in program.sizes), sizes, strict=True))
    for param in program.params:
        if param.role is Role.OUT and param.buffer.name not in values:
            shape = [
                bound[e.name] if hasattr(e, "name") else int(e.value) for e in param.buffer.shape
            ]
            values[param.buffer.name] = np.zeros(shape, param.buffer.dtype.numpy)
    loaded, _ = build(program, where, flat=flat)
    ordered = [values[param.buffer.name] for param in program.params]
    code, context = call(loaded["kernel"], ordered, sizes)
    assert code == 0, (code, list(context.error_info))
    return values
