"""A tuner that is killed, stopped or torn: nothing that was measured is lost, nothing torn wins."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

from tdsl.autotune.search import SearchKind
from tdsl.autotune.session import Options, Session
from tdsl.records import Database, Outcome
from tests.autotune.algorithms import cheap_task
from tests.autotune.fakes import FakeMeasurer

COMMAND = [sys.executable, "-c", "from tdsl.cli import main; main()", "tune", "relu", "-s", "4096"]


@pytest.fixture
def start(tmp_path):
    """Starts `tdsl tune` on a database of the test; ends it afterwards."""
    started = []

    def run(trials):
        options = ["--trials", str(trials), "--threads", "1", "--search", "random", "--json"]
        session = subprocess.Popen(
            [*COMMAND, *options, "--db", str(tmp_path / "db")],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "TDSL_CACHE_DIR": str(tmp_path / "cache")},
        )
        started.append(session)
        return session

    yield run
    for session in started:
        session.kill()
        session.wait()
        session.stdout.close()


def measured(path):
    """The records of the one workload, by key; none while there is no database."""
    if not path.exists():
        return {}
    with Database(path) as db:
        return {r.key: r for w in db.workloads() for r in db.records(w.key)}


def wait_for(path, count, session):
    """The records at the first moment when there are enough."""
    for _ in range(2400):
        if len(found := measured(path)) >= count:
            return found
        assert session.poll() is None, "it ended too soon"
        time.sleep(0.05)
    raise AssertionError("it measures nothing")


def test_a_killed_session_loses_no_record_and_goes_on(start, tmp_path):
    path = tmp_path / "db"
    session = start(10000)
    before = wait_for(path, 4, session)
    os.kill(session.pid, signal.SIGKILL)
    session.wait()
    _check_torn_journal(path, tmp_path / "torn")
    left = measured(path)
    assert {key: left[key] for key in before} == before
    result = json.loads(start(len(left) + 3).communicate()[0])
    assert (result["trials"], result["measured"]) == (len(left) + 3, 3)
    after = measured(path)
    assert {key: after[key] for key in left} == left
    again = json.loads(start(len(left) + 3).communicate()[0])
    assert (again["measured"], again["seconds"]) == (0, result["seconds"])


def _check_torn_journal(path, copy):
    """A journal that was cut off costs its last records at most."""
    journal = path.with_name(f"{path.name}-wal").read_bytes()
    copy.write_bytes(path.read_bytes())
    copy.with_name(f"{copy.name}-wal").write_bytes(journal[: len(journal) * 3 // 4])
    whole, torn = measured(path), measured(copy)
    assert 0 < len(torn) <= len(whole)
    assert all(torn[key] == whole[key] for key in torn)


def test_ctrl_c_keeps_what_was_measured_and_says_so_in_json(start, tmp_path):
    session = start(10000)
    before = wait_for(tmp_path / "db", 4, session)
    session.send_signal(signal.SIGINT)
    result = json.loads(session.communicate()[0])
    assert session.returncode == 130
    assert (result["stopped"], result["winner"]) == ("interrupted", None)
    assert len(before) <= result["trials"] == len(measured(tmp_path / "db"))


def test_torn_records_are_left_out_and_cannot_win(tmp_path):
    path = tmp_path / "db"
    options = Options(trials=20, search=SearchKind.RANDOM)
    with Database(path) as db:
        first = Session(cheap_task(), db, options, None, FakeMeasurer()).run()
        key = first.task.workload.key
        best, second = (record.id for record in db.best(key, 2))
    with sqlite3.connect(path) as link:
        link.execute("UPDATE records SET payload = substr(payload, 1, 80) WHERE id = ?", (best,))
        link.execute("UPDATE records SET payload = '{}' WHERE id = ?", (second,))
        link.execute("UPDATE verdicts SET payload = substr(payload, 1, 80)")
    link.close()
    with Database(path) as db:
        assert db.verdict(key) is None
        assert not {best, second} & {record.id for record in db.best(key, 99)}
        again = FakeMeasurer()
        result = Session(cheap_task(), db, options, None, again).run()
        assert result.trials >= 20
        assert result.verdict is not None
        assert result.best.outcome is Outcome.OK
        assert result.best.id not in (best, second)
