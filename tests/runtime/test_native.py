"""The loader, the allocator and the conversions that the native runtime supplies."""

import ctypes
import subprocess
import sys
import threading

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from llvmlite import binding

from tdsl.errors import InternalError
from tdsl.runtime.errors import LoadError
from tdsl.runtime.native import elf, layout, loader
from tdsl.runtime.native.compiler import compile_ir

ALLOC = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_int64)(loader.runtime_symbol("tdsl_alloc"))
FREE = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(loader.runtime_symbol("tdsl_free"))


def test_the_struct_layouts_of_this_interpreter_are_the_known_ones():
    assert layout.fast_path_reason() is None


def test_an_object_is_loaded_and_unloaded():
    code = compile_ir("define i32 @answer() {\n  ret i32 42\n}")
    for _ in range(50):
        held = loader.load_object(code, "answer")
        assert ctypes.CFUNCTYPE(ctypes.c_int32)(held["answer"])() == 42


def test_all_objects_share_one_pool():
    text = "declare i32 @tdsl_num_threads()\ndefine ptr @where() {\n  ret ptr @tdsl_num_threads\n}"
    code = compile_ir(text)
    places = set()
    for _ in range(2):
        held = loader.load_object(code, "where")
        places.add(ctypes.CFUNCTYPE(ctypes.c_void_p)(held["where"])())
    assert places == {loader.runtime_symbol("tdsl_num_threads")}


def test_a_missing_symbol_is_named(capfd):
    code = compile_ir(
        "declare i32 @nowhere()\ndefine i32 @f() {\n  %r = call i32 @nowhere()\n  ret i32 %r\n}"
    )
    with pytest.raises(LoadError, match="the object with f refers to nowhere, which nothing"):
        loader.load_object(code, "f")
    held = loader.load_object(
        code, "f", imports={"nowhere": loader.runtime_symbol("tdsl_num_threads")}
    )
    assert ctypes.CFUNCTYPE(ctypes.c_int32)(held["f"])() >= 1
    assert capfd.readouterr().err == ""


