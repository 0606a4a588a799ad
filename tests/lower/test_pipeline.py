import pytest

from tdsl.errors import InternalError
from tdsl.ir.parser import parse_program
from tdsl.ir.stmt import Seq
from tdsl.lower import PIPELINE, lower, pipeline
from tests.lower import algorithms
from tests.lower.nests import TARGET


def test_each_pass_has_a_name_and_a_reason():
    assert all(step.name and step.why for step in PIPELINE)


def test_dumps_are_written_to_the_directory_of_tdsl_dump(tmp_path, monkeypatch):
    monkeypatch.setenv("TDSL_DUMP", str(tmp_path))
    lower(algorithms.relu_of_sum(), TARGET)
    files = sorted(path.name for path in (tmp_path / "relu_of_sum").iterdir())
    assert files[0] == "00-scheduled.tdsl"
    assert len(files) == len(PIPELINE) + 1
    first = (tmp_path / "relu_of_sum" / files[0]).read_text(encoding="utf-8")
    assert parse_program(first).name == "relu_of_sum"
    assert (tmp_path / "relu_of_sum" / "02-unfuse_serial.tdsl").read_text() == "(unchanged)\n"


def test_times_are_printed_with_tdsl_debug(monkeypatch, capsys):
    monkeypatch.setenv("TDSL_DEBUG", "1")
    lower(algorithms.relu_of_sum(), TARGET)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(PIPELINE)
    assert all(" ms" in line for line in lines)


def test_a_pass_that_breaks_the_tree_is_caught_with_tdsl_verify(monkeypatch):
    def lose_allocations(program, target):
        from dataclasses import replace

        return replace(program, body=Seq((program.body.body,)))

    broken = (pipeline.Pass(lose_allocations, "to be caught"),)
    monkeypatch.setattr(pipeline, "PIPELINE", broken)
    monkeypatch.setenv("TDSL_VERIFY", "1")
    with pytest.raises(InternalError, match="is not allocated here"):
        lower(algorithms.softmax(), TARGET)
