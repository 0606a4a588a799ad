"""The tutorials run, and show what their prose says; likewise each part of the demo."""

from __future__ import annotations

import importlib
import io
import runpy
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

FOLDER = Path(__file__).parent.parent.parent / "tutorials"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that a tutorial writes go to a temporary folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setenv("TDSL_DB", str(tmp_path / "tuning.db"))


def run(name: str, capture: pytest.CaptureFixture[str]) -> str:
    runpy.run_path(str(FOLDER / name), run_name="__main__")
    return capture.readouterr().out


def test_a_first_kernel(capfd: pytest.CaptureFixture[str]) -> None:
    shown = run("01_first_kernel.py", capfd)
    assert "witness [WAW]: total(k=0) and total(k=1) meet at total[]" in shown
    assert "numerics: reassociates" in shown
    assert "index i + 3 of signal[N + 2]" in shown
    assert "has dtype float64, the kernel takes float32" in shown


def test_a_matrix_product(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIZE", "128")
    shown = run("02_matmul.py", capfd)
    measured = [line for line in shown.splitlines() if "GFLOP/s" in line and " exact" in line]
    assert len(measured) == 9
    assert shown.count("witness [WAW]") == 2
    assert "has scope 'register', but the loop 'i' that indexes it is serial" in shown


def test_tuning_ones_own_kernel(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIALS", "1")
    shown = run("03_tuning.py", capfd)
    assert "1 (1 measured now)" in shown
    assert "1 (0 measured now)" in shown
    assert "edges.schedule: ok" in shown
    assert "broken.schedule: FAILED" in shown
    assert "cannot fold_storage" in shown
    assert "0 measured now, 1 in all" in shown
    assert "no tuned schedule is recorded for edges" in shown


def test_running_a_model(capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnx")
    shown = run("04_model.py", capfd)
    assert "2 batch sizes were compiled" in shown
    assert "the model has no input 'image'" in shown
    assert "com.example.Swizzle" in shown
    assert "StringSplit" in shown
    assert "liblayer.a" in shown
    assert "layer(const float *v, float *p)" in shown


@pytest.mark.parametrize(
    ("part", "needs", "options", "words"),
    [
        ("photograph", ("scipy", "matplotlib", "PIL"), {}, "unsharp 7x7"),
        ("tuning", (), {"seconds": 0.0}, "tdsl-schedule 1"),
        ("opencl", (), {}, ""),
        ("model", ("onnx",), {"size": 32, "stages": ((16, 2),)}, "images a second"),
    ],
)
def test_parts_of_the_demo(
    part: str, needs: tuple[str, ...], options: dict[str, object], words: str, tmp_path: Path
) -> None:
    for package in needs:
        pytest.importorskip(package)
    console = Console(file=io.StringIO(), width=100, highlight=False)
    importlib.import_module(f"tour.{part}").show(console, tmp_path, **options)
    assert words in console.file.getvalue()


def test_the_demo_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def missing(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name="onnx")

    demo = runpy.run_path(str(FOLDER / "demo.py"))
    monkeypatch.setattr(importlib, "import_module", missing)
    assert demo["main"](["model"]) == 0
    assert "skipped: onnx is not installed (pip install 'tdsl[all]')" in capfd.readouterr().out
    assert demo["main"](["nonsense"]) == 2
    assert "there is no part 'nonsense'" in capfd.readouterr().err


def test_the_exported_model_is_that_of_the_paper(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    path = importlib.import_module("tour.resnet18").export(tmp_path / "model.onnx", size=32)
    model = onnx.load(path)
    weights = {w.name: int(np.prod(w.dims)) for w in model.graph.initializer}
    convolutions = [n for n in model.graph.node if n.op_type == "Conv"]
    assert len(convolutions) == 20
    running = 2 * 4800  # means and variances are constants of the model, not parameters
    assert sum(weights.values()) - running == 11_689_512


def test_the_readme_links_every_tutorial() -> None:
    readme = (FOLDER.parent / "README.md").read_text(encoding="utf-8")
    for path in FOLDER.glob("[0-9]*.py"):
        assert f"(tutorials/{path.name})" in readme
