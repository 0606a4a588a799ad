"""Kernels that serve every size of a model's symbolic dimensions.

A model's graph is made anew for each size, which takes no compiler, and the algorithm of each group
is compared with the kernels that there are. One that none of them computes is generalised: together
with its fellow in the graph for another size it is an example of an algorithm of symbolic sizes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence

from tdsl.errors import TdslError
from tdsl.graph.examples import Template, Unlike, generalise
from tdsl.graph.fusion import Group
from tdsl.graph.ir import Model
from tdsl.lang.func import Func
from tdsl.runtime.kernel import Kernel

Planned = tuple[Model, tuple[Group, ...]]
"""A model after its passes, and the groups that become kernels."""
Sized = tuple[Kernel, tuple[int, ...]]
"""A kernel and the values of its sizes, in the order of its signature."""

GROWTH = (5, 7, 11, 13, 17, 19, 23, 29)
"""What is added to dimensions in another graph: no multiples of each other."""


class SymbolicKernels:
    """The kernels of symbolic sizes that one model has so far."""

    def __init__(self) -> None:
        self._known: dict[Hashable, list[tuple[Template, Kernel]]] = defaultdict(list)

    @property
    def count(self) -> int:
        """How many kernels there are."""
        return sum(map(len, self._known.values()))

    def find(self, function: Func, constants: frozenset[str]) -> Sized | None:
        """The kernel that computes a function for fixed sizes, if there is one."""
        for template, kernel in self._known[_form(function, constants)]:
            sizes = template.sizes_of(function.program)
            if sizes is not None:
                return kernel, sizes
        return None

    def make(
        self, function: Func, other: Func, constants: frozenset[str],
        build: Callable[[Func], Kernel],
    ) -> Sized:  # fmt: skip
        """A kernel that computes both functions, and the sizes of the first.

        Raises:
            Unlike: there is none.
            ScheduleError, LoweringError: it cannot be built.
        """
        template = generalise(function.program, other.program)
        sizes = template.sizes_of(function.program)
        if sizes is None or template.sizes_of(other.program) is None:
            raise Unlike("its sizes do not follow from the shapes of its operands")
        kernel = build(Func.of_program(template.program))
        self._known[_form(function, constants)].append((template, kernel))
        return kernel, sizes


def _form(function: Func, constants: frozenset[str]) -> Hashable:
    buffers = [param.buffer for param in function.program.params]
    return function.name, constants, tuple((b.dtype, b.rank) for b in buffers)


class Fellows:
    """For each group of a model, the one that does its work in the graph for other sizes.

    That graph is made when it is first asked for.
    """

    def __init__(self, groups: Sequence[Group], other: Callable[[], Planned]) -> None:
        self._groups = groups
        self._other = other
        self._found: dict[Group, Group] | None = None
        self._model: Model | None = None

    def of(self, group: Group) -> tuple[Group, Model]:
        """The group, and the model that it is of.

        Raises:
            Unlike: there is none.
        """
        if self._found is None:
            self._find()
        assert self._found is not None
        if group not in self._found or self._model is None:
            raise Unlike("the model is another one for other sizes")
        return self._found[group], self._model

    def _find(self) -> None:
        self._found = {}
        try:
            self._model, others = self._other()
        except TdslError:  # shapes that the model refuses
            return
        numbered = dict(zip(_numbered(others), others, strict=True))
        for label, group in zip(_numbered(self._groups), self._groups, strict=True):
            if label in numbered:
                self._found[group] = numbered[label]


def _numbered(groups: Sequence[Group]) -> list[tuple[str, int]]:
    """Each group's name, and how many of that name came before it."""
    counts: dict[str, int] = defaultdict(int)
    labels = []
    for group in groups:
        labels.append((group.name, counts[group.name]))
        counts[group.name] += 1
    return labels
