"""What the command line says to somebody who meets it for the first time, and gets things wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from tdsl.cli import main

KERNELS = """
import tdsl as td

M, N = td.sizes("M N")
A = td.placeholder((M, N), "float32", name="A")
B = td.compute((M, N), lambda i, j: A[i, j] * 2.0, name="B")
twice = td.func("twice", [A], [B])

def scheduled(rows=8):
    s = td.Schedule(twice)
    s.split("B.i", rows)
    return s

@td.template(twice)
def space(s, knob):
    s.split("B.i", knob.int("rows", 1, 8))

def crash():
    raise RuntimeError("a bug of the user's own")
"""


class Told:
    """Runs the command in this process, and keeps what it said."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys
        self.status: object = 0
        self.out = self.err = ""

    def __call__(self, *arguments: str) -> Told:
        self._monkeypatch.setattr(sys, "argv", ["tdsl", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
        self.status = left.value.code
        self.out, self.err = self._capsys.readouterr()
        return self


@pytest.fixture
def tdsl(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Told:
    (tmp_path / "kernels.py").write_text(KERNELS)
    (tmp_path / "wrong.py").write_text("def f(:\n")
    (tmp_path / "neighbour.py").write_text("from kernels import twice\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "kernels", raising=False)
    return Told(monkeypatch, capsys)


def test_version(tdsl: Told) -> None:
    assert tdsl("--version").out == f"tdsl {metadata.version('tdsl')}\n"


def test_an_exception_of_the_users_file_is_shown_without_lines_of_others(tdsl: Told) -> None:
    told = tdsl("show", "kernels.py:crash").err
    assert "kernels.py raised an exception" in told
    assert "RuntimeError: a bug of the user's own" in told
    assert told.count("File ") == 1
    told = tdsl("show", "wrong.py:f").err
    assert "SyntaxError" in told
    assert "runpy" not in told


def test_a_file_may_import_what_lies_beside_it(tdsl: Told) -> None:
    assert "B[i, " in tdsl("show", "neighbour.py:twice").out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("show", "kernels.py:scheduled", "-s", "1x2"), "scheduled takes 1 sizes (rows), got 2"),
        (("show", "kernels.py:twice", "-s", "1x2"), "is a Func and takes no sizes, got 1x2"),
        (("check", "nothing.schedule"), "there is no file nothing.schedule"),
        (("check", "kernels.py"), "is no schedule file"),
        (("show", "kernels.py:space"), "is a template"),
        (("tune", "kernels.py"), "'kernels.py' names no algorithm in the file"),
        (("tune", "matmull"), "did you mean matmul"),
        (("run", "nothing.onnx"), "there is no model file nothing.onnx"),
    ],
)
def test_what_is_wrong_is_said_in_words(tdsl: Told, arguments: tuple[str, ...], words: str) -> None:
    told = tdsl(*arguments)
    assert told.status == 1
    assert words in told.out + told.err
    assert "site-packages" not in told.out + told.err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "m.onnx", "--inputs", "nothing.npz"), "there is no file nothing.npz"),
        (("run", "m.onnx", "--inputs", "kernels.py"), "kernels.py holds no arrays"),
        (("run", "m.onnx", "--inputs", "one.npy"), "holds one array without a name"),
        (("run", "m.onnx", "-s", "btch=2"), "no extent of this model is called 'btch'"),
        (("run", "m.onnx", "-s", "batch=x"), "--size takes NAME=N, got 'batch=x'"),
        (("run", "m.onnx", "--outputs", "nowhere/o.npz"), "to write o.npz to"),
        (("bench", "m.onnx", "--trace", "nowhere/t.json"), "to write t.json to"),
    ],
)
def test_files_and_sizes_of_models_that_are_wrong(
    tdsl: Told, arguments: tuple[str, ...], words: str
) -> None:
    onnx = pytest.importorskip("onnx")
    make, kind = onnx.helper.make_tensor_value_info, onnx.TensorProto.FLOAT
    x, y = (make(name, kind, ["batch", 2]) for name in "xy")
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
    onnx.save(onnx.helper.make_model(graph, ir_version=8), "m.onnx")
    np.save("one.npy", np.ones(2))
    told = tdsl(*arguments)
    assert told.status == 1
    assert words in told.err
    assert "Traceback" not in told.err


