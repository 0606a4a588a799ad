"""How a job fails inside a worker."""

from __future__ import annotations

from tdsl.records import Outcome


class Failure(Exception):  # noqa: N818 - it is an answer, not an error of the worker
    """A job that did not go well, and how."""

    def __init__(self, outcome: Outcome, reason: str) -> None:
        super().__init__(reason)
        self.outcome = outcome
        self.reason = reason
