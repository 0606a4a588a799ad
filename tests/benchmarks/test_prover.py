"""`python -m benchmarks.prover`: what it prints; how quick proofs are is no test."""

import pytest

from benchmarks.prover import main, percentile, table


@pytest.fixture(autouse=True)
def cache_as_it_was(monkeypatch):
    monkeypatch.setenv("TDSL_CACHE_DIR", "")


def test_every_step_of_both_schedules_is_counted(capsys):
    assert main(["--rows", "blur3x3", "--rounds", "1"]) in (0, 1)
    lines = capsys.readouterr().out.splitlines()
    proofs = [int(line.split("proofs")[0].split()[-1]) for line in lines[:2]]
    assert min(proofs) > 0
    assert lines[-1].split()[:2] == ["all", str(sum(proofs))]


def test_a_row_that_there_is_not(capsys):
    assert main(["--rows", "no_such_row"]) == 2
    assert "no_such_row" in capsys.readouterr().err


def test_figures_of_each_primitive():
    lines = table([("split", 1.0), ("split", 3.0), ("fuse", 2.0)])
    assert [line.split() for line in lines[1:]] == [
        ["split", "2", "2.00", "3.0", "3.0"],
        ["fuse", "1", "2.00", "2.0", "2.0"],
        ["all", "3", "2.00", "3.0", "3.0"],
    ]


def test_percentiles_are_values():
    assert percentile(range(1, 101), 99) == 99
    assert percentile([5.0], 99) == 5.0
