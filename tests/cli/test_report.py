"""`tdsl report`: a page that stands alone."""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

import tdsl as td
from tdsl.records import Database, Outcome, Record, Verdict, workload_of
from tdsl.reporting.machine import Roof
from tdsl.runtime.cpus import default_num_threads
from tests.cli.test_newcomer import Told, tdsl

__all__ = ["tdsl"]

VOID = {"meta", "br", "path", "use", "rect", "line"}


class Page(HTMLParser):
    """Sees that elements close in order, and collects what they hold and refer to."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.words: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.links += [value or "" for name, value in attrs if name in {"src", "href"}]
        if tag not in VOID | {"li", "tr", "td", "th"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID | {"li", "tr", "td", "th"}:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(autouse=True)
def _packages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")
    monkeypatch.setenv("TDSL_DB", str(tmp_path / "tuning.db"))
    monkeypatch.setattr("tdsl.reporting.page.measured_roof", lambda: Roof(1e11, 1e10))


def test_a_page_shows_a_kernel_and_needs_nothing_beside_it(tdsl: Told) -> None:
    told = tdsl("report", "kernels.py:scheduled", "-s", "8", "--out", "page.html")
    assert "what twice costs depends on M, N" in told.err
    assert not Path("page.html").exists()
    told = tdsl("report", "kernels.py:twice", "-s", "M=16,N=32", "--out", "page.html")
    assert told.status == 0, told.err
    page = Page(Path("page.html").read_text())
    assert page.open == []
    assert all(link.startswith("#") for link in page.links)
    for words in (
        "twice with M=16, N=32",
        "measured",
        "100 GFLOP/s in float32",
        "into L1",
        "proven, exact",
        "assembly",
        "tdsl report kernels.py:twice -s M=16,N=32",
    ):
        assert words in page.text


def test_a_page_shows_how_a_kernel_was_tuned(tdsl: Told, tmp_path: Path) -> None:
    A = td.placeholder((64, 64), "float32", name="A")
    B = td.compute((64, 64), lambda i, j: A[i, j] * 2.0, name="B")
    func = td.func("twice", [A], [B])
    Path("tuned.py").write_text(
        "import tdsl as td\n"
        "A = td.placeholder((64, 64), 'float32', name='A')\n"
        "B = td.compute((64, 64), lambda i, j: A[i, j] * 2.0, name='B')\n"
        "func = td.func('twice', [A], [B])\n"
    )
    workload = workload_of(func, td.target("llvm"), default_num_threads())
    with Database(tmp_path / "tuning.db") as db:
        db.add_workload(workload)
        for number, outcome in enumerate([Outcome.OK, Outcome.RUN_CRASH, Outcome.OK]):
            seconds = (1e-3 / (1 + number),) if outcome is Outcome.OK else ()
            candidate = {"choices": {}, "knobs": {"rows": number}}
            error = "" if seconds else "it <died>"
            db.add(workload.key, Record(candidate, outcome, seconds, error=error, source="random"))
        best: dict[str, object] = {"choices": {}, "knobs": {"rows": 2}}
        verdict = Verdict(3, False, best, (), "exact", 1e-3, 2e-3, 0.01, ("s.unroll(j)",), 0)
        db.set_verdict(workload.key, verdict)
    assert tdsl("report", "tuned.py:func", "--no-time").status == 0, tdsl.err
    text = Path("twice.html").read_text()
    page = Page(text)
    assert "3 trials, 2 of them timed" in page.text
    assert "tuned 1.000 ms, default 2.000 ms: 2.00 times as quick, noise 1.0%, exact" in page.text
    assert "rows=2" in page.text
    assert "it <died>" in page.text
    assert "it <died>" not in text  # what others wrote is no markup
    assert "dropped, since it did not matter: s.unroll(j)" in page.text
    assert "Why this schedule" not in page.text


def test_what_cannot_be_reported(
    tdsl: Told, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told = tdsl("report", "kernels.py:twice", "-s", "4x4", "--out", "nowhere/page.html")
    assert "there is no folder" in told.err
    monkeypatch.setitem(sys.modules, "jinja2", None)
    told = tdsl("report", "kernels.py:twice", "-s", "4x4")
    assert told.status == 1
    assert "not installed: jinja2" in told.err
    assert "pip install 'tdsl[report]'" in told.err
