"""Schedules for devices are searched as those for the processor are, and found again."""

import numpy as np
import pytest

import tdsl as td
from tdsl.autotune.measure import Limits
from tdsl.autotune.session import Options
from tdsl.autotune.space import Space
from tdsl.autotune.tuning import tune
from tdsl.cli.locate import UsageError
from tdsl.cli.tuning import task_for
from tdsl.records import Database, Outcome, workload_of
from tdsl.runtime.devices import find_device

QUICK = Options(limits=Limits(repeat=1, min_repeat_ms=1.0), batch=4)


def matmul():
    return task_for("matmul", "24x20x16", target="opencl", threads=None)


def test_products_have_knobs_for_groups_local_memory_and_vectors(opencl):
    space = Space(matmul())
    names = {name for structure in space.structures for name in structure.names}
    assert {"items.rows.1", "items.columns.1", "rows.1", "columns.1", "depth.1"} <= names
    labels = {label for structure in space.structures for label in structure.labels}
    assert {("local", "none"), ("local", "A and B"), ("vectors", "4")} <= labels


def test_a_product_is_tuned_on_a_device_and_its_schedule_found(opencl, tmp_path, monkeypatch):
    task, path = matmul(), tmp_path / "db"
    (result,) = tune(task, 4, db=path, search="random", options=QUICK)
    with Database(path) as db:
        outcomes = [record.outcome for record in db.records(task.workload.key)]
    assert outcomes.count(Outcome.OK) >= 2, outcomes
    assert result.verdict is not None
    assert find_device().facts.name in str(task.workload)
    monkeypatch.setenv("TDSL_DB", str(path))
    kernel = td.build(task.func, "opencl", schedule="tuned")
    rng = np.random.default_rng(0)
    a = rng.uniform(-1, 1, (24, 16)).astype(np.float32)
    b = rng.uniform(-1, 1, (16, 20)).astype(np.float32)
    np.testing.assert_allclose(kernel(a, b), a @ b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("name", "sizes", "knob"),
    [("relu", "4096", "lanes"), ("transpose", "64x48", "side"), ("row_sum", "8x256", "lanes")],
)
def test_other_rules_offer_the_numbers_of_their_plans(opencl, name, sizes, knob):
    space = Space(task_for(name, sizes, target="opencl", threads=None))
    assert any(knob in dict(structure.choices) for structure in space.structures)


def test_records_are_of_the_device_however_it_is_named(opencl):
    func, part = matmul().func, find_device().facts.name[:8].lower()
    keys = {workload_of(func, td.target(t), 1).key for t in ("opencl", f"opencl:{part}")}
    assert len(keys) == 1
    assert workload_of(func, td.target("opencl:nosuch"), 1).key not in keys


def test_a_device_that_is_not_there_is_told(opencl):
    with pytest.raises(td.TdslError, match="nosuch"):
        task_for("relu", "64", target="opencl:nosuch", threads=None)
    with pytest.raises(UsageError, match="there is no operator"):
        task_for("rellu", "64", target="opencl", threads=None)
