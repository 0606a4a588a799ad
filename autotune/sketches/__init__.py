"""Sketches: a search space for any algorithm, made by rules from its blocks and their accesses.

Cheap blocks are inlined and the others grouped as the library's default schedules do it. Each group
that does a good share of the work gets the knobs of the first rule that fits it; what the library
would do stays one of the choices. Groups that hardly matter are scheduled by the library alone.
"""

from tdsl.autotune.sketches.sketch import sketch

__all__ = ["sketch"]
