"""call_extern: loop nests run as C functions that are declared by what they mean."""

import ctypes
import json
import shutil
import subprocess

import numpy as np
import pytest

import tdsl as td
from tdsl.scheduling import load_schedule, replay
from tests.scheduling.algorithms import matmul
from tests.scheduling.running import check, inputs_of, nest, scheduled

CODE = """
void test_tile_4x8(float *out, const float *a, const float *b) {
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 8; j++)
            for (int k = 0; k < 5; k++)
                out[i * 8 + j] = __builtin_fmaf(a[i * 5 + k], b[k * 8 + j], out[i * 8 + j]);
}
void test_wrong_tile(float *out, const float *a, const float *b) {
    test_tile_4x8(out, a, b);
    out[9] += 1;
}
"""


def tile(i=4, j=8, k=5, dtype="float32"):
    a = td.placeholder((i, k), dtype, name="a")
    b = td.placeholder((k, j), dtype, name="b")
    r = td.reduce_axis(k, name="r")
    out = td.compute((i, j), lambda x, y: td.sum(a[x, r] * b[r, y], axis=r), name="out")
    return td.func("tile", [a, b], [out])


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler here")
    folder = tmp_path_factory.mktemp("library")
    (folder / "tile.c").write_text(CODE)
    command = [compiler, "-O1", "-ffp-contract=off", "-shared", "-fPIC", "tile.c", "-o", "tile.so"]
    subprocess.run([*command, "-lm"], cwd=folder, check=True)
    found = ctypes.CDLL(str(folder / "tile.so"))
    td.extern_kernel("test_tile_4x8", tile(), found.test_tile_4x8)
    return found


def tiled(m=8, n=16, k=10):
    """A product in tiles of 4 x 8 x 5, with operands packed so that tiles lie in one piece."""
    s = scheduled(matmul(m, n, k), "llvm")
    s.cache_read("C", "A")
    s.cache_read("C", "B")
    s.cache_write("C", "global")
    s.transform_layout("A.C", "i, k -> i // 4, k // 5, i % 4, k % 5")
    s.transform_layout("B.C", "k, j -> j // 8, k // 5, k % 5, j % 8")
    s.transform_layout("C.cache", "i, j -> i // 4, j // 8, i % 4, j % 8")
    io, jo, ii, ji = s.tile("C.i", "C.j", 4, 8)
    ko, ki = s.split("C.k", 5)
    s.reorder(io, jo, ko, ii, ji, ki)
    return s, io, ii


@pytest.mark.parametrize("rows", [4, 8])
def test_one_call_may_do_all_of_a_reduction(library, rows):
    """What it adds to is set before it, as no loop of the reduction is left around it."""
    s = scheduled(matmul(rows, 8, 5), "llvm")
    _, ii = s.split("C.i", 4)
    s.call_extern(ii, "test_tile_4x8")
    assert nest(s) == (
        f"for io in {rows // 4}:\n"
        "  for ii in unrolled(4):\n"
        "    for j in vectorized(8):\n"
        "      C[io * 4 + ii, j] = 0\n"
        "  for ii in instruction(4):  # test_tile_4x8\n"
        "    for j in instruction(8):\n"
        "      for k in instruction(5):  # reduction\n"
        "        C[io * 4 + ii, j] += A[io * 4 + ii, k] * B[k, j]"
    )
    check(s)
    assert "call void @test_tile_4x8" in td.build(s).source("llvm")


def test_tiles_run_as_a_c_function(library, tmp_path):
    s, io, ii = tiled()
    s.call_extern(ii, "test_tile_4x8")
    s.parallel(io)
    assert s.numerics.value == "exact"
    assert "for ii in instruction(4):  # test_tile_4x8" in nest(s)
    check(s)
    arrays = list(inputs_of(s.func, {}).values())
    kernel = td.build(s)
    assert "call void @test_tile_4x8" in kernel.source("llvm")
    np.testing.assert_array_equal(kernel(*arrays), td.build(td.Schedule(s.func))(*arrays))
    again = scheduled(s.func)
    replay(json.loads(json.dumps(s.trace.json())), again)
    assert nest(again) == nest(s)
    s.save(tmp_path / "f.tdsl", algorithm="f.py:f")
    assert nest(load_schedule(tmp_path / "f.tdsl", s.func)) == nest(s)


def test_refusals(library):
    s, _, ii = tiled(k=15)
    with pytest.raises(td.ScheduleError, match="call_extern maps loops to it"):
        s.tensorize(ii, "test_tile_4x8")
    with pytest.raises(td.ScheduleError, match="tensorize maps loops to it"):
        s.call_extern(ii, "vpdpbusd")
    with pytest.raises(td.ScheduleError, match="there is no instruction 'test_tile'"):
        s.call_extern(ii, "test_tile")
    with pytest.raises(td.ScheduleError, match="other extents"):
        s.call_extern("C.ji", "test_tile_4x8")
    s = scheduled(matmul(8, 16, 10), "llvm")
    io, jo, ii, ji = s.tile("C.i", "C.j", 4, 8)
    ko, ki = s.split("C.k", 5)
    s.reorder(io, jo, ko, ii, ji, ki)
    s.call_extern(ii, "test_tile_4x8")
    with pytest.raises(td.LoweringError, match="in one piece"):
        td.build(s)


def test_a_function_that_does_something_else_is_found_out(library):
    with pytest.raises(td.DeclarationError, match=r"element \[1, 1\] of out becomes"):
        td.extern_kernel("test_wrong_tile", tile(), library.test_wrong_tile)
    with pytest.raises(
        td.DeclarationError, match=r"another (instruction|foreign function) is called"
    ):
        td.extern_kernel("test_tile_4x8", tile(), library.test_tile_4x8, "reassociates")
    with pytest.raises(td.DeclarationError, match="takes a of float16"):
        td.extern_kernel("test_half", tile(dtype="float16"), library.test_tile_4x8)
    with pytest.raises(td.DeclarationError, match="where is it"):
        td.extern_kernel("test_nowhere", tile(), None)
