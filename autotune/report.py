"""What people see while a session runs: a live table, or plain lines where there is no terminal."""

from __future__ import annotations

import time
from collections import Counter
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tdsl.autotune.extents import total_flops
from tdsl.autotune.results import Listener, TaskResult
from tdsl.autotune.tasks import Task
from tdsl.records import Outcome, Record

_SHOWN = 5  # best candidates
_LINE_SECONDS = 5.0  # between plain lines


class LiveReport(Listener):
    """Shows a session on standard error. A context manager.

    Args:
        trials: at how many the session ends.
        console: where to show it; None: standard error.
        seconds: after how many the search ends, if that is sooner.
    """

    def __init__(
        self, trials: int, console: Console | None = None, seconds: float | None = None
    ) -> None:
        super().__init__(self._started, self._trial, self._phase)
        self._console = console or Console(stderr=True)
        self._live: Live | None = None
        self._trials = trials
        self._seconds = seconds
        self._task: Task | None = None
        self._flops = 0.0
        self._size = 0
        self._counts: Counter[Outcome] = Counter()
        self._best: list[Record] = []
        self._doing = ""
        self._known = 0
        self._opened = self._began = time.monotonic()
        self._said = 0.0

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live = Live(self._render(), console=self._console, refresh_per_second=4)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.update(self._render())
            self._live.stop()

    def _started(self, task: Task, size: int, records: list[Record]) -> None:
        self._task, self._size = task, size
        self._flops = total_flops(task.func, dict(task.sizes))
        self._began = time.monotonic()
        for record in records:
            self._count(record)
        self._known = self._done
        self._say(f"{task.workload}: {size} candidates, {self._known} trials known")

    def _trial(self, record: Record) -> None:
        self._count(record)
        self._refresh()
        if time.monotonic() - self._said >= _LINE_SECONDS:
            self._say(f"{self._done}/{self._trials} trials, {self._best_text()}, {self._left()}")

    def _phase(self, words: str) -> None:
        self._doing = words
        self._refresh()
        self._say(words)

    def _count(self, record: Record) -> None:
        self._counts[record.outcome] += 1
        if record.time is not None:
            self._best = sorted([*self._best, record], key=lambda r: r.time or 0.0)[:_SHOWN]

    @property
    def _done(self) -> int:
        return sum(count for outcome, count in self._counts.items() if outcome.is_trial)

    def _say(self, words: str) -> None:
        self._said = time.monotonic()
        if self._live is None:
            self._console.print(
                f"{self._said - self._opened:7.1f} s  {words}", highlight=False, soft_wrap=True
            )

    def _refresh(self) -> None:
        if self._live is not None:
            self._live.update(self._render())

    def _best_text(self) -> str:
        if not self._best or self._best[0].time is None:
            return "nothing has run yet"
        return f"best {duration(self._best[0].time)}{self._rate(self._best[0].time)}"

    def _rate(self, seconds: float) -> str:
        return f" ({self._flops / seconds / 1e9:.1f} GFLOP/s)" if self._flops else ""

    def _left(self) -> str:
        done = self._done - self._known
        elapsed = time.monotonic() - self._began
        ends = [] if self._seconds is None else [max(0.0, self._seconds - elapsed)]
        if done:
            ends.append(elapsed / done * max(0, self._trials - self._done))
        return f"about {min(ends):.0f} s left" if ends else "time left unknown"

    def _render(self) -> Group:
        head = Text(str(self._task.workload) if self._task else "", style="bold")
        bar = ProgressBar(total=max(1, self._trials), completed=self._done, width=40)
        failed = ", ".join(
            f"{count} {outcome.value}"
            for outcome, count in self._counts.items()
            if outcome is not Outcome.OK
        )
        elapsed = time.monotonic() - self._began
        line = f"{self._done}/{self._trials} trials  {elapsed:.0f} s  {self._left()}"
        state = Table.grid(padding=(0, 2))
        state.add_row(bar, f"{line}  {self._doing}" + (f"  ({failed})" if failed else ""))
        table = Table(box=None, pad_edge=False)
        for name in ("", "time", "rate", "from", "candidate"):
            table.add_column(name, overflow="fold")
        for rank, record in enumerate(self._best, start=1):
            seconds = record.time or 0.0
            table.add_row(
                str(rank),
                duration(seconds),
                self._rate(seconds).strip(" ()"),
                record.source,
                shown_candidate(record.candidate),
            )
        return Group(head, state, table)


def shown_candidate(candidate: object) -> str:
    """A candidate of a record in one line: options as text, numbers of options in old records."""
    match candidate:
        case {"choices": dict(choices), "knobs": dict(knobs), **rest}:
            labels = rest.get("labels")
            told = {**choices, **(labels if isinstance(labels, dict) else {}), **knobs}
            return " ".join(f"{name}={_one_word(value)}" for name, value in told.items())
        case None:
            return "default"
        case _:
            return str(candidate)


def _one_word(value: object) -> str:
    """A value that stays together where others stand beside it."""
    return str(value).replace(" ", "-")


def summary(result: TaskResult) -> str:
    """The outcome of a session in a few lines."""
    workload = result.task.workload
    lines = [f"{workload}", f"  trials   {result.trials} ({result.measured} measured now)"]
    verdict = result.verdict
    if verdict is not None:
        flops = total_flops(result.task.func, dict(result.task.sizes))
        rate = f"  {flops / verdict.seconds / 1e9:.1f} GFLOP/s" if flops else ""
        lines.append(f"  default  {duration(verdict.default_seconds)}")
        if verdict.candidate is None:
            lines.append("  tuned    no candidate beats the default by more than the noise")
        else:
            ratio = verdict.default_seconds / verdict.seconds
            lines.append(
                f"  tuned    {duration(verdict.seconds)}{rate}  {ratio:.2f}x the default "
                f"(noise {verdict.noise:.1%}), {verdict.numerics}"
            )
        lines += [f"  dropped  {step}" for step in verdict.dropped]
    elif result.best is not None and result.best.time is not None:
        lines.append(f"  best     {duration(result.best.time)}, not yet compared with the default")
    if result.stopped:
        lines.append(f"  stopped  {result.stopped}; the same command goes on from here")
    if result.file is not None:
        lines.append(f"  file     {result.file}")
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """Seconds with a unit that suits them.

    >>> duration(0.00123), duration(4.5e-7)
    ('1.230 ms', '0.450 us')
    """
    for unit, scale in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= scale:
            return f"{seconds / scale:.3f} {unit}"
    return f"{seconds / 1e-6:.3f} us"
