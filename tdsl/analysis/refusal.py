"""Why the prover says no."""

from __future__ import annotations

from tdsl.errors import Witness


class Refused(Exception):  # noqa: N818 - the prover's answer; scheduling makes an error of it
    """A schedule that was not shown to keep the algorithm's meaning.

    Attributes: `reason` (one sentence), `witness` (iterations that conflict; None where the
    question could not be decided), `hint` (what would be legal, or None).
    """

    def __init__(
        self, reason: str, witness: Witness | None = None, hint: str | None = None
    ) -> None:
        text = reason if witness is None else f"{reason}; {witness.render()}"
        super().__init__(text)
        self.reason = reason
        self.witness = witness
        self.hint = hint
