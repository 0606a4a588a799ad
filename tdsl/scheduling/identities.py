"""The identity of a reducer, where a step combines it with partial results: those must stay."""

from __future__ import annotations

from tdsl.analysis.commute import disturbed_by_identity
from tdsl.ir.stmt import Reducer
from tdsl.scheduling.edit import Edit


def check_identity(edit: Edit, name: str, reducer: Reducer, met_by: str) -> None:
    """See that the reducer of block *name* keeps what its identity is combined to.

    Args:
        edit: the step that combines it.
        name: the block's.
        reducer: how it combines values.
        met_by: what the step combines with partial results, such as "terms of a margin".

    Raises:
        ScheduleError: a partial result would change, with both values.
    """
    found = disturbed_by_identity(reducer)
    if found is None:
        return
    met = "its identity with itself" if found.itself else f"{_shown(found.part)} with its identity"
    raise edit.error(
        f"the reducer of {name!r} combines {met} into {_shown(found.made)}, and {met_by} are "
        "combined so",
        "an identity of finite numbers that leaves every value as it is, or a select in combine",
    )


def _shown(values: tuple[float, ...]) -> str:
    return f"({', '.join(f'{value:g}' for value in values)})"
