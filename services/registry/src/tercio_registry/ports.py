"""What a registration asks of other services: clearance, and a reservation of resources.

Both are asked under the id of the registration. Whatever a port does outside is undone by that id: after a failure,
after a crash in the middle, and when the agent's incarnation ends. A port whose `outside` is true has its registrations
journaled before they are asked for. Undoing may come more than once, and for ids that the port never heard of. It is
final: a former leader that was stopped may still ask under an id that was undone, and is to be refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from tercio_registry.state.agents import Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class Applicant:
    """Who asks to join.

    Attributes:
        registration_id: names this registration, and no other.
        agent_id: as asked for; empty when the registry is to choose.
        principal: the authenticated caller.
        profile: what the agent says of itself.
    """

    registration_id: str
    agent_id: str
    principal: str
    profile: Profile


class ClearancePort(Protocol):
    """Decides who may join. Calls end by themselves, within seconds."""

    outside: bool
    """Whether clearing leaves anything behind."""

    async def clear(self, applicant: Applicant) -> str:
        """Clear the applicant; return what was decided, for people.

        Raises:
            Refusal: SECURITY_CLEARANCE_DENIED, with metadata `issues`.
        """
        ...

    async def revoke(self, registration_id: str) -> None:
        """Take back what was cleared."""
        ...


class ReservationPort(Protocol):
    """Sets resources aside. Calls end by themselves, within seconds."""

    outside: bool
    """Whether reserving leaves anything behind."""

    async def reserve(self, applicant: Applicant) -> str:
        """Reserve what the applicant requires; return what was done, for people.

        Raises:
            Refusal: RESOURCE_ALLOCATION_FAILED, with metadata `issues`.
        """
        ...

    async def release(self, registration_id: str) -> None:
        """Free what was reserved."""
        ...


class OpenClearance:
    """Clears everybody: there is no service yet that knows better."""

    outside = False

    async def clear(self, applicant: Applicant) -> str:
        return (
            f"no clearance service is configured: every authenticated principal is cleared, here {applicant.principal}"
        )

    async def revoke(self, registration_id: str) -> None:
        """There is nothing to revoke."""


class NoReservations:
    """Reserves nothing: there is no service yet that has anything to give."""

    outside = False

    async def reserve(self, applicant: Applicant) -> str:
        return "no resource service is configured: what the agent requires is recorded, and nothing is reserved"

    async def release(self, registration_id: str) -> None:
        """There is nothing to release."""


class Outside(NamedTuple):
    """The ports of one replica."""

    clearance: ClearancePort = OpenClearance()
    reservations: ReservationPort = NoReservations()

    @property
    def leaves_anything(self) -> bool:
        """Tell whether a registration has to be journaled before they are asked."""
        return self.clearance.outside or self.reservations.outside
