"""Building kernels: the object cache, sources, targets and refusals."""

import dataclasses

import numpy as np
import pytest

import tdsl as td
from tdsl import driver
from tdsl.codegen.llvm.compile import compile_text
from tdsl.codegen.llvm.stages import Stages
from tdsl.errors import LoweringError
from tdsl.runtime.errors import AssumptionError, IndexRangeError
from tdsl.target import CPUS, host, target


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TDSL_CACHE_DIR", str(tmp_path))
    return tmp_path


def scaled(name="scaled", factor=2.0):
    N = td.sizes("N")
    A = td.placeholder((N,), "float32", name="A")
    B = td.compute((N,), lambda i: A[i] * factor + 1.0, name="B")
    return td.func(name, [A], [B])


def test_func_runs_and_its_object_is_cached(own_cache):
    a = np.arange(10, dtype=np.float32)
    driver.build(td.Schedule(scaled()))
    stored = len(list(own_cache.glob("*.tdslobj")))
    kernel = driver.build(td.Schedule(scaled()))
    assert (kernel(a) == a * 2 + 1).all()
    assert len(list(own_cache.glob("*.tdslobj"))) == stored


@pytest.mark.parametrize("level", ["1", "2"])
def test_passes_run_for_whoever_looks_at_them_though_the_object_is_cached(
    monkeypatch, capsys, tmp_path, level
):
    driver.build(td.Schedule(scaled()))
    monkeypatch.setenv("TDSL_DEBUG", level)
    monkeypatch.setenv("TDSL_DUMP", str(tmp_path / "dumps"))
    driver.build(td.Schedule(scaled()))
    shown = capsys.readouterr().out
    assert " ms" in shown
    assert ("B[i] = fma(A[i], 2, 1)" in shown) is (level == "2")
    assert (tmp_path / "dumps" / "scaled" / "00-scheduled.tdsl").exists()


def test_another_schedule_is_another_object():
    s = td.Schedule(scaled())
    first = driver.build(s)
    s.split("i", 8)
    second = driver.build(s)
    assert first.digest != second.digest


def test_sources_show_every_stage():
    kernel = driver.build(td.Schedule(scaled()))
    assert "block B" in kernel.source("ir")
    assert "B[i] = fma(A[i], 2, 1)" in kernel.source("lowered")
    assert 'define i32 @"scaled"' in kernel.source("llvm")
    assert "vfmadd" in kernel.source("asm") or "fma" in kernel.source("asm")


def test_sources_are_there_when_the_object_comes_from_the_cache():
    driver.build(td.Schedule(scaled()))
    kernel = driver.build(td.Schedule(scaled()))
    assert 'define i32 @"scaled"' in kernel.source("llvm")


def test_code_for_another_architecture_is_not_run_here():
    with pytest.raises(LoweringError, match="does not run on this machine"):
        driver.build(td.Schedule(scaled()), "llvm -mcpu=apple-m1")


def test_code_for_a_processor_with_more_instructions_is_not_run_here(monkeypatch):
    here = dataclasses.replace(host(), features=("sse4.2", "popcnt"))
    monkeypatch.setattr(driver, "host", lambda: here)
    with pytest.raises(LoweringError, match="which lacks avx2, fma, f16c, bmi2"):
        driver.build(td.Schedule(scaled()), "llvm -mcpu=haswell")


def test_named_processor_gets_its_own_object():
    a = np.arange(40, dtype=np.float32)
    s = td.Schedule(scaled())
    native, old = driver.build(s), driver.build(s, "llvm -mcpu=x86-64-v2")
    assert native.digest != old.digest
    assert (old(a) == a * 2 + 1).all()


def test_index_error_names_the_access_and_its_dimension():
    A = td.placeholder((5, 7), "float32", name="A")
    p = td.placeholder((4,), "int32", name="p")
    B = td.compute((4,), lambda i: A[2, p[i]], name="B")
    kernel = driver.build(td.Schedule(td.func("pick", [A, p], [B])))
    a = np.zeros((5, 7), np.float32)
    kernel(a, np.array([0, 6, 1, 2], np.int32))
    with pytest.raises(IndexRangeError, match=r"index 7 is out of range in A\[2, .*dimension 1"):
        kernel(a, np.array([0, 6, 7, 2], np.int32))


def test_assumption_is_checked_at_the_call():
    N = td.sizes("N")
    A = td.placeholder((N,), "float32", name="A")
    B = td.compute((N,), lambda i: A[i], name="B")
    kernel = driver.build(td.Schedule(td.func("copy", [A], [B], assume=["N % 4 == 0"])))
    assert (kernel(np.ones(8, np.float32)) == 1).all()
    with pytest.raises(AssumptionError, match="N % 4 == 0"):
        kernel(np.ones(7, np.float32))


def test_long_unrolled_sum_compiles():
    A = td.placeholder((200,), "int64", name="A")

    def total(i):
        value = A[0] + i
        for k in range(1, 200):
            value = value + A[k]
        return value

    B = td.compute((2,), total, name="B")
    kernel = driver.build(td.Schedule(td.func("long", [A], [B])))
    a = np.arange(200)
    assert list(kernel(a)) == [a.sum(), a.sum() + 1]


def test_prepacked_argument_is_packed_by_the_kernel_or_beforehand():
    A = td.placeholder((5, 7), "float32", name="A")
    B = td.placeholder((7, 40), "float32", name="B")
    k = td.reduce_axis(7, name="k")
    C = td.compute((5, 40), lambda i, j: td.sum(A[i, k] * B[k, j], axis=k), name="C")
    s = td.Schedule(td.func("packed", [A, B], [C]))
    s.transform_layout("B", "k, j -> j // 16, k, j % 16", prepacked=True)
    kernel = driver.build(s)
    rng = np.random.default_rng(0)
    a, b = (rng.integers(-3, 4, shape).astype(np.float32) for shape in ((5, 7), (7, 40)))
    assert (kernel(a, b) == a @ b).all()
    once = kernel.pack("B", b)
    assert once.array.shape == (3, 7, 16)
    assert not once.array[2, :, 8:].any()
    assert (kernel(a, once) == a @ b).all()


@pytest.mark.parametrize("cpu", CPUS)
def test_every_named_processor_compiles(cpu):
    N = td.sizes("N")
    A = td.placeholder((N,), "float16", name="A")
    B = td.compute((N,), lambda i: td.cast(td.exp(A[i]) * 2.0, "bfloat16"), name="B")
    s = td.Schedule(td.func("mixed", [A], [B]))
    (i,) = s.loops("B")
    _, ii = s.split(i, 1024)
    _, lanes = s.split(ii, 8)
    s.vectorize(lanes)
    s.stream("B")
    machine = target(f"llvm -mcpu={cpu}")
    stages = Stages(s.program, machine)
    assert compile_text(stages.llvm, machine).startswith(b"\x7fELF")
    assert "mixed" in stages.asm
