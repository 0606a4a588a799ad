"""Charts as SVG text: a kernel under the roofline, and the course of a tuning run."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from tdsl.records import Outcome, Record
from tdsl.reporting.machine import Roof

_INK, _GOOD, _BAD, _FAINT = "#222", "#06c", "#c40", "#999"


def roofline(roof: Roof, intensity: float, rate: float, name: str) -> str:
    """A kernel's rate (operations a second) at its operations a byte, under what is possible."""
    figure, axes = _figure(4.2, 3.0)
    ridge = roof.flops / roof.bandwidth
    low, high = min(intensity, ridge) / 8, max(intensity, ridge) * 8
    ends = [low, ridge, high]
    axes.plot(ends, [roof.at(x) / 1e9 for x in ends], color=_INK)
    axes.plot([intensity], [rate / 1e9], "o", color=_GOOD)
    share = rate / roof.at(intensity)
    axes.annotate(
        f"{name}: {share:.0%}",
        (intensity, rate / 1e9),
        xytext=(6, -12),
        textcoords="offset points",
        color=_GOOD,
    )
    axes.set(xscale="log", yscale="log", xlabel="flop a byte", ylabel="GFLOP/s")
    return _svg(figure)


def course(records: Sequence[Record], default_seconds: float | None) -> str:
    """Times of trials in the order in which they were made, and the best so far."""
    figure, axes = _figure(6.4, 3.0)
    times = [(number, record.time) for number, record in _trials(records)]
    good = [(number, 1e3 * time) for number, time in times if time is not None]
    if good:
        axes.plot(*zip(*good, strict=True), ".", color=_GOOD, label="a trial")
        best = [(number, min(t for n, t in good if n <= number)) for number, _ in good]
        axes.step(*zip(*best, strict=True), where="post", color=_GOOD, label="best so far")
        top = max(time for _, time in good)
        failed = [number for number, time in times if time is None]
        if failed:
            axes.plot(failed, [top] * len(failed), "x", color=_BAD, label="failed")
    if default_seconds is not None:
        axes.axhline(1e3 * default_seconds, color=_FAINT, linestyle="--", label="default schedule")
    axes.set(xlabel="trial", ylabel="ms", yscale="log")
    axes.legend(frameon=False, fontsize=8)
    return _svg(figure)


def _trials(records: Sequence[Record]) -> list[tuple[int, Record]]:
    made = [record for record in records if record.outcome is not Outcome.REFUSED]
    return list(enumerate(made, start=1))


def _figure(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _svg(figure: Any) -> str:
    """The figure as an element of a page; its text stays text."""
    from matplotlib import rc_context

    out = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "tdsl"}):
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    text = out.getvalue()
    return text[text.index("<svg") :]
