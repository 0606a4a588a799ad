"""The workloads that the tuner is judged by."""

from pathlib import Path

from tdsl.autotune.tasks import Task
from tdsl.cli.tuning import task_for

FUSED = Path(__file__).with_name("fused.py")

ROWS: dict[str, tuple[str, str | None]] = {
    "gemm_256": ("matmul", "256x256x256"),
    "gemm_1024": ("matmul", "1024x1024x1024"),
    "conv_3x3": ("conv2d", "1x64x56x56x64x3"),
    "depthwise_3x3": ("depthwise_conv2d", "1x32x112x112x3"),
    "softmax": ("softmax", "1024x4096"),
    "fused": (f"{FUSED}:distances", "2048x1024"),
}
JUDGED = ("gemm_1024", "conv_3x3", "depthwise_3x3", "softmax", "fused")


def task_of_row(name: str, threads: int | None) -> Task:
    """The task of a row, as `tdsl tune` would make it."""
    what, sizes = ROWS[name]
    return task_for(what, sizes, target=None, threads=threads)
