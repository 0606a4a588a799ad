"""Numbers that bound a search, in one place."""

from __future__ import annotations

MOST_VALUES = 256  # of one knob
MOST_STRUCTURES = 64  # of one space
MOST_UNROLLED = 4096  # instances of blocks in one straight line of code
