"""A whole model: ResNet-18 exported to ONNX, loaded, checked, timed and profiled."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx.reference import ReferenceEvaluator
from rich.console import Console
from tour.resnet18 import STAGES, Stages, export
from tour.timing import milliseconds

import tdsl as td

Array = NDArray[Any]
_LIMIT = 1e-4  # of the largest output
_SHOWN = 8  # kernels of the profile


def check(console: Console, name: str, got: Array, wanted: Array) -> None:
    """Say how far the outputs are from another system's; stop where that is too far."""
    scale = float(np.abs(wanted).max())
    worst = float(np.abs(got - wanted).max()) / scale
    if not worst <= _LIMIT:
        raise SystemExit(f"resnet18: differs from {name} by {worst:.1e} of the largest output")
    console.print(f"equal to {name} within {worst:.0e} of the largest output")


def against_onnxruntime(console: Console, path: Path, images: Array, logits: Array) -> None:
    """Compare results and times, where onnxruntime is installed."""
    try:
        import onnxruntime
    except ImportError:
        console.print("onnxruntime is not installed: not compared with it")
        return
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    feeds = {"images": images}
    check(console, "onnxruntime", logits, session.run(None, feeds)[0])
    taken = milliseconds(lambda: session.run(None, feeds))
    console.print(f"onnxruntime {onnxruntime.__version__}: {taken:.2f} ms")


def show(console: Console, output: Path, size: int = 224, stages: Stages = STAGES) -> None:
    """Export, load, compare with ONNX's reference and with onnxruntime, time and profile."""
    path = export(output / "resnet18.onnx", size=size, stages=stages)
    start = time.perf_counter()
    session = td.Session(path)
    ready = time.perf_counter() - start
    report = session.report
    console.print(f"{path}: loaded and compiled in {ready:.1f} s")
    console.print(str(report).rpartition("\n\n")[2], markup=False)
    images = np.random.default_rng(0).standard_normal((1, 3, size, size), dtype=np.float32)
    feeds = {"images": images}
    logits = session.run(feeds)["logits"]
    check(console, "ONNX's reference", logits, ReferenceEvaluator(str(path)).run(None, feeds)[0])
    against_onnxruntime(console, path, images, logits)
    taken = milliseconds(lambda: session.run(feeds))
    console.print(f"[bold]latency {taken:.2f} ms[/bold], {1e3 / taken:.0f} images a second")
    profile = session.profile(feeds)
    lines = str(profile).splitlines()
    shown = [*lines[: _SHOWN + 1], "       ...", lines[-1]]
    console.print("\n".join(shown), markup=False, soft_wrap=True)
    trace = output / "resnet18.trace.json"
    trace.write_text(profile.chrome_trace(), encoding="utf-8")
    console.print(f"{trace}: the same for chrome://tracing or Perfetto")