def test_opencl_c_is_that_of_the_default_schedule_for_devices(tdsl: Told) -> None:
    told = tdsl("show", "kernels.py:twice", "--opencl")
    assert told.status == 0, told.err
    assert "__kernel" in told.out


def test_a_model_without_the_package_onnx_says_how_to_get_it(
    tdsl: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    Path("model.onnx").write_bytes(b"\0")
    assert "pip install 'tdsl[onnx]'" in tdsl("run", "model.onnx").err


def test_an_operator_of_the_library_needs_no_file(tdsl: Told) -> None:
    assert "for " in tdsl("show", "matmul", "-s", "32x16x8").out
    assert "help: did you mean matmul" in tdsl("show", "matmull").err
    assert "matmul takes 3 sizes, M x N x K, got 2" in tdsl("show", "matmul", "-s", "3x4").err


def test_build_writes_what_a_c_program_needs(tdsl: Told) -> None:
    told = tdsl("build", "kernels.py:scheduled", "--out", "made", "--json")
    assert told.status == 0, told.err
    written = json.loads(told.out)
    assert sorted(path.name for path in Path("made").iterdir()) == [
        "libtwice.a",
        "twice.h",
        "twice.o",
    ]
    assert "static inline int32_t twice(" in Path(written["header"]).read_text()
    assert "cc program.c" in tdsl("build", "kernels.py:twice", "--out", "made").out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("kernels.py:twce",), "help: did you mean twice?"),
        (("kernels.py",), "help: it defines twice, scheduled"),
        (("kernels.py:twice", "--out", "kernels.py"), "kernels.py is a file, not a folder"),
        (("kernels.py:twice", "--name", "for"), "'for' is no name of a C function"),
        (("kernels.py:twice", "--target", "opencl"), "compiled for a processor, not for opencl"),
        (("kernels.py:twice", "--target", "znver4"), "did you mean 'llvm -mcpu=znver4'?"),
        (("kernels.py:twice", "--schedule", "no.schedule"), "no schedule file 'no.schedule'"),
        (("kernels.py:scheduled", "--schedule", "tuned"), "goes with a Func"),
    ],
)
def test_what_cannot_be_built(tdsl: Told, arguments: tuple[str, ...], words: str) -> None:
    told = tdsl("build", *arguments)
    assert told.status == 1
    assert words in told.err
    assert not list(Path().glob("*.o"))


def test_the_command_is_a_module_too(tdsl: Told) -> None:
    command = [sys.executable, "-m", "tdsl", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == tdsl("--version").out


def test_doctor_finds_what_is_well(tdsl: Told) -> None:
    found = {finding["name"]: finding for finding in json.loads(tdsl("doctor", "--json").out)}
    assert tdsl.status == 0
    assert all(found[name]["ok"] for name in ("tdsl", "processor", "threads", "kernel"))
    assert "result right" in found["kernel"]["text"]


def test_doctor_tells_of_missing_packages_and_a_cache_that_nobody_should_trust(
    tdsl: Told, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "open to all"
    folder.mkdir()
    os.chmod(folder, 0o777)  # noqa: PTH101 - Path.chmod reads no better here
    monkeypatch.setenv("TDSL_CACHE_DIR", str(folder))
    monkeypatch.setitem(sys.modules, "pyopencl", None)
    with pytest.warns(RuntimeWarning, match="works without its object cache"):
        told = tdsl("doctor").out
    assert tdsl.status == 0
    assert "others may write it (mode 0777)" in told
    assert "pip install 'tdsl[opencl]'" in told
