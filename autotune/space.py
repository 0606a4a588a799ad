"""Spaces: the structures that a template can take, and the knob vectors of each.

A structure is what `knob.choice` decides: which steps there are. Within one, candidates differ in
numbers only, so that masks and features are numpy programs over arrays of knob vectors. A template
is run once to discover each structure; afterwards only for candidates that are measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random

import numpy as np
from numpy.typing import NDArray

from tdsl.autotune.candidates import Candidate
from tdsl.autotune.features import Machine, conditions, features
from tdsl.autotune.knobs import Declared, KnobError, Knobs, Picker
from tdsl.autotune.limits import MOST_STRUCTURES, MOST_UNROLLED
from tdsl.autotune.nests import NestWatcher
from tdsl.autotune.replay import TemplateSchedule
from tdsl.autotune.tasks import Task
from tdsl.autotune.terms import TermProgram
from tdsl.errors import LoweringError, ScheduleError, TdslError

Vectors = NDArray[np.int64]

_MODEST = 8  # the number that a first run of a template tries for each knob
_TRIES = 4


@dataclass(frozen=True)
class Structure:
    """One structure of a space.

    Attributes:
        space: the space's name.
        choices: the options taken, by name; `labels` are the same as text.
        names, domains: of the numeric knobs; their order is that of the columns of vectors.
        conditions: what must hold, as a program over vectors.
        features: what the cost model sees, likewise.
        feature_names: of the columns that it gives.
        mismatches: where the symbolic nest and the schedule disagreed (for tests and debugging).
    """

    space: str
    choices: tuple[tuple[str, int], ...]
    names: tuple[str, ...]
    domains: tuple[NDArray[np.int64], ...]
    conditions: TermProgram
    features: TermProgram
    feature_names: tuple[str, ...]
    mismatches: tuple[str, ...]
    labels: tuple[tuple[str, str], ...] = ()

    @cached_property
    def size(self) -> int:
        """How many vectors there are, valid or not."""
        count = 1
        for domain in self.domains:
            count *= len(domain)
        return count

    def values(self, indices: Vectors) -> Vectors:
        """Knob values from indices into the domains, one row for each vector."""
        columns = [domain[indices[:, n]] for n, domain in enumerate(self.domains)]
        return np.stack(columns, axis=1) if columns else np.zeros((len(indices), 0), np.int64)

    def valid(self, values: Vectors) -> NDArray[np.bool_]:
        """Which vectors meet all conditions."""
        if not len(self.conditions):
            return np.ones(len(values), np.bool_)
        return np.asarray((self.conditions.run(values) != 0).all(axis=1))

    def random(self, rng: np.random.Generator, count: int) -> Vectors:
        """Indices of up to `count` random vectors that meet all conditions."""
        found: list[Vectors] = []
        missing = count
        for _ in range(_TRIES):
            drawn = max(64, 2 * missing)
            columns = [rng.integers(0, len(domain), drawn) for domain in self.domains]
            indices = np.stack(columns, axis=1) if columns else np.zeros((1, 0), np.int64)
            kept = indices[self.valid(self.values(indices))][:missing]
            found.append(kept)
            missing -= len(kept)
            if missing <= 0 or not self.domains:
                break
        return np.concatenate(found)

    def candidate(self, indices: NDArray[np.int64]) -> Candidate:
        """The candidate of one vector."""
        numbers = [int(domain[n]) for domain, n in zip(self.domains, indices, strict=True)]
        knobs = tuple(zip(self.names, numbers, strict=True))
        return Candidate(self.space, self.choices, knobs, self.labels)

    def indices(self, candidate: Candidate) -> NDArray[np.int64] | None:
        """The vector of a candidate of this structure: nearest values where domains differ."""
        if dict(candidate.choices) != dict(self.choices):
            return None
        numbers = dict(candidate.knobs)
        if set(numbers) != set(self.names):
            return None
        return np.array(
            [
                int(np.abs(domain - numbers[name]).argmin())
                for name, domain in zip(self.names, self.domains, strict=True)
            ],
            np.int64,
        )


@dataclass(frozen=True)
class Run:
    """A template that was run: the schedule it made, and what it asked for."""

    schedule: TemplateSchedule
    declared: Declared


class Space:
    """All candidates of a task.

    Raises:
        KnobError: no structure of the template is legal.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self.structures: list[Structure] = []
        self._refusals: list[TdslError] = []
        self._discover()
        if not self.structures:
            last = self._refusals[-1].message if self._refusals else "there was none"
            raise KnobError(
                f"no candidate of {task.space_name} is legal for {task.func.name}; "
                f"the last refusal: {last}"
            )

    @property
    def size(self) -> int:
        """How many candidates there are, valid or not."""
        return sum(structure.size for structure in self.structures)

    def realise(self, candidate: Candidate) -> TemplateSchedule:
        """The schedule of a candidate, proven: as a whole, or step by step where that fails.

        Raises:
            ScheduleError: the prover refuses it.
            KnobError: the template does not know the candidate's knobs.
        """
        numbers = dict(candidate.knobs)

        def pick(name: str, _domain: Sequence[int]) -> int:
            if name not in numbers:
                raise KnobError(f"the candidate has no number for knob {name!r}")
            return numbers[name]

        return self.run(dict(candidate.choices), pick).schedule

    def run(self, choices: Mapping[str, int], pick: Picker) -> Run:
        """Run the template with options and numbers."""
        try:
            return self._run(choices, pick, late=True)
        except ScheduleError:  # which step is refused shows only if each is proven
            return self._run(choices, pick, late=False)

    def _run(self, choices: Mapping[str, int], pick: Picker, *, late: bool) -> Run:
        schedule = TemplateSchedule(self.task.func, self.task.target, late=late)
        knobs = Knobs(schedule, self.task.sizes, choices, pick, constants=self.task.constants)
        self.task.space(schedule, knobs)
        if late:
            schedule.settle()
        return Run(schedule, knobs.declared)

    def find(self, candidate: Candidate) -> tuple[int, NDArray[np.int64]] | None:
        """The structure and the vector of a candidate."""
        for number, structure in enumerate(self.structures):
            indices = structure.indices(candidate)
            if indices is not None:
                return number, indices
        return None

    def _discover(self) -> None:
        """Walk the tree of choices; a structure that is refused with several numbers is dropped."""
        rng = Random(0)  # noqa: S311 - the same structures in every session
        pending: list[dict[str, int]] = [{}]
        visited = 0
        while pending and visited < MOST_STRUCTURES:
            prefix = pending.pop(rng.randrange(len(pending)) if len(pending) > 16 else -1)
            visited += 1
            asked = self._try(prefix, rng)
            taken: dict[str, int] = {}
            for name, (option, count) in asked.choices.items():
                if name not in prefix:
                    pending += [{**taken, name: other} for other in range(1, count)]
                taken[name] = option

    def _try(self, prefix: Mapping[str, int], rng: Random) -> Declared:
        """Run a structure until some numbers are legal; what the first run asked for."""
        asked: Declared | None = None
        for attempt in range(-1, _TRIES):  # the first time, all steps are proven as one
            declared = Declared()
            watcher = NestWatcher(self.task.sizes, declared.values)
            late = attempt < 0
            schedule = TemplateSchedule(self.task.func, self.task.target, watcher, late=late)
            watcher.start(schedule)
            pick = _picker(max(attempt, 0), rng)
            knobs = Knobs(
                schedule,
                self.task.sizes,
                prefix,
                pick,
                declared,
                constants=self.task.constants,
            )
            try:
                self.task.space(schedule, knobs)
                if late:
                    schedule.settle()
            except (ScheduleError, LoweringError) as error:
                self._refusals.append(error)
                asked = asked or declared
                continue
            self.structures.append(self._structure(declared, watcher))
            return declared
        assert asked is not None
        return asked

    def _structure(self, declared: Declared, watcher: NestWatcher) -> Structure:
        choices = tuple((name, option) for name, (option, _) in declared.choices.items())
        machine = Machine(self.task.target, self.task.threads)
        seen = features(watcher.nest, machine, knobs=len(declared.columns), choices=choices)
        sensible = conditions(watcher.nest, self.task.target, MOST_UNROLLED)
        return Structure(
            self.task.space_name,
            choices,
            tuple(declared.columns),
            tuple(np.array(domain, np.int64) for domain in declared.columns.values()),
            TermProgram([*declared.conditions, *sensible]),
            TermProgram([term for _, term in seen]),
            tuple(name for name, _ in seen),
            tuple(watcher.mismatches),
            tuple(declared.labels.items()),
        )


def _picker(attempt: int, rng: Random) -> Picker:
    """Modest numbers first, then the smallest ones, then random ones."""

    def pick(_name: str, domain: Sequence[int]) -> int:
        match attempt:
            case 0:
                return min(domain, key=lambda value: abs(value - _MODEST))
            case 1:
                return domain[0]
            case _:
                return rng.choice(list(domain))

    return pick
