"""The command line as a new user meets it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

KERNELS = """
import tdsl as td

def matmul(M=64, N=64, K=64):
    A = td.placeholder((M, K), name="A")
    B = td.placeholder((K, N), name="B")
    k = td.reduce_axis(K, name="k")
    C = td.compute((M, N), lambda i, j: td.sum(A[i, k] * B[k, j], axis=k), name="C")
    return td.func("matmul", [A, B], [C])

def scheduled():
    s = td.Schedule(matmul())
    s.parallel(s.tile("C.i", "C.j", 8, 16)[0])
    return s

number = 3
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "kernels.py").write_text(KERNELS)
    return tmp_path


def _tdsl(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from tdsl.cli import main; main()", *arguments]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )


def test_show_prints_the_loop_nest(folder: Path) -> None:
    done = _tdsl(folder, "show", "kernels.py:scheduled")
    assert done.returncode == 0, done.stderr
    assert "for io in parallel(8):" in done.stdout
    assert "numerics: exact" in done.stdout


@pytest.mark.parametrize(
    ("flag", "text"),
    [
        ("--ir", "tdsl-ir 1"),
        ("--lowered", "tdsl-ir 1"),
        ("--llvm", "define"),
        ("--asm", ".globl"),
        ("--trace", "s.parallel(io)"),
    ],
)
def test_show_prints_each_stage(folder: Path, flag: str, text: str) -> None:
    done = _tdsl(folder, "show", "kernels.py:scheduled", flag)
    assert done.returncode == 0, done.stderr
    assert text in done.stdout


def test_sizes_reach_the_function(folder: Path) -> None:
    shown = _tdsl(folder, "show", "kernels.py:matmul", "--ir", "-s", "32x16x8").stdout
    assert "A: f32[32, 8], B: f32[8, 16]" in shown


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("kernels.py", "is not FILE.py:NAME"),
        ("nothing.py:f", "there is no file nothing.py"),
        ("kernels.py:missing", "defines no 'missing'"),
        ("kernels.py:number", "is a int, not a Func or a Schedule"),
    ],
)
def test_wrong_names_are_explained_without_a_traceback(
    folder: Path, spec: str, message: str
) -> None:
    done = _tdsl(folder, "show", spec)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert "typer" not in done.stderr


def test_check_proves_a_saved_schedule_and_names_the_broken_line(folder: Path) -> None:
    save = "import kernels; kernels.scheduled().save('matmul.schedule')"
    subprocess.run([sys.executable, "-c", save], cwd=folder, check=True, timeout=120)
    done = _tdsl(folder, "check", "matmul.schedule")
    assert done.returncode == 0, done.stdout + done.stderr
    path = folder / "matmul.schedule"
    path.write_text(path.read_text().replace("s.parallel(io)", 's.parallel("C.k")'))
    done = _tdsl(folder, "check", "matmul.schedule")
    assert done.returncode == 1
    assert "matmul.schedule:7" in done.stdout
    assert "witness [WAW]" in done.stdout


def test_doctor_and_cache_answer(folder: Path) -> None:
    assert "threads" in _tdsl(folder, "doctor").stdout
    assert "MiB" in _tdsl(folder, "cache").stdout
