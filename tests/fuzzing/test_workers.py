"""Work in processes of its own: results, crashes, hangs, and what waits without working."""

from __future__ import annotations

import os
import signal
import time
from functools import partial

import pytest

from tdsl.fuzzing import workers
from tdsl.fuzzing.workers import Died, apart, results

EXIT = Died("crash", "the process ended with code 3")
SIGNAL = Died("crash", "the process was ended by SIGSEGV")
HANG = Died("hang", "no end within 0.2 s of processor time")


def do(kind: str, answer: int = 0) -> int:
    """End in the way that is named."""
    match kind:
        case "exit":
            os._exit(3)
        case "signal":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "hang":
            return sum(range(10**15))
        case "sleep":
            time.sleep(3600)
    return answer


@pytest.mark.parametrize(
    ("kind", "expected"), [("answer", 7), ("exit", EXIT), ("signal", SIGNAL), ("hang", HANG)]
)
def test_how_work_of_its_own_ends(kind, expected):
    assert apart(do, kind, 7, limit=0.2) == expected


def test_workers_go_on_after_one_of_them_ended():
    kinds = ["exit", "answer", "hang", "signal", "last"]
    found = dict(results(kinds, partial(do, answer=7), jobs=2, limit=0.2))
    assert found == {"exit": EXIT, "answer": 7, "hang": HANG, "signal": SIGNAL, "last": 7}


def test_a_machine_that_is_busy_makes_nothing_hang():
    """Work that waits is given time on the clock, many times its limit."""
    assert apart(time.sleep, 0.4, limit=0.1) is None


def test_work_that_waits_for_ever_is_given_up(monkeypatch):
    monkeypatch.setattr(workers, "_LEAST_PATIENCE", 1.0)
    monkeypatch.setattr(workers, "_PATIENCE", 2.0)
    expected = Died("hang", "no end after 1 s of waiting")
    assert apart(do, "sleep", limit=0.5) == expected
    assert list(results(["sleep"], do, jobs=1, limit=0.5)) == [("sleep", expected)]
