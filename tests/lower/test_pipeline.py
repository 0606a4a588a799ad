import itertools

import pytest

from tdsl.errors import InternalError
from tdsl.ir.printer import print_program
from tdsl.ir.stmt import Seq
from tdsl.lower import PIPELINE, lower, passes, pipeline
from tests.lower import algorithms
from tests.lower.nests import TARGET


def test_each_pass_has_a_name_and_a_reason():
    assert all(step.name and step.why for step in PIPELINE)


def test_dumps_are_written_to_the_directory_of_tdsl_dump(tmp_path, monkeypatch):
    folder = tmp_path / "new" / "dumps"
    monkeypatch.setenv("TDSL_DUMP", str(folder))
    program = algorithms.relu_of_sum()
    dumps = lower(program, TARGET, keep=True).dumps
    lower(program, TARGET)  # writes over what is there
    texts = {path.name: path.read_text("utf-8") for path in (folder / "relu_of_sum").iterdir()}
    assert texts.pop("00-scheduled.tdsl") == print_program(program)
    before, wanted = program, {}
    for number, (name, after) in enumerate(dumps, 1):
        text = "(unchanged)\n" if after is before else print_program(after)
        wanted[f"{number:02}-{name}.tdsl"] = text
        before = after
    assert texts == wanted
    assert wanted["02-unfuse_serial.tdsl"] == "(unchanged)\n"


def test_programs_are_kept_where_asked():
    program = algorithms.relu_of_sum()
    kept = lower(program, TARGET, keep=True)
    assert [name for name, _ in kept.dumps] == [step.name for step in PIPELINE]
    assert kept.dumps[-1][1] is kept.program
    assert lower(program, TARGET).dumps == ()


@pytest.mark.parametrize("level", ["0", "1", "2"])
def test_times_are_printed_with_tdsl_debug_and_programs_from_level_two_on(
    level, monkeypatch, capsys
):
    clock = itertools.count()
    monkeypatch.setattr(passes.time, "perf_counter", lambda: next(clock))
    monkeypatch.setenv("TDSL_DEBUG", level)
    program = algorithms.relu_of_sum()
    dumps = lower(program, TARGET, keep=True).dumps
    before, wanted = program, []
    for name, after in dumps:
        note = "  (unchanged)" if after is before else ""
        wanted.append(f"lower {name:18}  1000.00 ms{note}")
        if level == "2" and not note:
            wanted.append(print_program(after))
        before = after
    printed = "" if level == "0" else "\n".join([*wanted, ""])
    assert capsys.readouterr().out == printed


def test_a_pass_that_breaks_the_tree_is_caught_with_tdsl_verify(monkeypatch):
    def lose_allocations(program, target):
        from dataclasses import replace

        return replace(program, body=Seq((program.body.body,)))

    broken = (pipeline.Pass(lose_allocations, "to be caught"),)
    monkeypatch.setattr(pipeline, "PIPELINE", broken)
    monkeypatch.setenv("TDSL_VERIFY", "1")
    with pytest.raises(InternalError, match="is not allocated here"):
        lower(algorithms.softmax(), TARGET)
    monkeypatch.setenv("TDSL_VERIFY", "0")
    lower(algorithms.softmax(), TARGET)
