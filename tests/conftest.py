"""What all tests share: how property tests draw, and whether there is an OpenCL device.

Property tests draw the same examples each time; `make fuzz` draws new ones.
"""

from __future__ import annotations

import importlib.util

import pytest
from hypothesis import settings

settings.register_profile("new", deadline=None)
settings.register_profile("same", derandomize=True, deadline=None)
settings.load_profile("same")


def _missing() -> str | None:
    if importlib.util.find_spec("pyopencl") is None:
        return "pyopencl is not installed (pip install 'tdsl[opencl]')"
    from tdsl.runtime.devices import list_devices

    return None if list_devices() else "no OpenCL platform was found"


@pytest.fixture(scope="session")
def opencl():
    """Ask for this where a kernel is run on a device: skipped, with the reason, without one."""
    reason = _missing()
    if reason is not None:
        pytest.skip(reason)
