"""Mutation of G5: who takes over a claim gets the token of who had it before."""

from __future__ import annotations

from typing import Any

from support.launchers.launch import launch_conflicts
from tercio_common.machine.protocol import Moment
from tercio_common.machine.table import Table
from tercio_conflicts.state import claims
from tercio_conflicts.state.events import ClaimsTransferred
from tercio_conflicts.state.rows import ClaimRow


def _with_the_same_token(event: ClaimsTransferred, table: Table[ClaimRow], at: Moment) -> list[ClaimRow]:
    return [table[number]._replace(owner=event.to_owner, granted_now=at.now) for number in event.numbers]


if __name__ == "__main__":
    mutated: Any = claims
    mutated.transferred = _with_the_same_token
    launch_conflicts()
