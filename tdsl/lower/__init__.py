"""Lowering: from a scheduled program to flat loops over vectors, ready to be written as text."""

from tdsl.lower.pipeline import PIPELINE, Lowered, LoweringWarning, lower

__all__ = ["PIPELINE", "Lowered", "LoweringWarning", "lower"]
