"""What the cost model is worth: quality on measurements it has not seen, and its speed."""

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.tuner.tables import Table
from tdsl.autotune.cost_model import CostModel, ModelSettings, Objective
from tdsl.autotune.population import Breeder
from tdsl.autotune.space import Space


@dataclass(frozen=True)
class Quality:
    """Of a model that was trained on some candidates of a table, on the others.

    Attributes:
        pairs: share of pairs, of times more than 2 % apart, whose order it knows.
        regret: time of its favourite over the best time; `regret8`: the best of its eight.
    """

    pairs: float
    regret: float
    regret8: float


def held_out(table: Table, objective: Objective, trained: int, seed: int) -> Quality:
    """Train on some candidates by lot, judge on all others."""
    known = sorted(table.outcomes.values(), key=lambda measured: measured.candidate.key)
    order = np.random.default_rng(seed).permutation(len(known))
    breeder = Breeder(table.space)
    rows = breeder.rows(breeder.known([m.candidate for m in known]))
    model = CostModel(ModelSettings(objective=objective))
    model.fit(rows[order[:trained]], [known[n].seconds for n in order[:trained]])
    rest = [n for n in order[trained:] if known[n].seconds is not None]
    times = np.array([known[n].seconds for n in rest])
    scores = model.predict(rows[rest])
    favourites = times[np.argsort(scores, kind="stable")]
    return Quality(
        _pairs(scores, times),
        float(favourites[0] / times.min()),
        float(favourites[:8].min() / times.min()),
    )


def _pairs(scores: NDArray[np.float32], times: NDArray[np.float64]) -> float:
    apart = times[:, None] > 1.02 * times[None, :]
    return float((scores[:, None] > scores[None, :])[apart].mean())


def scored_a_second(space: Space, seconds: float = 2.0) -> float:
    """Candidates that get features and a score in one second, on one thread."""
    breeder = Breeder(space)
    population = breeder.random(np.random.default_rng(0), 20000)
    model = CostModel()
    sample = breeder.rows(population.take(np.arange(64)))
    model.fit(sample, list(np.linspace(1e-3, 2e-3, len(sample))))
    count, started = 0, time.perf_counter()
    while (taken := time.perf_counter() - started) < seconds:
        model.predict(breeder.rows(population))
        count += len(population)
    return count / taken
