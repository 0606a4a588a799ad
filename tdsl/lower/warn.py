"""What lowering says when a schedule can be run, but not as its author hoped."""

from __future__ import annotations


class LoweringWarning(UserWarning):
    """A loop that could not be lowered as marked; the message names it and says what happens."""
