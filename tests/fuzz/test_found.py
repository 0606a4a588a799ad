"""Small cases that once failed: each must compute what its algorithm means, interpreted and built.

`found/*.txt` are scripts as the fuzzer writes them, named after the symptom. Those that name a
device are skipped, once they were interpreted, where there is none.
"""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest

import tdsl as td
from tdsl.analysis import Numerics
from tdsl.fuzzing.differences import difference
from tdsl.fuzzing.subject import has_maths
from tdsl.ir.interp import CANONICAL, HOSTILE, IndexFault, interpret
from tdsl.lang.bounds import evaluate
from tdsl.lower import lower
from tdsl.target import TargetKind
from tests.fuzz.kernels import run_guarded
from tests.fuzz.texts import round_trips

FOUND = sorted((Path(__file__).parent / "found").glob("*.txt"))


def extents_of(path):
    """Sizes to run a case at: one of no iteration too, where it has sizes and assumes nothing."""
    text = path.read_text()
    if "td.sizes" not in text:
        return (5,)
    return (5, 1) if "assume=" in text else (5, 1, 0)


CASES = [(path, extent) for path in FOUND for extent in extents_of(path)]


def schedule_of(path):
    scope = {"td": td}
    with contextlib.redirect_stdout(io.StringIO()):
        exec(compile(path.read_text(), str(path), "exec"), scope)
    return scope["s"]


def arrays_of(func, sizes, high):
    rng = np.random.default_rng(1)
    made = {}
    for x in func.inputs:
        shape = tuple(evaluate(e, {v: sizes[v.name] for v in func.sizes}) for e in x.buffer.shape)
        low, most = (0, high) if x.dtype.is_integer else (-3, 4)
        made[x.name] = rng.integers(low, most, shape).astype(x.dtype.numpy)
        if x.dtype.is_float:
            made[x.name] = (made[x.name] + rng.random(shape)).astype(x.dtype.numpy)
    return made


def results_of(func, sizes):
    """Arguments whose index tensors stay inside, and what the unscheduled program makes of them."""
    for high in (6, 2, 1):
        arrays = arrays_of(func, sizes, high)
        with contextlib.suppress(IndexFault):
            return arrays, interpret(func.program, arrays, sizes)
    raise AssertionError("no arguments stay inside")


@pytest.mark.filterwarnings("ignore::tdsl.lower.LoweringWarning")
@pytest.mark.parametrize(("path", "extent"), CASES, ids=[f"{p.stem}-{n}" for p, n in CASES])
def test_case_that_once_failed(path, extent, tmp_path, monkeypatch, request):
    monkeypatch.setenv("TDSL_CACHE_DIR", str(tmp_path))
    s = schedule_of(path)
    sizes = {v.name: extent + n for n, v in enumerate(s.func.sizes)}
    arrays, expected = results_of(s.func, sizes)
    exact = s.numerics is Numerics.EXACT
    for order in (CANONICAL, *HOSTILE):
        found = interpret(s.program, arrays, sizes, order, detect_conflicts=True)
        assert difference(expected, found, exact=exact) is None
    assert round_trips(s) is None
    close = exact and not has_maths(s.func)
    lowered = lower(s.program, s.target).program
    on_device = s.target.kind is TargetKind.OPENCL
    for order in (CANONICAL, *HOSTILE):
        found = interpret(lowered, arrays, sizes, order, on_device, both_arms=not on_device)
        assert difference(expected, found, exact=close) is None
    if on_device:
        request.getfixturevalue("opencl")
    outer = {
        v.name for x in s.func.inputs for e in x.buffer.shape for v in [e] if e in s.func.sizes
    }
    free = {name: n for name, n in sizes.items() if name not in outer}
    for at_end in (True, False):
        found = run_guarded(td.build(s), arrays, expected, free, at_end=at_end)
        assert difference(expected, found, exact=close) is None
