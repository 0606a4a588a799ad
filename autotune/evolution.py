"""Evolutionary search: breed candidates for several generations, scored by the cost model.

Only the best of the last population are measured, besides a share of random ones, which keep the
model honest about the rest of the space.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

from tdsl.autotune.candidates import Candidate
from tdsl.autotune.cost_model import CostModel, ModelSettings
from tdsl.autotune.population import Breeder, Population, joined, unique
from tdsl.autotune.search import Measured, Proposal, RandomSearch, random_candidates
from tdsl.autotune.space import Space
from tdsl.records import Outcome

WARM_UP = 16

_POPULATION = 2048
_GENERATIONS = 5
_ELITE = 256
_PARENTS = 24
_RANDOM_SHARE = 0.125


class EvolutionarySearch:
    """Searches a space with a model of what was measured.

    Args:
        space: what is searched.
        settings: of the model.
        warm_up: measurements before the model is asked.

    Attributes:
        scored, seconds: candidates that the model has seen, and how long that took.
    """

    def __init__(
        self, space: Space, settings: ModelSettings | None = None, warm_up: int = WARM_UP
    ) -> None:
        self._space = space
        self._breeder = Breeder(space)
        self._random = RandomSearch(space)
        self._settings = settings
        self._warm_up = warm_up
        self.scored = 0
        self.seconds = 0.0

    def propose(
        self, history: Sequence[Measured], count: int, rng: np.random.Generator
    ) -> list[Proposal]:
        known = [m for m in history if m.outcome is not Outcome.REFUSED]
        known = [m for m in known if self._space.find(m.candidate) is not None]
        timed = [m for m in known if m.seconds is not None]
        if len(known) < self._warm_up or len(timed) < 2:
            return self._random.propose(history, count, rng)
        model = CostModel(self._settings)
        model.fit(
            self._breeder.rows(self._breeder.known([m.candidate for m in known])),
            [m.seconds for m in known],
        )
        timed.sort(key=lambda m: (m.seconds or 0.0, m.candidate.key))
        population = self._evolve(model, [m.candidate for m in timed[:_PARENTS]], rng)
        seen = {measured.candidate.key for measured in history}
        lucky = round(count * _RANDOM_SHARE)
        found = self._best(population, seen, count - lucky)
        by_lot = random_candidates(self._space, seen, count - len(found), rng)
        return found + [Proposal(candidate, "random") for candidate in by_lot]

    def _evolve(
        self, model: CostModel, parents: Sequence[Candidate], rng: np.random.Generator
    ) -> Population:
        """The best that were bred, best first."""
        breeder = self._breeder
        best = breeder.known(parents)
        pool = joined([best, breeder.neighbours(best), breeder.random(rng, _POPULATION)])
        elite = self._fittest(model, pool)
        for _ in range(_GENERATIONS):
            weights = np.exp(-4.0 * np.arange(len(elite)) / len(elite))
            children = breeder.children(elite, weights, _POPULATION, rng)
            elite = self._fittest(model, joined([elite, children]))
        return elite

    def _fittest(self, model: CostModel, population: Population) -> Population:
        population = unique(population)
        started = time.perf_counter()
        scores = model.predict(self._breeder.rows(population))
        self.seconds += time.perf_counter() - started
        self.scored += len(population)
        order = np.argsort(scores, kind="stable")[:_ELITE]
        return population.take(order)

    def _best(self, population: Population, seen: set[str], count: int) -> list[Proposal]:
        found: list[Proposal] = []
        for row in range(len(population)):
            if len(found) == count:
                break
            candidate = self._breeder.candidate(population, row)
            if candidate.key not in seen:
                seen.add(candidate.key)
                found.append(Proposal(candidate, "evolution"))
        return found
