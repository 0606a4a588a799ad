"""What a schedule may do: dependences, regions, and the prover."""

from tdsl.analysis.numerics import Numerics
from tdsl.analysis.prover import Proof, prove
from tdsl.analysis.refusal import Refused

__all__ = ["Numerics", "Proof", "Refused", "prove"]
