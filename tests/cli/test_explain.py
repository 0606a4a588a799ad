"""`tdsl explain`: rules, steps and costs of a schedule, and steps that are tried."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import tdsl as td
from tdsl.reporting.explanation import explain, quantity, size
from tdsl.reporting.history import history, nest_change
from tests.cli.test_newcomer import Told, tdsl

__all__ = ["tdsl"]


def test_the_default_schedule_is_explained_by_its_rules(tdsl: Told) -> None:
    told = tdsl("explain", "matmul", "-s", "64x32x16").out
    assert tdsl.status == 0, tdsl.err
    assert "C: matmul: a product" in told
    assert 's.cache_write("C")' in told
    assert "65.5 kflop on 14 KiB of data" in told
    assert "numerics: exact" in told
    head = next(line for line in told.splitlines() if line.endswith("loops"))
    assert head.split()[:3] == ["runs", "flop", "data"]


def test_each_loop_has_its_figures(tdsl: Told) -> None:
    data = json.loads(tdsl("explain", "kernels.py:scheduled", "-s", "8", "--json").out or "{}")
    assert data == {}
    assert "what twice costs depends on M, N" in tdsl.err
    assert "help: -s M=512,N=512" in tdsl.err
    data = json.loads(tdsl("explain", "kernels.py:twice", "-s", "M=16,N=100", "--json").out)
    assert data["flops"] == 1600
    assert data["bytes"] == 2 * 4 * 1600
    assert data["loops"][0]["runs"] == 1
    assert data["moved"]["L1"] == data["bytes"]


def test_measured_time_stands_beside_the_prediction(tdsl: Told) -> None:
    assert "measured" in tdsl("explain", "kernels.py:twice", "-s", "16x100", "--time").out


def test_a_step_is_tried(tdsl: Told) -> None:
    told = tdsl("explain", "matmul", "-s", "8x8x8", "--try", 's.parallel("C.k")')
    assert told.status == 1
    assert '1 | s.parallel("C.k")' in told.err
    assert "witness [WAW]" in told.err
    told = tdsl("explain", "matmul", "-s", "8x8x8", "--try", 's.reverse("C.k")')
    assert told.status == 0
    assert "numerics: reassociates" in told.out
    assert told.out.startswith(" ") or told.out.startswith("-")


def test_the_steps_at_a_loop(tdsl: Told) -> None:
    told = tdsl("explain", "matmul", "-s", "8x8x8", "--loop", "C.k").out
    assert "no   s.parallel" in told
    assert "yes  s.split" in told
    assert "cannot list moves: block 'C' has no loop 'q'" in tdsl(
        "explain", "matmul", "-s", "8x8x8", "--loop", "C.q"
    ).err  # fmt: skip


def test_a_schedule_file_is_explained_and_its_broken_line_shown(tdsl: Told) -> None:
    made = "import tdsl as td\nfrom kernels import scheduled\nscheduled().save('t.schedule')\n"
    Path("save.py").write_text(made + "f = scheduled()\n")
    assert tdsl("show", "save.py:f").status == 0
    assert 's.split("B.i", 8)' in tdsl("explain", "t.schedule", "-s", "M=16,N=8").out
    text = Path("t.schedule").read_text()
    Path("t.schedule").write_text(text.replace('"B.i", 8', '"B.q", 8'))
    assert "block 'B' has no loop 'q'" in tdsl("explain", "t.schedule").err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("no.schedule",), "there is no file no.schedule"),
        (("kernels.py:twice",), "depends on M, N"),
        (("kernels.py:twice", "-s", "4"), "has sizes M, N, got 1 numbers"),
        (("kernels.py:twice", "-s", "Q=4"), "'Q=4' is no size of kernels.py:twice, which has M, N"),
        (("kernels.py:twice", "-s", "M=x"), "'M=x' is no size"),
        (("kernels.py:twice", "--try", "foo"), "a step is such as"),
        (("kernels.py:twice", "--try", 's.loops("B")'), "is no step"),
        (("kernels.py:twice", "--try", 's.unrol("B.i")'), "did you mean 'unroll'"),
        (("kernels.py:twice", "--schedule", "best"), "there is no schedule file 'best'"),
    ],
)
def test_what_cannot_be_explained(tdsl: Told, arguments: tuple[str, ...], words: str) -> None:
    told = tdsl("explain", *arguments)
    assert told.status == 1
    assert words in told.err


def test_history_keeps_the_nest_after_each_step() -> None:
    A = td.placeholder((8, 8), "float32", name="A")
    B = td.compute((8, 8), lambda i, j: A[i, j] + 1.0, name="B")
    s = td.Schedule(td.func("f", [A], [B]))
    i, _ = s.split("B.i", 4)
    s.parallel(i)
    first, split, parallel = history(s)
    assert (first.source, split.source) == ("", 'io, ii = s.split("B.i", 4)')
    assert parallel.nest == str(s.nest)
    assert nest_change(split.nest, parallel.nest).splitlines()[:2] == [
        "-for io in 2:",
        "+for io in parallel(2):",
    ]


def test_sizes_that_are_missing_are_named() -> None:
    N = td.sizes("N")
    A = td.placeholder((N,), "float32", name="A")
    B = td.compute((N,), lambda i: A[i] + 1.0, name="B")
    s = td.Schedule(td.func("f", [A], [B]))
    with pytest.raises(td.TypeMismatch, match="depends on N") as refusal:
        explain(s)
    assert refusal.value.hint == "pass sizes={'N': 512}"
    assert explain(s, {"N": 4}).flops == 4


def test_quantities_read_well() -> None:
    assert [size(n) for n in (0, 1023, 1 << 20, 5 << 40)] == ["0 B", "1023 B", "1 MiB", "5 TiB"]
    assert quantity(3_200_000) == "3.2 M"
