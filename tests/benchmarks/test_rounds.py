import time
from pathlib import Path

import pytest

from benchmarks.child import Child, ChildError, PeerMissingError
from benchmarks.materials import MaterialsMissingError
from benchmarks.peers import Peer
from benchmarks.results import Status
from benchmarks.rounds import Settings, measure_row, roster
from benchmarks.workloads import select

FAKE = Path(__file__).with_name("fake_peer.py")
ROW = select(["call_overhead"])[0]
QUICK = Settings(rounds=3, burst=0.005, pause=0.0, timeout=20.0)


def fake(name):
    return Peer(name, FAKE, name)


def measure(*names, settings=QUICK):
    said = []
    with roster([fake(name) for name in names], 1, settings, said.append) as workers:
        result = measure_row(ROW, workers)
        return result, workers, said


def test_right_results_are_timed_in_every_round():
    row, workers, _ = measure("right", "slow")
    assert [r.peer for r in row.timed()] == ["right", "slow"]
    assert all(len(r.rounds) == QUICK.rounds for r in row.results)
    assert row.of("slow").median_s >= 0.002
    assert row.ratio("right") > 10
    assert workers.versions == {"right": "1.0 on 1", "slow": "1.0 on 1"}


def test_short_calls_are_timed_several_at_a_time():
    row, _, _ = measure("right")
    assert 0 < row.of("right").median_s < 1e-4


@pytest.mark.parametrize("name", ["wrong", "short", "nan"])
def test_wrong_result_is_never_timed(name):
    row, _, _ = measure(name, "right")
    assert row.of(name).status is Status.WRONG
    assert "relative error" in row.of(name).message
    assert row.of(name).rounds == []
    assert row.of("right").is_timed


def test_result_that_goes_wrong_later_does_not_count():
    row, _, _ = measure("drifts")
    assert row.of("drifts").status is Status.WRONG
    assert row.timed() == []


def test_raising_peer_loses_the_row_and_names_the_error():
    row, _, _ = measure("raises")
    assert row.of("raises").status is Status.FAILED
    assert row.of("raises").message == "ArithmeticError: no such sum"


def test_dying_peer_is_restarted_for_the_next_row():
    with roster([fake("dies"), fake("right")], 1, QUICK, print) as workers:
        for _ in range(2):
            row = measure_row(ROW, workers)
            assert row.of("dies").status is Status.FAILED
            assert "SIGABRT" in row.of("dies").message
            assert row.of("right").is_timed


def test_hanging_peer_is_ended_at_the_deadline():
    started = time.monotonic()
    row, _, _ = measure("hangs", settings=Settings(rounds=1, burst=0.005, pause=0, timeout=2.0))
    assert row.of("hangs").message == "no answer within 2 s"
    assert time.monotonic() - started < 15


def test_missing_peer_is_skipped_with_a_message():
    row, workers, said = measure("absent", "right")
    assert row.of("absent") is None
    assert workers.missing == {"absent": "No module named 'absent'"}
    assert said == ["skipping absent: No module named 'absent'"]


def test_peer_that_does_not_do_the_row_is_unsupported():
    row, _, _ = measure("refuses")
    assert row.of("refuses").status is Status.UNSUPPORTED


def test_child_says_why_a_peer_cannot_start():
    with pytest.raises(PeerMissingError, match="no such venv"):
        Child(Peer("x", FAKE, "x", missing="no such venv"), 1, 5.0)


def test_child_reports_a_plugin_that_breaks_at_the_start(tmp_path):
    broken = tmp_path / "broken.py"
    broken.write_text("def start(argument, threads):\n    raise ValueError('bad plug-in')\n")
    with pytest.raises(ChildError, match="ended with status 1: ValueError: bad plug-in"):
        Child(Peer("broken", broken, "broken"), 1, 20.0)


def test_model_rows_want_their_exported_files(monkeypatch, tmp_path):
    monkeypatch.setenv("PEERS_ROOT", str(tmp_path))
    model = select(["models"])[0]
    with (
        roster([], 1, QUICK, print) as workers,
        pytest.raises(MaterialsMissingError, match=r"bench_models\.py export"),
    ):
        measure_row(model, workers)
