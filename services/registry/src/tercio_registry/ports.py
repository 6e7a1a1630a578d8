"""What a registration asks of other services: clearance, and a reservation of resources.

Both are asked under the id of the registration. Whatever a port does outside is undone by that id: after a failure,
after a crash in the middle, and when the agent's incarnation ends; but what is reserved stays while the agent's next
incarnation keeps it, under the id that it has. A port whose `outside` is true has its registrations
journaled before they are asked for. Undoing may come more than once, and for ids that the port never heard of. It is
final: a former leader that was stopped may still ask under an id that was undone, and is to be refused.

A secret that a port issues goes into the answer to the agent and nowhere else: it is neither journaled nor kept for
retries nor logged.
"""

from __future__ import annotations

from dataclasses import dataclass, field
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """Something with which an agent proves who it is or what it may do.

    Attributes:
        credential_id: names it.
        kind: what it is, for instance `x509` or `token`.
        secret: the credential itself.
        expires_wall: wall time in ms from when on it is good for nothing; 0 when it does not expire.
    """

    credential_id: str
    kind: str
    secret: bytes = field(repr=False)
    expires_wall: int = 0


class Clearance(NamedTuple):
    """That an applicant may join: why, for people, and what was issued to it."""

    detail: str
    credentials: tuple[Credential, ...] = ()


class ClearancePort(Protocol):
    """Decides who may join, and issues credentials to them. Calls end by themselves, within seconds."""

    outside: bool
    """Whether clearing leaves anything behind."""

    async def clear(self, applicant: Applicant) -> Clearance:
        """Clear the applicant, and issue what it needs.

        Raises:
            Refusal: SECURITY_CLEARANCE_DENIED, with metadata `issues`.
        """
        ...

    async def revoke(self, registration_id: str) -> None:
        """Take back what was cleared, and revoke what was issued."""
        ...


class ReservationPort(Protocol):
    """Sets resources aside. Calls end by themselves, within seconds."""

    outside: bool
    """Whether reserving leaves anything behind, for an applicant that requires something."""

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
    """Clears everybody and issues nothing: there is no service yet that knows better."""

    outside = False

    async def clear(self, applicant: Applicant) -> Clearance:
        return Clearance(
            "no clearance service is configured: every authenticated principal is cleared, here "
            f"{applicant.principal}, and no credentials are issued"
        )

    async def revoke(self, registration_id: str) -> None:
        """There is nothing to revoke."""


class NoReservations:
    """Reserves nothing: the fleet has no service that has anything to give."""

    outside = False

    async def reserve(self, applicant: Applicant) -> str:
        return "no resource service is configured: what the agent requires is recorded, and nothing is reserved"

    async def release(self, registration_id: str) -> None:
        """There is nothing to release."""


class Outside(NamedTuple):
    """The ports of one replica."""

    clearance: ClearancePort = OpenClearance()
    reservations: ReservationPort = NoReservations()

    def reserves(self, profile: Profile) -> bool:
        """Tell whether anything is reserved for such an agent."""
        return self.reservations.outside and profile.requires_anything

    def leaves_anything(self, profile: Profile) -> bool:
        """Tell whether the registration of such an agent has to be journaled before they are asked."""
        return self.clearance.outside or self.reserves(profile)
