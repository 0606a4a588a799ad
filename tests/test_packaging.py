"""The wheel and the sdist hold the whole compiler, linked packages included."""

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
NEEDED = {
    "tdsl/__init__.py",
    "tdsl/py.typed",
    "tdsl/schedules/__init__.py",
    "tdsl/autotune/__init__.py",
}


def build(source, kind, into):
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", kind, "--directory", str(into)],
        cwd=source,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (made,) = into.iterdir()
    return made


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    return build(ROOT, "sdist", tmp_path_factory.mktemp("sdist"))


def wheel_files(wheel):
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_wheel_holds_the_linked_packages_and_nothing_beside_tdsl(tmp_path):
    files = wheel_files(build(ROOT, "wheel", tmp_path))
    assert files >= NEEDED
    assert {Path(name).parts[0].split("-")[0] for name in files} == {"tdsl"}


def test_wheel_built_from_the_sdist_is_the_same(sdist, tmp_path):
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    wheel = build(unpacked, "wheel", tmp_path / "wheel")
    direct = build(ROOT, "wheel", tmp_path / "direct")
    assert wheel_files(wheel) == wheel_files(direct)


def test_sdist_holds_what_its_tests_need(sdist):
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert names >= NEEDED | {"tests/test_packaging.py", "benchmarks/worker.py", "pyproject.toml"}
