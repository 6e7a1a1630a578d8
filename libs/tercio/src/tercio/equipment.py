"""What attempts find at their agent, beside what they were offered with."""

from __future__ import annotations

from dataclasses import dataclass

from tercio.attempt_claims import HeldClaims
from tercio.configuration import Configuration
from tercio.opinions import Opinions
from tercio.worktrees import HeldWorktrees


@dataclass(frozen=True, slots=True, kw_only=True)
class Equipment:
    """One for all attempts of an agent.

    Attributes:
        configuration: of the agent.
        opinions: of the agent, about decisions of others.
        worktrees: tells which git worktrees an attempt holds.
        claims: tells what an attempt claims.
    """

    configuration: Configuration
    opinions: Opinions
    worktrees: HeldWorktrees
    claims: HeldClaims
