"""The tour: kernels scheduled by hand, a search, another device, a whole model.

Run `make demo`, or `python tutorials/demo.py`, with names of parts to see only those. All results
are checked, all times are of this machine, and files are written to `demo-output/`.
"""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path

from rich.console import Console

PARTS = {
    "photograph": "Scheduled by hand: a matrix product, and two filters on a photograph",
    "tuning": "Tuned: a search for the best schedule of the sharpening filter",
    "opencl": "Another target: the same algorithms, unchanged, on OpenCL",
    "model": "A whole model: ResNet-18 from ONNX",
}
_OUTPUT = Path("demo-output")
_INTERRUPTED = 130


def show(console: Console, name: str) -> None:
    """Run one part, or say which package it misses."""
    try:
        part = importlib.import_module(f"tour.{name}")
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.startswith(("tour", "tdsl")):
            raise
        words = f"skipped: {missing.name} is not installed (pip install 'tdsl[all]')"
        console.print(words, markup=False)
        return
    part.show(console, _OUTPUT)


def main(names: list[str]) -> int:
    """Run the parts named, or all; the exit status."""
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        print(f"there is no part {unknown[0]!r}: choose from {', '.join(PARTS)}", file=sys.stderr)
        return 2
    console = Console(width=None if sys.stdout.isatty() else 100, highlight=False)
    _OUTPUT.mkdir(exist_ok=True)
    began = time.perf_counter()
    try:
        for name in names or PARTS:
            start = time.perf_counter()
            console.print()
            console.rule(f"[bold]{PARTS[name]}", align="left")
            show(console, name)
            console.print(f"[dim]{time.perf_counter() - start:.0f} s[/dim]")
    except KeyboardInterrupt:
        console.print("interrupted", style="bold")
        return _INTERRUPTED
    console.print(f"\nThe tour took {time.perf_counter() - began:.0f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
