"""Ask the prover about a schedule written as text."""

import pytest

from tdsl.analysis import Numerics, Refused, prove
from tests.analysis.nests import schedule
from tests.analysis.oracle import replay

EXACT = Numerics.EXACT
REASSOCIATES = Numerics.REASSOCIATES
UNORDERED = Numerics.UNORDERED


def accepted(program, text, numerics=EXACT):
    """The proof of a legal schedule, which has the label given."""
    proof = prove(program, schedule(program, text))
    assert proof.numerics is numerics
    return proof


def refused(program, text, kind=None, element=None):
    """The refusal of an illegal schedule; its witness is of a kind, and is true."""
    scheduled = schedule(program, text)
    with pytest.raises(Refused) as caught:
        prove(program, scheduled)
    refusal = caught.value
    if kind is not None:
        assert refusal.witness is not None
        assert refusal.witness.kind == kind, str(refusal)
        assert element is None or refusal.witness.element == element
        assert replay(program, scheduled, refusal.witness) is None
    return refusal
