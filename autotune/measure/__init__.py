"""Measurement: builders and a runner in processes of their own, deadlines, numbers checked."""

from tdsl.autotune.measure.jobs import Job, Limits, Measurer, Result
from tdsl.autotune.measure.local import LocalMeasurer

__all__ = ["Job", "Limits", "LocalMeasurer", "Measurer", "Result"]
