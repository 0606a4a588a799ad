"""Tests on OpenCL devices are skipped, with the reason, where there is none."""

from __future__ import annotations

import importlib.util

import pytest


def _missing() -> str | None:
    if importlib.util.find_spec("pyopencl") is None:
        return "pyopencl is not installed (pip install 'tdsl[opencl]')"
    from tdsl.runtime.devices import list_devices

    return None if list_devices() else "no OpenCL platform was found"


@pytest.fixture(scope="session")
def opencl():
    """Ask for this where a kernel is run on a device."""
    reason = _missing()
    if reason is not None:
        pytest.skip(reason)
