"""What the command line says to somebody who meets it for the first time, and gets things wrong."""

from __future__ import annotations

import json
import os
import sys
from importlib import metadata
from pathlib import Path

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
