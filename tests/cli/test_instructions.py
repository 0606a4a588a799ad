"""Schedule files that name instructions and combinators, from the command line."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

KERNELS = """
import tdsl as td

def matmul(a="uint8", b="int8"):
    A = td.placeholder((8, 64), a, name="A")
    B = td.placeholder((64, 16), b, name="B")
    k = td.reduce_axis(64, name="k")
    C = td.compute(
        (8, 16),
        lambda i, j: td.sum(td.cast(A[i, k], "int32") * td.cast(B[k, j], "int32"), axis=k),
        name="C",
    )
    return td.func("matmul", [A, B], [C])
"""
OWN = """
x, y = td.placeholder((4,), "int8", name="x"), td.placeholder((16, 4), "int8", name="y")
d = td.reduce_axis(4, name="d")
dot = td.compute(
    (16,), lambda j: td.sum(td.cast(x[d], "int32") * td.cast(y[j, d], "int32"), axis=d), name="dot"
)
td.instruction(
    "my_dot4", td.func("dot4", [x, y], [dot]), "llvm.my.dot4",
    ["<16 x i32>", "<64 x i8>", "<64 x i8>"], features=["my-feature"],
)

def signed():
    return matmul("int8", "int8")

def loaded():
    return td.load_schedule("own.tdsl", signed())
"""
SCHEDULE = """tdsl-schedule 1
algorithm kernels.py:%s
fingerprint 0
target llvm

s.cache_read("C", "B")
s.transform_layout("B.C", "k, j -> k // 4, j, k %% 4")
ko, ki = s.split("C.k", 4)
s.reorder(ko, "C.j", ki)
s.tensorize("C.j", "%s")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "kernels.py").write_text(KERNELS + OWN)
    (tmp_path / "shipped.tdsl").write_text(SCHEDULE % ("matmul", "vpdpbusd"))
    (tmp_path / "own.tdsl").write_text(SCHEDULE % ("signed", "my_dot4"))
    (tmp_path / "elsewhere.tdsl").write_text(SCHEDULE % ("matmol", "vpdpbusd"))
    (tmp_path / "unknown.tdsl").write_text(SCHEDULE % ("matmul", "vpdpbusb"))
    return tmp_path


COMMANDS = """
import sys
from tdsl.cli import main

for arguments in (
    "check shipped.tdsl", "check own.tdsl", "check unknown.tdsl", "show kernels.py:loaded",
    "show shipped.tdsl", "build shipped.tdsl --out made", "show shipped.tdsl -s 8",
    "show missing.schedule", "show elsewhere.tdsl",
):
    sys.argv = ["tdsl", *arguments.split()]
    try:
        main()
    except SystemExit as done:
        print("exit", done.code, flush=True)
"""


def test_instructions_are_found(folder: Path) -> None:
    """One process that has declared nothing, as loading the compiler takes longest."""
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS],
        cwd=folder, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    shown = done.stdout + done.stderr
    assert shown.count("ok, 5 steps, exact") == 2, shown
    assert "there is no instruction 'vpdpbusb'" in shown
    assert "my_dot4, vdpbf16ps, vpdpbusd" in shown
    assert [line for line in done.stdout.splitlines() if line.startswith("exit")] == [
        "exit 0", "exit 0", "exit 1", "exit 0", "exit 0", "exit 0", "exit 1", "exit 1", "exit 1",
    ]  # fmt: skip
    assert "for j in instruction(16):  # vpdpbusd" in shown
    assert (folder / "made" / "libmatmul.a").is_file()
    assert "shipped.tdsl is a schedule file and takes no sizes, got 8" in shown
    assert "there is no file missing.schedule" in shown
    assert "kernels.py defines no 'matmol'\n\n  elsewhere.tdsl:2\n" in shown
    assert "did you mean 'matmul'?" in shown
    assert "for j in instruction(16):  # my_dot4" in shown
