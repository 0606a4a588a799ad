"""Which candidates to measure next."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import numpy as np

from tdsl.autotune.candidates import Candidate
from tdsl.autotune.space import Space
from tdsl.records import Outcome

_ROUNDS_OF_LUCK = 8


class SearchKind(Enum):
    """How candidates are found."""

    RANDOM = "random"
    EVOLUTION = "evolution"


@dataclass(frozen=True, slots=True)
class Measured:
    """A candidate that was tried: seconds of a call, None where it failed, and how it ended."""

    candidate: Candidate
    seconds: float | None
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Proposal:
    """A candidate to measure, and what proposed it."""

    candidate: Candidate
    source: str


class Search(Protocol):
    """A way to search a space."""

    def propose(
        self, history: Sequence[Measured], count: int, rng: np.random.Generator
    ) -> list[Proposal]:
        """Up to `count` candidates that are not in the history; fewer where the space is used up.

        The same history and generator give the same candidates.
        """
        ...


class RandomSearch:
    """Candidates by lot: a structure first, then its knobs."""

    def __init__(self, space: Space) -> None:
        self._space = space

    def propose(
        self, history: Sequence[Measured], count: int, rng: np.random.Generator
    ) -> list[Proposal]:
        seen = {measured.candidate.key for measured in history}
        return [Proposal(c, "random") for c in random_candidates(self._space, seen, count, rng)]


def random_candidates(
    space: Space, seen: set[str], count: int, rng: np.random.Generator
) -> list[Candidate]:
    """Up to `count` new candidates; their keys are added to `seen`."""
    found: list[Candidate] = []
    structures = space.structures
    for _ in range(_ROUNDS_OF_LUCK):
        drawn = rng.integers(0, len(structures), 2 * (count - len(found)))
        for number in drawn:
            structure = structures[int(number)]
            for indices in structure.random(rng, 1):
                candidate = structure.candidate(indices)
                if candidate.key not in seen and len(found) < count:
                    seen.add(candidate.key)
                    found.append(candidate)
        if len(found) == count:
            break
    return found
