"""Devices: finding them, what they refuse, arrays on them, events, cached programs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from dataclasses import replace

import ml_dtypes
import numpy as np
import pytest

import tdsl as td
from tdsl.errors import TdslError
from tdsl.runtime.devices import (
    CapabilityError,
    DeviceArray,
    DeviceError,
    find_device,
    list_devices,
)
from tdsl.runtime.devices.device import pyopencl
from tdsl.runtime.devices.plan import Launch, Plan
from tests.opencl import kernels


def _run(text, **env):
    """What a new process prints."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(text)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, **env},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


BUILD = """
    import numpy as np, tdsl as td
    A = td.placeholder((4,), "float32", name="A")
    B = td.compute((4,), lambda i: A[i] + 1.0, name="B")
    f = td.func("shift", [A], [B])
"""


def test_without_a_platform_a_call_says_how_to_get_one():
    pytest.importorskip("pyopencl")
    text = (
        BUILD
        + """
    kernel = td.build(td.Schedule(f, target="opencl"))
    assert "__kernel" in kernel.source("opencl")
    try:
        kernel(np.ones(4, np.float32))
    except td.TdslError as error:
        print(error)
    """
    )
    printed = _run(text, OCL_ICD_VENDORS="/nonexistent.icd")
    assert "no OpenCL platform was found on this machine" in printed
    assert "pip install 'tdsl[opencl]'" in printed


def test_without_pyopencl_a_call_says_what_to_install():
    text = (
        """
    import sys
    sys.modules["pyopencl"] = None
    """
        + BUILD
        + """
    try:
        td.build(td.Schedule(f, target="opencl"))(np.ones(4, np.float32))
    except td.TdslError as error:
        print(error)
    """
    )
    assert "OpenCL needs pyopencl" in _run(text)


def test_importing_tdsl_and_building_for_the_cpu_leave_opencl_alone():
    text = (
        BUILD
        + """
    import sys
    td.build(td.Schedule(f))(np.ones(4, np.float32))
    print("pyopencl" in sys.modules)
    """
    )
    assert _run(text).strip() == "False"


def test_an_unknown_device_is_refused_with_a_list_of_those_there_are(opencl):
    with pytest.raises(DeviceError, match="no OpenCL device is called 'cray'") as caught:
        td.build(kernels.elementwise(), target="opencl:cray")
    assert list_devices()[0].name in str(caught.value)


def test_a_device_is_found_by_a_part_of_its_name(opencl):
    facts = list_devices()[0]
    assert find_device(facts.name[:6].upper()).facts == facts
    assert find_device() is find_device()


def _plan(**changes):
    launch = Launch("k", (1, 1, 1), (8, 8, 1), (), (), checks=False, shared=1024)
    features = changes.pop("features", ())
    return Plan((replace(launch, **changes),), features, (), ["seq"])


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (_plan(local=(64, 64, 64)), "groups of 262144 work-items"),
        (_plan(local=(1, 1, 100_000)), "work-items"),
        (_plan(shared=1 << 30), "1073741824 bytes of local memory"),
        (_plan(features=("fp64",)), "double precision"),
    ],
    ids=["group", "axis", "local", "fp64"],
)
def test_a_kernel_that_asks_for_too_much_is_refused_before_launch(opencl, plan, message):
    facts = replace(find_device().facts, fp64=False)
    with pytest.raises(CapabilityError, match=message):
        plan.check(facts, "kernel")


def test_a_schedule_with_too_large_groups_is_refused_when_built(opencl):
    facts = find_device().facts
    s = kernels.elementwise(1 << 12)
    with pytest.raises(CapabilityError, match=f"runs at most {facts.work_group}"):
        td.build(s)


def test_arguments_are_checked_as_on_the_cpu(opencl):
    kernel = td.build(kernels.matmul())
    a, b = np.ones((3, 4), np.float32), np.ones((5, 2), np.float32)
    with pytest.raises(ValueError, match="dimension 0 is 5, not 4"):
        kernel(a, b)
    with pytest.raises(TypeError, match="float64"):
        kernel(a.astype(np.float64), b)
    with pytest.raises(TypeError, match="takes 2 arguments"):
        kernel(a)
    c = np.empty((3, 2), np.float32)
    c.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        kernel(a, np.ones((4, 2), np.float32), out=c)


def test_out_is_filled_and_returned(opencl):
    kernel = td.build(kernels.transpose())
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    y = np.zeros((3, 2), np.float32)
    assert kernel(x, out=y) is y
    np.testing.assert_array_equal(y, x.T)


def test_device_arrays_go_from_kernel_to_kernel(opencl):
    transpose, scale = td.build(kernels.transpose()), td.build(kernels.elementwise())
    x = np.random.default_rng(1).standard_normal((5, 9)).astype(np.float32)
    on_device = DeviceArray.of(x)
    moved = transpose(on_device)
    assert isinstance(moved, DeviceArray)
    assert moved.shape == (9, 5)
    result = scale(moved)
    np.testing.assert_array_equal(result.numpy(), scale(np.ascontiguousarray(x.T)))
    into = DeviceArray.empty((9, 5))
    assert transpose(on_device, out=into) is into
    np.testing.assert_array_equal(into.numpy(), x.T)


