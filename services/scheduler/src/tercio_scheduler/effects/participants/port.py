"""What the scheduler asks of a service that grants: the same few things of each.

A participant is asked without ever waiting there, and answers for each attempt whether it holds what it needs. It may
be asked twice for the same attempt, and released what it never granted.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final, NamedTuple, Protocol

from tercio.rpc.channels import Route
from tercio_common.machine.host import Host
from tercio_scheduler.state.commands import AttemptKey
from tercio_scheduler.state.rows import Needs
from tercio_scheduler.state.shortages import Shortage

ANSWER_S: Final = 3.0
"""For how long one is asked: what others need is not asked for meanwhile. An answer takes milliseconds."""


class Change(NamedTuple):
    """The record as of which a participant's state is known, and whether its limits may have changed since before."""

    seq: int
    limits: bool = False


class Link(Protocol):
    """A participant, as one leadership reaches it. Every call raises CallError."""

    route: Route
    """Where it is."""

    async def ask(
        self, keys: Sequence[AttemptKey], needs: Sequence[Needs], *, request_id: str
    ) -> Mapping[int, Shortage]:
        """Ask for what attempts need; return what was refused, by place. Everything else is granted."""

    async def renew(self, held: Mapping[str, Needs], *, timeout_s: float) -> Collection[str]:
        """Keep the grants of these owners; return those that do not hold any more what they need."""

    async def release(self, owners: Mapping[str, str]) -> None:
        """Take back whatever these owners hold, and grant them nothing from now on; each has the agent that used it.

        It is empty where none did, or it is not known.
        """

    def changes(self) -> AsyncGenerator[Change]:
        """Tell as of which record its state is known, at once and whenever a refusal may have become untrue."""


class Participant(Protocol):
    """A service that grants."""

    @property
    def name(self) -> str:
        """Its name in `state.participants`."""

    def connect(self, host: Host) -> AbstractAsyncContextManager[Link]:
        """Reach it for the present leadership."""
