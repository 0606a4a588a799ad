"""Proofs that outlive the process: which schedule states of an algorithm were shown to be legal.

A record is one entry of the cache (a private directory whose owner is checked and whose contents
are verified), keyed by the algorithm and by the prover's own source. It holds, for each schedule
state that a built schedule passed through, its numerics label. A state that is found is not proven
again, so that a second process needs no integer sets at all.
"""

from __future__ import annotations

from tdsl.analysis import Numerics
from tdsl.cache import content_key, default_cache, source_stamp
from tdsl.ir.equal import fingerprint
from tdsl.ir.stmt import Program, Seq

_MOST = 4096  # states kept for one algorithm
_PROVER = ("", "ir", "analysis")


class RememberedProofs:
    """The proofs known of one algorithm, and those that this process added."""

    def __init__(self, algorithm: Program) -> None:
        self._key = content_key("proofs", fingerprint(algorithm), source_stamp(*_PROVER))
        entry = default_cache().load(self._key)
        self._known: dict[str, str] = {} if entry is None else dict(entry.metadata)
        self._added = False

    def recall(self, algorithm: Program, program: Program) -> tuple[str, Numerics | None]:
        """The name of a state, and its label where it is known to be legal."""
        name = _state_name(algorithm, program)
        label = self._known.get(name)
        return name, None if label is None else Numerics(label)

    def learn(self, name: str, numerics: Numerics) -> None:
        """Note that a state was proven."""
        if len(self._known) < _MOST and name not in self._known:
            self._known[name] = numerics.value
            self._added = True

    def keep(self) -> None:
        """Write what was added: done for schedules that are built, not for every attempt."""
        if self._added:
            default_cache().store(self._key, b"", self._known)
            self._added = False


def _state_name(algorithm: Program, program: Program) -> str:
    """A name of the pair: hashed as one tree, so that blocks and buffers keep their identity."""
    both = Seq((algorithm.body, program.body))
    return fingerprint(Program(program.name, program.params, program.sizes, program.assume, both))
