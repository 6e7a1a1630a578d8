"""What can be asked of the registry."""

from __future__ import annotations

from dataclasses import dataclass

from tercio_common.machine.system_tasks import SystemTaskOutcome, SystemTaskWanted
from tercio_registry.state.agents import Drain, Profile
from tercio_registry.state.totals import Counted


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterAgent:
    """Take an agent, or the next incarnation of one, into the fleet; the edge chose the id if the agent had none.

    `registration_id` names a registration that was begun, because something outside was done for it;
    `reservation_id` the one of the agent's present incarnation, if what that reserved is to be kept.
    """

    agent_id: str
    profile: Profile
    fingerprint: str
    instance_id: bytes
    registration_id: str = ""
    reservation_id: str = ""


@dataclass(frozen=True, slots=True)
class BeginRegistration:
    """Note that something outside is about to be done for a registration."""

    registration_id: str


@dataclass(frozen=True, slots=True)
class CloseRegistrations:
    """Note that what was done outside for these registrations is undone; but for reservations, if those are kept."""

    registration_ids: tuple[str, ...]
    keeps_reservations: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class DeregisterAgent:
    """End a membership; incarnation 0 means whichever is present.

    With `leave_within`, in ms, the agent drains first and is removed after that long at the latest; 0 ends it at once.
    """

    agent_id: str
    incarnation: int = 0
    reason: str = ""
    leave_within: int = 0
    drain: Drain | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CordonAgent:
    """Stop new work for an agent, or allow it again."""

    agent_id: str
    cordoned: bool
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainAgent:
    """Ask an agent to finish its work and leave."""

    agent_id: str
    reason: str = ""


@dataclass(frozen=True, slots=True)
class ConfirmAgents:
    """Record that these agents, shown as something else than healthy, were heard by this leader."""

    agent_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class JudgeReservations:
    """Record whose reservations are gone, and whose are there again, by the ids of their registrations."""

    lost: tuple[str, ...] = ()
    restored: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OpenSystemTasks:
    """Ask agents to do something; answers their ids."""

    wanted: tuple[SystemTaskWanted, ...]


@dataclass(frozen=True, slots=True)
class ReportSystemTasks:
    """Record how system tasks ended; answers the ids of those that were not open."""

    outcomes: tuple[SystemTaskOutcome, ...]


@dataclass(frozen=True, slots=True)
class RecordPerformance:
    """Record what agents have counted."""

    counted: tuple[Counted, ...]
