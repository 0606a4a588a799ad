import json

import pytest

import tdsl as td
from tdsl.autotune.report import shown_candidate
from tdsl.autotune.results import Listener
from tdsl.autotune.search import SearchKind
from tdsl.autotune.session import Options, Session
from tdsl.autotune.tuning import tune
from tdsl.records import Database, Outcome, RecordError
from tdsl.records.schema import candidate_key
from tests.autotune.algorithms import cheap_task, increment, increment_space, task
from tests.autotune.fakes import FakeMeasurer

RANDOM = SearchKind.RANDOM


def run(db, measurer, listener=None, what=None, **options):
    options = {"trials": 20, "search": RANDOM, "batch": 8, **options}
    return Session(what or cheap_task(), db, Options(**options), listener, measurer).run()


@pytest.fixture
def db():
    with Database(":memory:") as opened:
        yield opened


def test_trials_are_measured_recorded_and_concluded(db):
    measurer = FakeMeasurer()
    result = run(db, measurer)
    assert (result.trials, result.measured, len(measurer.jobs)) == (20, 20, 20)
    assert result.best.time == min(r.time for r in db.records(result.task.workload.key))
    assert result.verdict.trials == 20
    assert measurer.closed
    assert json.loads(json.dumps(result.json()))["trials"] == 20


def test_a_finished_run_repeated_measures_nothing(db):
    first = run(db, FakeMeasurer())
    again = FakeMeasurer()
    result = run(db, again)
    assert (again.jobs, again.compared, result.measured) == ([], 0, 0)
    assert result.verdict == first.verdict
    assert str(result.schedule.trace) == str(first.schedule.trace)


def test_more_trials_go_on_where_the_last_run_ended(db):
    whole, first, rest = FakeMeasurer(), FakeMeasurer(), FakeMeasurer()
    with Database(":memory:") as other:
        run(other, whole, trials=30)
    run(db, first, trials=13)
    result = run(db, rest, trials=30)
    assert len(first.jobs) == 13
    assert first.jobs + rest.jobs == whole.jobs
    assert (result.trials, result.measured) == (30, 17)


def test_an_interrupted_run_goes_on_with_the_same_candidates(db):
    whole, first, rest = FakeMeasurer(), FakeMeasurer(stop_at=11), FakeMeasurer()
    with Database(":memory:") as other:
        run(other, whole)
    stopped = run(db, first)
    assert (stopped.stopped, stopped.trials, stopped.verdict) == ("interrupted", 11, None)
    assert first.closed
    run(db, rest)
    assert first.jobs + rest.jobs == whole.jobs


def test_the_same_seed_gives_the_same_candidates_with_a_model_too():
    lists = []
    for _ in range(2):
        with Database(":memory:") as db:
            measurer = FakeMeasurer()
            run(db, measurer, trials=56, search=SearchKind.EVOLUTION)
            lists.append(measurer.jobs)
            sources = {r.source for r in db.records(cheap_task().workload.key)}
    assert lists[0] == lists[1]
    assert sources == {"random", "evolution"}


def test_another_seed_gives_other_candidates(db):
    one, two = FakeMeasurer(), FakeMeasurer()
    run(db, one)
    with Database(":memory:") as other:
        run(other, two, seed=1)
    assert one.jobs != two.jobs


def test_failures_cost_one_trial_each_and_never_win(db):
    bad = [o for o in Outcome if o not in (Outcome.OK, Outcome.REFUSED)]
    measurer = FakeMeasurer(faults=dict(enumerate(bad)))
    result = run(db, measurer)
    key = result.task.workload.key
    assert result.trials == 20
    assert [r.outcome for r in db.records(key)][: len(bad)] == bad
    assert all(r.outcome is Outcome.OK for r in db.best(key, 99))


def test_a_candidate_that_the_prover_refuses_is_no_trial(db):
    def sometimes(s, knob):
        t = knob.int("t", 1, 64)
        loops = s.loops("C")
        s.split(loops[0], t, tail="exact")

    listened = []
    measurer = FakeMeasurer()
    result = run(
        db, measurer, Listener(trial=listened.append), task(space=sometimes), trials=40, batch=16
    )
    assert result.trials == len(measurer.jobs) == 7  # divisors of 64
    refused = [r for r in listened if r.outcome is Outcome.REFUSED]
    assert len(refused) == 57
    assert "exactly" in refused[0].error or "%" in refused[0].error


def test_a_space_that_is_used_up_ends_the_run_for_good(db):
    small = task(increment(6), increment_space)
    measurer, again = FakeMeasurer(), FakeMeasurer()
    result = run(db, measurer, what=small, trials=100)
    assert result.trials == 7
    assert result.verdict.exhausted
    run(db, again, what=small, trials=100)
    assert again.jobs == []


def test_the_default_stays_where_nothing_beats_it(db):
    result = run(db, FakeMeasurer(lambda program: 1e-3))
    assert result.verdict.candidate is None
    assert result.json()["winner"] == "default"


def test_the_winner_loses_the_steps_that_make_no_difference(db):
    def decorated(s, knob):
        knob.int("t", 1, 2)
        i, j, _ = s.loops("C")
        s.parallel(i)
        s.unroll(s.split(j, 4)[1])

    def seconds(program):
        return 1e-6 if "parallel" in program and "vectorized" not in program else 1e-3

    result = run(db, FakeMeasurer(seconds), what=task(space=decorated))
    assert result.json()["winner"] == "tuned"
    assert [step.primitive for step in result.schedule.trace] == ["parallel"]
    assert len(result.verdict.dropped) == 2


def test_records_tell_options_as_text(db):
    def ordered(s, knob):
        i, j, _ = s.loops("C")
        if knob.choice("outer", ["rows", "columns first"]) != "rows":
            s.reorder(j, i)
        s.split(i, knob.int("t", 2, 3))

    what = task(space=ordered)
    run(db, FakeMeasurer(), what=what)
    records = db.records(what.workload.key)
    shown = {shown_candidate(record.candidate) for record in records}
    assert shown == {f"outer={o} t={t}" for o in ("rows", "columns-first") for t in (2, 3)}
    bare = {key: value for key, value in records[0].candidate.items() if key != "labels"}
    assert shown_candidate(bare).startswith("outer=")
    assert candidate_key(bare) == records[0].key


def test_time_runs_out(db):
    measurer = FakeMeasurer()
    result = run(db, measurer, seconds=0.0, trials=1000)
    assert result.stopped == "out of time"
    assert measurer.jobs == []


def test_a_workload_that_cannot_be_measured_at_all_says_so(db):
    class Broken(FakeMeasurer):
        def compare(self, jobs, rounds):
            return [r for _, r in super().measure(jobs)][:0] or [_broken() for _ in jobs]

    def _broken():
        from tdsl.autotune.measure import Result

        return Result(Outcome.RUN_CRASH)

    with pytest.raises(RecordError, match="default schedule of increment cannot be measured"):
        run(db, Broken())


def test_tune_takes_several_tasks(tmp_path):
    measurer = FakeMeasurer()
    template = td.template(increment)(increment_space)
    results = tune(
        [cheap_task(), increment(64)],
        trials=6,
        db=tmp_path / "db",
        search="random",
        measurer=measurer,
    )
    assert [r.trials for r in results] == [6, 6]
    assert results[0].task.space_name == "test"
    assert template.name == "increment_space"
    with pytest.raises(RecordError, match="no search 'luck'"):
        tune(task(), db=tmp_path / "db", search="luck")
