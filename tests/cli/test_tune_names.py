"""What `tdsl tune FILE.py:NAME` takes, and what it says of sizes that do not fit."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tdsl.cli import main
from tdsl.cli.tuning import task_for
from tdsl.errors import TdslError

KERNELS = """
import tdsl as td

def twice():
    H, W = td.sizes("H W")
    A = td.placeholder((H, W), "float32", name="A")
    return td.func("twice", [A], [td.compute((H, W), lambda i, j: A[i, j] * 2.0, name="B")])

def scheduled():
    return td.Schedule(twice())
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "kernels.py"
    path.write_text(KERNELS)
    return path


@pytest.mark.parametrize("name", ["twice", "scheduled"])
def test_sizes_are_for_the_algorithm_that_a_function_without_arguments_returns(
    file: Path, name: str
) -> None:
    task = task_for(f"{file}:{name}", "3x5", target=None, threads=1)
    assert task.sizes == {"H": 3, "W": 5}
    assert task.location == f"{file}:{name}"


@pytest.mark.parametrize("sizes", ["3", "3x5x7"])
def test_a_wrong_number_of_sizes_is_refused_with_their_names(file: Path, sizes: str) -> None:
    with pytest.raises(TdslError, match=r"twice has 2 symbolic sizes \(H, W\), got"):
        task_for(f"{file}:twice", sizes, target=None, threads=1)


def test_errors_of_a_command_show_no_line_of_the_libraries(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["tdsl", "tune", f"{file}:twice", "-s", "3"])
    with pytest.raises(SystemExit) as left:
        main()
    told = capsys.readouterr().err
    assert left.value.code == 1
    assert "got 1 numbers" in told
    assert "typer" not in told
