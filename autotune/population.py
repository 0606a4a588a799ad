"""Populations: many candidates as arrays, mutated and crossed without leaving numpy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from tdsl.autotune.candidates import Candidate
from tdsl.autotune.space import Space, Structure, Vectors

_CROSSED = 0.3  # share of children that have two parents
_MOVED = 0.1  # share that takes another structure
_STEPPED = 0.6  # share of mutations that go to a neighbouring value

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Population:
    """Candidates: the number of the structure, and indices into its domains (zeros behind)."""

    structures: Indices
    genes: Vectors

    def __len__(self) -> int:
        return len(self.structures)

    def take(self, which: NDArray[np.integer]) -> Population:
        """Some of them."""
        return Population(self.structures[which], self.genes[which])


class Breeder:
    """Makes populations of one space."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.width = max([1, *(len(s.names) for s in space.structures)])
        self._sizes = np.ones((len(space.structures), self.width), np.int64)
        for number, structure in enumerate(space.structures):
            for column, domain in enumerate(structure.domains):
                self._sizes[number, column] = len(domain)

    def random(self, rng: np.random.Generator, count: int) -> Population:
        """Random candidates, about as many of each structure."""
        each = max(1, count // len(self.space.structures))
        parts = [
            self.of(number, structure.random(rng, each))
            for number, structure in enumerate(self.space.structures)
        ]
        return joined(parts)

    def of(self, number: int, indices: Vectors) -> Population:
        """The population of some vectors of one structure."""
        genes = np.zeros((len(indices), self.width), np.int64)
        genes[:, : indices.shape[1]] = indices
        return Population(np.full(len(indices), number, np.int64), genes)

    def known(self, candidates: Sequence[Candidate]) -> Population:
        """Candidates that were measured; those that the space does not have are left out."""
        found = [self.space.find(candidate) for candidate in candidates]
        parts = [self.of(hit[0], hit[1][None, :]) for hit in found if hit is not None]
        return joined(parts) if parts else self.of(0, np.zeros((0, 0), np.int64))

    def children(
        self,
        parents: Population,
        weights: NDArray[np.float64],
        count: int,
        rng: np.random.Generator,
    ) -> Population:
        """Mutated copies and crossings of parents drawn by weight; invalid ones are dropped."""
        drawn = rng.choice(len(parents), size=count, p=weights / weights.sum())
        structures = parents.structures[drawn].copy()
        genes = parents.genes[drawn].copy()
        self._cross(structures, genes, rng)
        self._move(structures, genes, rng)
        self._mutate(structures, genes, rng)
        return self.valid(Population(structures, genes))

    def neighbours(self, population: Population) -> Population:
        """Every candidate that is one step away in one knob."""
        parts = []
        for column in range(self.width):
            for step in (-1, 1):
                genes = population.genes.copy()
                genes[:, column] += step
                parts.append(Population(population.structures, genes))
        every = joined(parts)
        sizes = self._sizes[every.structures]
        inside = ((every.genes >= 0) & (every.genes < sizes)).all(axis=1)
        return self.valid(every.take(np.flatnonzero(inside)))

    def valid(self, population: Population) -> Population:
        """Those that meet all conditions, each once."""
        keep = np.zeros(len(population), np.bool_)
        for structure, rows in self._groups(population):
            values = structure.values(population.genes[rows][:, : len(structure.names)])
            keep[rows] = structure.valid(values)
        return unique(population.take(np.flatnonzero(keep)))

    def rows(self, population: Population) -> NDArray[np.float32]:
        """Features of each candidate."""
        return self._by_structure(population, lambda s, values: s.features.run(values))

    def candidate(self, population: Population, row: int) -> Candidate:
        """One of them."""
        structure = self.space.structures[int(population.structures[row])]
        return structure.candidate(population.genes[row, : len(structure.names)])

    def _by_structure(
        self, population: Population, compute: Callable[[Structure, Vectors], NDArray[np.float32]]
    ) -> NDArray[np.float32]:
        result: NDArray[np.float32] | None = None
        for structure, rows in self._groups(population):
            found = compute(
                structure, structure.values(population.genes[rows][:, : len(structure.names)])
            )
            if result is None:
                result = np.zeros((len(population), found.shape[1]), np.float32)
            result[rows] = found
        return np.zeros((0, 1), np.float32) if result is None else result

    def _groups(self, population: Population) -> list[tuple[Structure, Indices]]:
        """The rows of each structure."""
        found = []
        for number, structure in enumerate(self.space.structures):
            rows = np.flatnonzero(population.structures == number)
            if len(rows):
                found.append((structure, rows))
        return found

    def _cross(self, structures: Indices, genes: Vectors, rng: np.random.Generator) -> None:
        """Some children take some of their knobs from another parent of the same structure."""
        partner = rng.permutation(len(structures))
        crossed = (rng.random(len(structures)) < _CROSSED) & (structures == structures[partner])
        from_partner = (rng.random(genes.shape) < 0.5) & crossed[:, None]
        genes[from_partner] = genes[partner][from_partner]

    def _move(self, structures: Indices, genes: Vectors, rng: np.random.Generator) -> None:
        """Some children take another structure, with their knobs where it has them too."""
        if len(self.space.structures) < 2:
            return
        for row in np.flatnonzero(rng.random(len(structures)) < _MOVED):
            old = self.space.structures[int(structures[row])]
            number = int(rng.integers(0, len(self.space.structures)))
            new = self.space.structures[number]
            numbers = {
                name: int(domain[gene])
                for name, domain, gene in zip(old.names, old.domains, genes[row], strict=False)
            }
            fresh = np.zeros(self.width, np.int64)
            for column, (name, domain) in enumerate(zip(new.names, new.domains, strict=True)):
                if name in numbers:
                    fresh[column] = int(np.abs(domain - numbers[name]).argmin())
                else:
                    fresh[column] = int(rng.integers(0, len(domain)))
            structures[row], genes[row] = number, fresh

    def _mutate(self, structures: Indices, genes: Vectors, rng: np.random.Generator) -> None:
        """Each child changes one knob: to a neighbouring value, or to any."""
        sizes = self._sizes[structures]
        count = np.array([len(s.names) for s in self.space.structures])[structures]
        rows = np.flatnonzero(count > 0)
        if not len(rows):
            return
        column = (rng.random(len(rows)) * count[rows]).astype(np.int64)
        size = sizes[rows, column]
        steps = rng.integers(1, 4, len(rows)) * rng.choice([-1, 1], len(rows))
        stepped = np.clip(genes[rows, column] + steps, 0, size - 1)
        anywhere = (rng.random(len(rows)) * size).astype(np.int64)
        near = rng.random(len(rows)) < _STEPPED
        genes[rows, column] = np.where(near, stepped, anywhere)


def joined(parts: Sequence[Population]) -> Population:
    """Several populations as one."""
    return Population(
        np.concatenate([part.structures for part in parts]),
        np.concatenate([part.genes for part in parts]),
    )


def unique(population: Population) -> Population:
    """Each candidate once, in a fixed order."""
    if not len(population):
        return population
    rows = np.column_stack([population.structures, population.genes]).astype(np.uint64)
    _, first = np.unique(rows @ _multipliers(rows.shape[1]), return_index=True)
    return population.take(np.sort(first))


@lru_cache
def _multipliers(count: int) -> NDArray[np.uint64]:
    """Random factors that make one number of a row: sorting rows whole takes ten times as long."""
    rng = np.random.default_rng(0)
    return rng.integers(1, 2**64, count, np.uint64, endpoint=False) | np.uint64(1)
