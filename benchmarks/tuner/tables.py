"""Searches replayed on a table of measured candidates: nothing is measured again.

The table is what a random search left in a database. The space is restricted to its candidates, so
that every search draws from the same ones and each of them has a time.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields

import numpy as np
from numpy.typing import NDArray

from tdsl.autotune.candidates import Candidate
from tdsl.autotune.search import Measured, Search
from tdsl.autotune.space import Space, Structure, Vectors
from tdsl.autotune.tasks import Task
from tdsl.records import Database, Outcome

BATCH = 16


@dataclass(frozen=True)
class TabledStructure(Structure):
    """A structure of which only some vectors are candidates."""

    rows: Vectors = field(default_factory=lambda: np.zeros((0, 0), np.int64))

    def valid(self, values: Vectors) -> NDArray[np.bool_]:
        """Which vectors are in the table."""
        known = {row.tobytes() for row in self.values(self.rows)}
        return np.array([row.tobytes() in known for row in values], np.bool_)

    def random(self, rng: np.random.Generator, count: int) -> Vectors:
        """Vectors of the table by lot."""
        return self.rows[rng.integers(0, len(self.rows), count)]


@dataclass(frozen=True)
class Table:
    """A restricted space and the outcome of each of its candidates, by key."""

    name: str
    space: Space
    outcomes: dict[str, Measured]

    @property
    def best(self) -> float:
        """The least time in the table."""
        return min(m.seconds for m in self.outcomes.values() if m.seconds is not None)


def load_table(name: str, task: Task, db: Database) -> Table:
    """The table of what random searches measured of a task."""
    space = Space(task)
    outcomes: dict[str, Measured] = {}
    rows: dict[int, list[NDArray[np.int64]]] = {}
    for record in db.records(task.workload.key):
        candidate = Candidate.parse(record.candidate)
        hit = None if candidate is None else space.find(candidate)
        if candidate is None or hit is None or record.outcome is Outcome.REFUSED:
            continue
        if not candidate.knobs:
            continue  # a structure of its own, such as the default: any search finds it at once
        if space.structures[hit[0]].candidate(hit[1]).key == candidate.key:
            outcomes[candidate.key] = Measured(candidate, record.time, record.outcome)
            rows.setdefault(hit[0], []).append(hit[1])
    space.structures = [
        TabledStructure(
            **{f.name: getattr(space.structures[number], f.name) for f in fields(Structure)},
            rows=np.array(found, np.int64).reshape(len(found), -1),
        )
        for number, found in sorted(rows.items())
    ]
    return Table(name, space, outcomes)


def best_so_far(
    table: Table, make: Callable[[Space], Search], seed: int, trials: int
) -> NDArray[np.float64]:
    """Seconds of the best candidate after each trial of one search."""
    search = make(table.space)
    history: list[Measured] = []
    times: list[float] = []
    for number in range(-(-trials // BATCH)):
        known = sorted(history, key=lambda measured: measured.candidate.key)
        proposals = search.propose(known, BATCH, np.random.default_rng([seed, number]))
        for proposal in proposals:
            measured = table.outcomes[proposal.candidate.key]
            history.append(measured)
            times.append(float("inf") if measured.seconds is None else measured.seconds)
    return np.minimum.accumulate(times[:trials])


def curve(
    table: Table, make: Callable[[Space], Search], seeds: int, points: Sequence[int]
) -> list[float]:
    """How far above the table's best the best so far is: geometric means over the seeds."""
    curves = [best_so_far(table, make, seed, max(points)) for seed in range(seeds)]
    means = np.exp(np.mean([np.log(each / table.best) for each in curves], axis=0))
    return [float(means[min(point, len(means)) - 1]) for point in points]
