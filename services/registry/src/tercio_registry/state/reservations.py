"""What is reserved for agents, and whether it still is.

A reservation is kept by another service under the id of the registration, and renewed for as long as the incarnation
is active. When that service no longer knows it, the agent is not to blame and goes on: it ails from the loss, which
everybody sees, until the reservation was made anew. The next process of the agent keeps the reservation if it requires
the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tercio_common.machine.table import Table
from tercio_registry.state.agents import AgentRow, Ailment, Profile
from tercio_registry.state.commands import JudgeReservations
from tercio_registry.state.events import AgentsJudged


def keepable(row: AgentRow | None, fingerprint: str, profile: Profile) -> str:
    """Return the registration whose reservation the next registration of an agent may keep; empty when it may not."""
    if row is None or not row.active or row.fingerprint != fingerprint or Ailment.RESERVATION_LOST in row.ailments:
        return ""
    same = row.profile.resource_requirements == profile.resource_requirements
    return row.reserved_under if same and profile.requires_anything else ""


class Reservations:
    """Index of a table of agents: which active ones something is reserved for, by the id of their registration."""

    def __init__(self, agents: Table[AgentRow]) -> None:
        """Follow `agents`."""
        self._agents = agents
        self._holders: dict[str, str] = {}
        self._lost: dict[str, None] = {}
        agents.add_index(self)

    def changed(self, key: str, old: AgentRow | None, new: AgentRow | None) -> None:
        """See `Index`."""
        if old is not None:
            self._holders.pop(old.reserved_under, None)
            self._lost.pop(old.reserved_under, None)
        if new is not None and new.reserved_under and new.active and new.profile.requires_anything:
            self._holders[new.reserved_under] = key
            if Ailment.RESERVATION_LOST in new.ailments:
                self._lost[new.reserved_under] = None

    def held(self) -> list[str]:
        """Return the registrations with a reservation, lost ones included."""
        return list(self._holders)

    def lost(self) -> list[str]:
        """Return those whose reservation is gone."""
        return list(self._lost)

    def losers(self) -> Iterator[AgentRow]:
        """Give the agents whose reservation is gone; nothing may change meanwhile."""
        return (self._agents[self._holders[each]] for each in self._lost)

    def judge(self, command: JudgeReservations) -> list[AgentsJudged]:
        """Decide who ails from a loss, and who no longer does."""
        lost = tuple(self._among(command.lost, ailing=False))
        restored = tuple(self._among(command.restored, ailing=True))
        return [
            AgentsJudged(ailment=Ailment.RESERVATION_LOST, ailing=ailing, agent_ids=agent_ids)
            for ailing, agent_ids in ((True, lost), (False, restored))
            if agent_ids
        ]

    def _among(self, registration_ids: Iterable[str], *, ailing: bool) -> Iterator[str]:
        for each in registration_ids:
            if each in self._holders and (each in self._lost) is ailing:
                yield self._holders[each]
