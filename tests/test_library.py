"""Kernels in C programs, which know nothing of Python."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

import tdsl as td
from tdsl.runtime.native.archive import static_library
from tdsl.runtime.native.elf import defined_symbols

COMPILERS = {"cc": "c99", "c++": "c++11"}
STRICT = ("-Wall", "-Wextra", "-Werror", "-pedantic")
LINKED = ("-o", "program", "-L.", "-lmatmul", "-lwave", "-lpthread")

PROGRAM = """
#include <stdio.h>
#include "matmul.h"
#include "wave.h"

static float a[%(M)d * %(K)d], b[%(K)d * %(N)d], c[%(M)d * %(N)d];
static uint16_t halves[%(M)d], waves[%(M)d];

static int read_into(const char *path, void *to, size_t bytes)
{
    FILE *file = fopen(path, "rb");
    size_t got = file ? fread(to, 1, bytes, file) : 0;
    if (file) fclose(file);
    return got == bytes;
}

int main(void)
{
    FILE *out = fopen("out", "wb");
    if (!out || !read_into("a", a, sizeof a) || !read_into("b", b, sizeof b)) return 1;
    if (!read_into("halves", halves, sizeof halves)) return 1;
    if (matmul(a, b, c, %(M)d, %(K)d, %(N)d) != TDSL_OK) return 2;
    if (wave(halves, waves, %(M)d) != TDSL_OK) return 3;
    fwrite(c, 1, sizeof c, out);
    fwrite(waves, 1, sizeof waves, out);
    fclose(out);
    printf("%%d %%d\\n", tdsl_num_threads(), wave(halves, waves, 3) == TDSL_ASSUMPTION_VIOLATED);
    return 0;
}
"""


def matmul() -> td.Schedule:
    M, N, K = td.sizes("M N K")
    A = td.placeholder((M, K), "float32", name="A")
    B = td.placeholder((K, N), "float32", name="B")
    k = td.reduce_axis(K, name="k")
    C = td.compute((M, N), lambda i, j: td.sum(A[i, k] * B[k, j], axis=k), name="C")
    s = td.Schedule(td.func("matmul", [A, B], [C]))
    s.parallel(s.tile("C.i", "C.j", 4, 16)[0])
    return s


def wave() -> td.Func:
    M = td.sizes("M")
    X = td.placeholder((M,), "float16", name="double")  # a keyword of C
    Y = td.compute((M,), lambda i: td.sin(X[i]), name="Y")
    return td.func("wave", [X], [Y], assume=["M % 2 == 0"])


@pytest.mark.parametrize("compiler", COMPILERS)
def test_a_c_program_computes_what_python_does(compiler: str, tmp_path: Path) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"no {compiler} on this machine")
    M, N, K = 34, 50, 40
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((M, K), np.float32), rng.standard_normal((K, N), np.float32)
    halves = rng.standard_normal(M).astype(np.float16)
    for name, array in {"a": a, "b": b, "halves": halves}.items():
        (tmp_path / name).write_bytes(array.tobytes())
    td.export_library(matmul(), tmp_path)
    td.export_library(wave(), tmp_path)
    source = tmp_path / ("program.c" if compiler == "cc" else "program.cpp")
    source.write_text(PROGRAM % {"M": M, "N": N, "K": K})
    subprocess.run(
        [compiler, f"-std={COMPILERS[compiler]}", *STRICT, source.name, *LINKED],
        cwd=tmp_path,
        check=True,
        timeout=120,
    )
    done = subprocess.run(
        ["./program"],
        cwd=tmp_path,
        env={**os.environ, "TDSL_NUM_THREADS": "3"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout == "3 1\n"
    found = (tmp_path / "out").read_bytes()
    wanted = td.build(matmul())(a, b).tobytes() + td.build(wave())(halves).tobytes()
    assert found == wanted


def test_packed_arguments_bring_the_functions_that_pack_them(tmp_path: Path) -> None:
    A = td.placeholder((32, 16), "float32", name="A")
    B = td.compute((32, 16), lambda i, j: A[i, j] * 2.0, name="B")
    s = td.Schedule(td.func("twice", [A], [B]))
    s.transform_layout("A", "i, j -> j, i", prepacked=True)
    library = td.export_library(s, tmp_path, name="two_times")
    assert list(library.signatures) == ["two_times", "two_times_pack_A"]
    text = library.header.read_text()
    assert "static inline int32_t two_times_pack_A(const float *A, " in text
    assert "float32[16][32], read" in text
    assert "libtwo_times.a" in str(library)


def test_code_for_another_architecture(tmp_path: Path) -> None:
    library = td.export_library(matmul(), tmp_path, target="llvm -mcpu=neoverse-n1")
    code = library.object.read_bytes()
    assert struct.unpack_from("<H", code, 18) == (183,)  # EM_AARCH64
    assert defined_symbols(code) == ["matmul_abi"]
    assert "llvm -mcpu=neoverse-n1" in library.header.read_text()


def test_what_cannot_be_a_library_is_refused(tmp_path: Path) -> None:
    with pytest.raises(td.DeclarationError, match="'for' is no name of a C function"):
        td.export_library(wave(), tmp_path, name="for")
    with pytest.raises(td.LoweringError, match="compiled for a processor, not for opencl"):
        td.export_library(wave(), tmp_path, target="opencl")
    assert list(tmp_path.iterdir()) == []


def test_archives_hold_members_with_long_names_and_odd_lengths(tmp_path: Path) -> None:
    code = td.export_library(wave(), tmp_path).object.read_bytes()
    members = {"a_name_longer_than_the_header.o": code, "short.o": code + b"\0"}
    archive = tmp_path / "both.a"
    archive.write_bytes(static_library(members))
    if shutil.which("ar") is None:
        pytest.skip("no ar on this machine")
    listed = subprocess.run(["ar", "t", archive], capture_output=True, text=True, check=True)
    assert listed.stdout.split() == list(members)
    out = subprocess.run(["ar", "p", archive, "short.o"], capture_output=True, check=True).stdout
    assert out == members["short.o"]