def test_a_call_returns_when_its_numpy_arguments_are_free_again(opencl):
    """A caller may overwrite an array that was an argument, or let it go."""
    n = 1 << 18
    x, z = (td.placeholder((n,), "float32", name=name) for name in "XZ")
    y = td.compute((n,), lambda i: td.exp(x[i]) * td.tanh(z[i]), name="Y")
    s = td.Schedule(td.func("f", [x, z], [y]), "opencl")
    for loop, axis in zip(s.split("Y.i", 64), ("group.x", "local.x"), strict=True):
        s.bind(loop, axis)
    kernel = td.build(s)
    ones = np.ones(n, np.float32)
    assert isinstance(kernel(DeviceArray.of(ones), ones), DeviceArray)
    status = pyopencl().command_execution_status
    assert [e.handle.command_execution_status for e in kernel.events] == [status.COMPLETE]


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.bool_, np.int64])
def test_device_arrays_keep_every_dtype(opencl, dtype):
    x = np.arange(12).reshape(3, 4).astype(dtype)
    array = DeviceArray.of(x)
    assert array.dtype == x.dtype
    np.testing.assert_array_equal(array.numpy(), x)
    assert DeviceArray.of(np.empty((0, 3), dtype)).numpy().shape == (0, 3)


def test_device_arrays_are_checked_like_others(opencl):
    kernel = td.build(kernels.matmul())
    a = DeviceArray.of(np.ones((3, 4), np.float32))
    with pytest.raises(ValueError, match="dimension 0 is 3, not 4"):
        kernel(a, a)
    square = DeviceArray.of(np.ones((4, 4), np.float32))
    with pytest.raises(ValueError, match="overlaps"):
        kernel(square, square, out=square)


def test_events_tell_how_long_each_kernel_ran(opencl):
    kernel = td.build(kernels.matmul())
    a = np.ones((20, 20), np.float32)
    kernel(a, a)
    (event,) = kernel.events
    assert event.kernel == "matmul_C"
    assert 0 < event.seconds < 10
    assert all(0 < seconds < 10 for seconds in kernel.time(a, a, number=2, repeat=2))


def test_programs_come_from_the_cache_the_second_time(opencl, tmp_path):
    text = (
        BUILD
        + """
    kernel = td.build(td.Schedule(f, target="opencl"))
    print(kernel(np.ones(4, np.float32)).tolist())
    from tdsl.cache import default_cache
    stats = default_cache().stats()
    print(stats.hits, stats.misses)
    """
    )
    where = {"TDSL_CACHE_DIR": str(tmp_path)}
    first, second = (_run(text, **where).splitlines() for _ in range(2))
    assert first[0] == second[0] == "[2.0, 2.0, 2.0, 2.0]"
    assert second[1].split()[1] == "0"


def test_a_damaged_program_in_the_cache_is_built_anew(opencl, tmp_path):
    text = (
        BUILD
        + """
    kernel = td.build(td.Schedule(f, target="opencl"))
    print(kernel(np.ones(4, np.float32)).tolist())
    """
    )
    where = {"TDSL_CACHE_DIR": str(tmp_path)}
    _run(text, **where)
    for file in tmp_path.rglob("*.tdslobj"):
        file.write_bytes(file.read_bytes()[:-100])
    assert _run(text, **where).strip() == "[2.0, 2.0, 2.0, 2.0]"


def test_a_forked_child_is_told_that_opencl_does_not_survive(opencl):
    device = find_device()
    stale = replace(device, process=device.process + 1)
    with pytest.raises(DeviceError, match="forked"):
        stale.check_process()


def test_the_command_line_lists_devices_and_shows_the_source(opencl, tmp_path):
    from typer.testing import CliRunner

    from tdsl.cli.main import app

    file = tmp_path / "shift.py"
    file.write_text(textwrap.dedent(BUILD), encoding="utf-8")
    runner = CliRunner()
    listed = runner.invoke(app, ["devices"])
    assert list_devices()[0].name in listed.stdout
    facts = json.loads(runner.invoke(app, ["devices", "--json"]).stdout)
    assert facts[0]["local_bytes"] > 0
    shown = runner.invoke(app, ["show", f"{file}:f", "--opencl"])
    assert "__kernel" in shown.stdout, shown.output


def test_an_opencl_kernel_says_what_stages_it_has(opencl):
    kernel = td.build(kernels.transpose())
    assert "barrier(CLK_LOCAL_MEM_FENCE);" in kernel.source("opencl")
    assert "barrier" in kernel.source("lowered")
    with pytest.raises(TdslError, match="no source 'llvm'"):
        kernel.source("llvm")