def test_damaged_bytes_are_no_object(capfd):
    good = compile_ir("define i32 @f() {\n  ret i32 1\n}")
    for code in (b"", b"garbage", b"\x7fELF" + bytes(60), good[:100], good[: len(good) // 2]):
        with pytest.raises(LoadError, match="the object with f"):
            loader.load_object(code, "f")
    with pytest.raises(LoadError, match="does not link"):
        loader.load_object(good, "g")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("machine", loader.ARCHITECTURES)
def test_the_native_runtime_compiles_for_every_supported_machine(machine, monkeypatch):
    monkeypatch.setattr(loader.platform, "machine", lambda: machine)
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    module = binding.parse_assembly(loader._runtime_text())
    module.verify()
    target = binding.Target.from_triple(f"{machine}-unknown-linux-gnu")
    code = target.create_target_machine(opt=2, reloc="pic").emit_object(module)
    wanted = set(elf.undefined_symbols(code)) - {"_GLOBAL_OFFSET_TABLE_"}
    assert wanted <= {
        "free", "madvise", "memcpy", "memset", "posix_memalign", "pthread_create", "pthread_detach",
        "pthread_sigmask", "sched_yield", "syscall",
    }  # fmt: skip


@pytest.mark.parametrize(("system", "machine"), [("linux", "riscv64"), ("darwin", "x86_64")])
def test_other_platforms_get_a_clear_import_error(system, machine):
    code = f"""
import platform, sys
sys.platform = {system!r}
platform.machine = lambda: {machine!r}
try:
    import tdsl.runtime.kernel
except ImportError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.startswith("tdsl runs")
    assert "Linux" in done.stdout
    assert (system if system != "linux" else machine) in done.stdout


def test_memory_functions_and_extern_symbols_link():
    text = """
declare ptr @memcpy(ptr, ptr, i64)
declare double @cbrt(double)
define double @f(ptr %to, ptr %from) {
  call ptr @memcpy(ptr %to, ptr %from, i64 8)
  %x = load double, ptr %to
  %r = call double @cbrt(double %x)
  ret double %r
}
"""
    held = loader.load_object(compile_ir(text), "f")
    function = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_void_p, ctypes.c_void_p)(held["f"])
    source, target = np.array([27.0]), np.zeros(1)
    assert function(target.ctypes.data, source.ctypes.data) == pytest.approx(3.0)


def test_wrong_ir_is_an_internal_error():
    with pytest.raises(InternalError, match="LLVM rejects"):
        compile_ir("define i32 @f() { ret i64 0 }")


@settings(deadline=None)
@given(st.lists(st.integers(0, 1 << 22), min_size=1, max_size=30))
def test_blocks_are_aligned_and_disjoint(sizes):
    blocks = [(ALLOC(size), size) for size in sizes]
    for number, (block, size) in enumerate(blocks):
        assert block % 64 == 0
        ctypes.memset(block, number, size)
    for number, (block, size) in enumerate(blocks):
        if size:
            assert ctypes.string_at(block, 1)[0] == number
            assert ctypes.string_at(block + size - 1, 1)[0] == number
    for block, _ in blocks:
        FREE(block)


@pytest.mark.parametrize("size", [-1, -(2**63), 2**47, 2**62])
def test_absurd_sizes_get_nothing(size):
    assert ALLOC(size) is None


def test_freeing_nothing_is_allowed():
    FREE(None)


def test_the_allocator_under_threads():
    failures = []

    def work(number):
        for _ in range(300):
            block = ALLOC(1000)
            ctypes.memset(block, number, 1000)
            if set(ctypes.string_at(block, 1000)) != {number}:
                failures.append(number)
            FREE(block)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def converter(source, target, operation):
    """A vectorised conversion by the native runtime's own function (the baseline CPU has none)."""
    text = f"""
define void @convert(ptr %from, ptr %to, i64 %n) {{
entry:
  br label %check
check:
  %i = phi i64 [ 0, %entry ], [ %next, %body ]
  %on = icmp slt i64 %i, %n
  br i1 %on, label %body, label %done
body:
  %a = getelementptr {source[0]}, ptr %from, i64 %i
  %x = load {source[0]}, ptr %a
  %y = {operation} {source[0]} %x to {target[0]}
  %b = getelementptr {target[0]}, ptr %to, i64 %i
  store {target[0]} %y, ptr %b
  %next = add i64 %i, 1
  br label %check
done:
  ret void
}}
"""
    held = loader.load_object(compile_ir(text), "convert")
    kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
    function = kind(held["convert"])

    def convert(values, code=held):  # the default keeps the code loaded
        result = np.empty(values.shape, target[1])
        function(values.ctypes.data, result.ctypes.data, values.size)
        return result

    return convert


HALF = ("half", np.float16)
BFLOAT = ("bfloat", ml_dtypes.bfloat16)
FLOAT = ("float", np.float32)
DOUBLE = ("double", np.float64)


def awkward(dtype):
    """Values at and around every rounding boundary of float16 and bfloat16."""
    rng = np.random.default_rng(0)
    with np.errstate(all="ignore"):
        halves = np.arange(65536, dtype=np.uint16)
        exact = np.concatenate(
            [halves.view(np.float16).astype(dtype), halves.view(BFLOAT[1]).astype(dtype)]
        )
        middle = (exact + np.roll(exact, 1)) / 2
        bits = rng.integers(0, 2**32, 100_000, np.uint32).view(np.float32).astype(dtype)
        values = np.concatenate([exact, middle, np.nextafter(middle, 0), bits])
        values = np.concatenate([values, np.nextafter(values, np.inf).astype(dtype)])
    return values.astype(dtype)


@pytest.mark.parametrize("source", [FLOAT, DOUBLE], ids=["float", "double"])
@pytest.mark.parametrize("target", [HALF, BFLOAT], ids=["half", "bfloat"])
def test_rounding_to_sixteen_bits(source, target):
    values = awkward(source[1])
    got = converter(source, target, "fptrunc")(values)
    with np.errstate(all="ignore"):
        if source is DOUBLE and target is BFLOAT:  # numpy has no direct conversion to compare with
            near = values.astype(np.float32)
            exact = near.astype(np.float64) == values
            values, got = values[exact | np.isnan(values)], got[exact | np.isnan(values)]
        expected = values.astype(target[1])
    same = (got.view(np.uint16) == expected.view(np.uint16)) | (np.isnan(got) & np.isnan(expected))
    assert same.all()


def test_double_to_bfloat16_rounds_once():
    # just above the middle of 1 and its successor; rounding to float first would make it a tie
    value = np.array([1 + 2**-8 + 2**-40, 1 + 2**-8 - 2**-40, -(1 + 2**-8 + 2**-40)])
    got = converter(DOUBLE, BFLOAT, "fptrunc")(value).astype(np.float64)
    np.testing.assert_array_equal(got, [1 + 2**-7, 1, -(1 + 2**-7)])


def test_widening_float16_is_exact():
    halves = np.arange(65536, dtype=np.uint16).view(np.float16)
    got = converter(HALF, FLOAT, "fpext")(halves)
    np.testing.assert_array_equal(got, halves.astype(np.float32))
