"""A schedule that was built is not proven again, and an illegal step is never remembered."""

from __future__ import annotations

from pathlib import Path

import pytest

import tdsl as td
from tdsl import cache
from tdsl.scheduling import proof
from tdsl.scheduling.remembered import RememberedProofs


@pytest.fixture
def fresh_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    store = cache.ObjectCache(tmp_path / "cache")
    monkeypatch.setattr("tdsl.scheduling.remembered.default_cache", lambda: store)
    return tmp_path


def _func() -> td.Func:
    A = td.placeholder((64, 64), name="A")
    k = td.reduce_axis(64, name="k")
    B = td.compute((64,), lambda i: td.sum(A[i, k], axis=k), name="B")
    return td.func("rows", [A], [B])


def _schedule(func: td.Func) -> td.Schedule:
    s = td.Schedule(func)
    io, _ = s.split("B.i", 8)
    s.parallel(io)
    return s


def _counted(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    calls: list[object] = []
    real = proof.prove

    def count(*args: object, **options: object) -> object:
        calls.append(args)
        return real(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(proof, "prove", count)
    return calls


@pytest.mark.usefixtures("fresh_cache")
def test_second_schedule_recalls_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = _counted(monkeypatch)
    td.build(_schedule(_func()))
    proven = len(calls)
    assert proven >= 3
    s = _schedule(_func())
    assert len(calls) == proven
    assert s.numerics.value == "exact"


@pytest.mark.usefixtures("fresh_cache")
def test_schedules_that_are_not_built_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = _counted(monkeypatch)
    _schedule(_func())
    proven = len(calls)
    _schedule(_func())
    assert len(calls) == 2 * proven


@pytest.mark.usefixtures("fresh_cache")
def test_refused_steps_stay_refused() -> None:
    td.build(_schedule(_func()))
    s = _schedule(_func())
    for _ in range(2):
        with pytest.raises(td.ScheduleError, match="parallel"):
            s.parallel("B.k")


@pytest.mark.usefixtures("fresh_cache")
def test_steps_after_a_recalled_state_are_proven_from_the_ground_up() -> None:
    td.build(_schedule(_func()))
    s = _schedule(_func())
    s.split("B.k", 4)
    assert s.numerics.value == "exact"
    s.reorder("B.ki", "B.ko")
    assert s.numerics.value == "reassociates"


def test_states_of_another_algorithm_are_another_record() -> None:
    func = _func()
    one = RememberedProofs(func.program)
    name, _ = one.recall(func.program, func.program)
    A = td.placeholder((64, 64), name="A")
    k = td.reduce_axis(64, name="k")
    B = td.compute((64,), lambda i: td.sum(A[k, i], axis=k), name="B")
    other = td.func("rows", [A], [B])
    assert RememberedProofs(other.program).recall(other.program, other.program)[0] != name
