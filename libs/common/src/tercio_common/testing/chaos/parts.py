"""The parts of a run beside the scheduler's tasks: one for each other service, all of the same shape.

A part does something with its service from the start of the run on, notes what it is told, and judges its service's
history in the end. Another service joins the run by a part of its own, here and in `run.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from tercio_common.testing.history import Verdict


class Part(Protocol):
    """One service's share of a run."""

    rest: str
    """What must hold once all is healed, as a sentence."""

    async def settle(self, *, within_ms: int) -> None:
        """Return when that holds; raises AssertionError or TimeoutError."""

    def judge(self) -> Verdict:
        """Judge the run, which is over.

        Raises:
            IncompleteRecordingError: commits are missing: there is no verdict.
        """

    def tried_on(self, verdict: Verdict) -> Mapping[str, str]:
        """Return by promise what it was tried on."""
