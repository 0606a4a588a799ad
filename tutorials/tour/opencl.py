"""The same algorithms on an OpenCL device: without a GPU that is PoCL, which runs on the CPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from tour.kernels import SIZE, blur_algorithm, matmul_algorithm
from tour.timing import milliseconds

import tdsl as td
from tdsl.runtime.devices import DeviceKernel, has_devices

Array = NDArray[Any]

PICTURE = (3, 600, 512)  # planes, height, width


def compare(algorithm: td.Func, arguments: list[Array]) -> tuple[str, list[str]]:
    """Build for both, check one against the other, time both; the device, and a row of a table."""
    there, here = td.build(algorithm, "opencl"), td.build(algorithm)
    assert isinstance(there, DeviceKernel)
    got, wanted = there(*arguments), here(*arguments)
    if not np.allclose(got, wanted, rtol=1e-4, atol=1e-4):
        raise SystemExit(f"{algorithm.name}: the device and the CPU differ")
    called = milliseconds(lambda: there(*arguments, out=got))
    ran = 1e3 * sum(event.seconds for event in there.events)
    on_cpu = milliseconds(lambda: here(*arguments, out=wanted))
    bits = "equal bits" if np.array_equal(got, wanted) else "equal within 1e-4"
    row = [algorithm.name, f"{called:.2f} ms", f"{ran:.2f} ms", f"{on_cpu:.2f} ms", bits]
    return str(there.device.facts), row


def show(console: Console, _output: Path) -> None:
    """Run the matrix product and the blur on whichever device `"opencl"` finds."""
    if not has_devices():
        words = "skipped: no OpenCL platform was found (pip install 'tdsl[opencl]' brings PoCL)"
        console.print(words, markup=False)
        return
    rng = np.random.default_rng(0)
    matrices = [rng.standard_normal((SIZE, SIZE), np.float32) for _ in range(2)]
    picture = [rng.random(PICTURE, np.float32)]
    table = Table("kernel", "a call", "of it on the device", "CPU (LLVM)", "checked")
    device = ""
    for algorithm, arguments in ((matmul_algorithm(), matrices), (blur_algorithm(), picture)):
        device, row = compare(algorithm, arguments)
        table.add_row(*row)
    console.print(device, markup=False, soft_wrap=True)
    console.print(table)
