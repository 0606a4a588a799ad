"""What can be wrong with a model, before any kernel of it runs."""

from __future__ import annotations

from collections.abc import Sequence

from tdsl.errors import FormatError, TdslError, TypeMismatch


class GraphError(TdslError, ValueError):
    """A model graph that cannot be: shapes or values that do not fit an operator."""


class FeedError(GraphError):
    """Inputs of a run that do not fit the model: names, ranks, extents."""


class FeedTypeError(TypeMismatch):
    """Inputs of a run of a wrong element type."""


class ModelFormatError(FormatError):
    """A model file that is damaged, too large, or points outside its folder."""


class MissingPackageError(TdslError, ImportError):
    """The package that reads models is not installed."""


class UnsupportedModelError(GraphError):
    """Every operator of a model that tdsl cannot run, all at once.

    Attributes: `problems`, one line for each kind of node.
    """

    def __init__(self, problems: Sequence[str]) -> None:
        lines = "\n".join(f"  {problem}" for problem in problems)
        noun = "kind of node" if len(problems) == 1 else "kinds of nodes"
        super().__init__(f"{len(problems)} {noun} of this model cannot be run:\n{lines}")
        self.problems = tuple(problems)


class ValueNeededError(GraphError):
    """A shape depends on the value of a model input, which is known only at a run."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the shapes of this model depend on the value of its input {name!r}")
        self.name = name
