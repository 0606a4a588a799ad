"""Maths functions as formulas in IR expressions, with stated bounds of their errors."""

from tdsl.lower.maths.bounds import bound
from tdsl.lower.maths.expansion import expand
from tdsl.lower.maths.formula import Expansion

__all__ = ["Expansion", "bound", "expand"]
