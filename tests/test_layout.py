"""The tree keeps its shape: links are links, files and functions stay small, no machine named."""

import ast
import functools
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FILE_LINES = 600
FUNCTION_LINES = 80
LINKED = ("schedules", "autotune")


@functools.cache
def project_files() -> tuple[Path, ...]:
    """What git tracks; in an unpacked sdist, where there is no git, every file of the project."""
    git = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files", "-z"], capture_output=True, text=True, check=False
    )
    if git.returncode == 0 and git.stdout:
        found = [ROOT / name for name in git.stdout.split("\0") if name]
    else:
        tops = ("tdsl", *LINKED, "tests", "tutorials", "benchmarks")
        found = [path for top in tops for path in (ROOT / top).rglob("*")]
    return tuple(path for path in found if path.is_file() and "__pycache__" not in path.parts)


def python_files() -> list[Path]:
    return [path for path in project_files() if path.suffix == ".py"]


def relative(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.fixture(params=LINKED)
def name(request):
    """A linked package, in a checkout: in an unpacked sdist the links became directories."""
    if not (ROOT / request.param).is_dir():
        pytest.skip(f"no top-level {request.param}/: an unpacked sdist")
    return request.param


def test_linked_package_is_a_relative_link(name):
    link = ROOT / "tdsl" / name
    assert link.is_symlink(), f"{link} is not a link: was git run with core.symlinks=false?"
    assert str(link.readlink()) == f"../{name}"


def test_linked_package_refuses_its_bare_name(name):
    done = subprocess.run(
        [sys.executable, "-c", f"import {name}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode != 0
    assert f"import tdsl.{name}, not {name}" in done.stderr


def test_linked_package_imports_under_tdsl(name):
    done = subprocess.run(
        [sys.executable, "-c", f"import tdsl.{name}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_files_stay_below_the_line_cap():
    sizes = {relative(path): path.read_text().count("\n") for path in python_files()}
    assert {name: n for name, n in sizes.items() if n > FILE_LINES} == {}


def test_functions_stay_below_the_line_cap():
    long = {}
    for path in python_files():
        for node in ast.walk(ast.parse(path.read_text(), filename=str(path))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                lines = node.end_lineno - node.lineno + 1
                if lines > FUNCTION_LINES:
                    long[f"{relative(path)}:{node.lineno} {node.name}"] = lines
    assert long == {}


def test_no_file_names_a_path_of_one_machine():
    # spelled in two pieces so that this file passes its own test
    machine_path = re.compile(r"(?<![\w.])/(?:wo" + r"rk|ro" + r"ot|ho" + r"me)/")
    found = []
    for path in project_files():
        try:
            text = path.read_text()
        except UnicodeDecodeError:
            continue  # an image or another binary file
        found += [
            f"{relative(path)}:{number}"
            for number, line in enumerate(text.splitlines(), 1)
            if machine_path.search(line)
        ]
    assert found == []


def test_no_module_has_a_name_that_says_nothing():
    banned = {"utils.py", "helpers.py", "common.py"}
    assert [relative(path) for path in python_files() if path.name in banned] == []
