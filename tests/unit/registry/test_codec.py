"""Records: what was written is read again, and bytes that nobody wrote are refused."""

from __future__ import annotations

import pytest

from tercio_common.machine.system_tasks import (
    SYSTEM_TASKS,
    Result,
    SystemTaskOutcome,
    SystemTaskRow,
    SystemTasksClosed,
    SystemTasksOpened,
)
from tercio_registry.codec import RegistryCodec, decode_event
from tercio_registry.records.v1 import events_pb2 as records
from tercio_registry.state import configuring, events
from tercio_registry.state.agents import AgentRow, Ailment, Amount, Drain, Health, IncarnationFloor, Membership, Profile
from tercio_registry.state.history import HISTORY, HistoryRow, Transition
from tercio_registry.state.machine import AGENTS, INCARNATIONS
from tercio_registry.state.obligations import REGISTRATIONS, RegistrationRow, Stage
from tercio_registry.state.performance import PERFORMANCE, PerformanceRow, TypeHistory
from tercio_registry.state.totals import Counted, Totals
from tercio_registry.state.views import State

PROFILE = Profile(
    agent_type="worker",
    version="1.2",
    capabilities=(("python", 80), ("rust", 1)),
    labels=(("gpu", ""), ("zone", "b")),
    concurrency=7,
    resource_requirements=(Amount("cpu", 4_000, "millicores"), Amount("memory", 8 << 30, "bytes")),
    max_resources=(Amount("tokens", 10_000),),
    started_wall=3,
)
SYSTEM_TASK = SystemTaskRow(
    system_task_id="registry-1-2-3-0",
    kind="tercio.canary",
    agent_id="a",
    incarnation=4,
    input=b"\0\xff",
    timeout=5_000,
    created_wall=6,
    due=7,
    instance_id=b"\0\xfe",
)
EVENTS = [
    events.AgentRegistered(
        agent_id="a",
        profile=PROFILE,
        fingerprint="ab",
        instance_id=b"\0\xff",
        incarnation=3,
        registration_id="r",
        reservation_id="q",
    ),
    events.AgentsConfirmed(("a", "b")),
    events.AgentsConfirmed(("a", "b"), Health.DEGRADED),
    events.AgentsJudged(ailment=Ailment.DEAF, ailing=True, agent_ids=("a", "b")),
    events.AgentsJudged(ailment=Ailment.MEMORY_EXHAUSTED, ailing=False, agent_ids=("a",)),
    events.AgentsDeclined(Health.UNHEALTHY, ("a", "b")),
    events.AgentsGone(("a",), "no heartbeat"),
    events.AgentsEvicted(("a", "b")),
    events.AgentDeregistered(agent_id="a", reason="bye"),
    events.AgentDeregistered(agent_id="a", reason="bye", drain=Drain(1, 2, 3)),
    events.AgentCordoned(agent_id="a", cordoned=True, reason="disk"),
    events.AgentDrained(agent_id="a", reason="disk", leave_by=9),
    events.RegistrationBegun("r"),
    events.RegistrationsUndone(("r", "s")),
    events.RegistrationsUndone(("r",), keeps_reservations=True),
    events.PerformanceRecorded(
        (
            Counted(agent_id="a", instance_id=b"\0\xff", types=(("t", Totals(1, 2, 1 << 40)), ("u", Totals()))),
            Counted(agent_id="b", instance_id=b"", types=(("u", Totals(3, 4, 5)),)),
        )
    ),
    SystemTasksOpened((SYSTEM_TASK, SYSTEM_TASK._replace(system_task_id="registry-1-2-3-1", incarnation=0))),
    SystemTasksClosed(
        (
            SystemTaskOutcome("a", Result.SUCCEEDED, b"\0", wait=1, run=2),
            SystemTaskOutcome("b", Result.FAILED, b"", "OUT_OF_DISK", "no room", wait=0, run=0),
            SystemTaskOutcome("c", Result.UNREPORTED),
        )
    ),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_is_read_as_it_was_written(event: events.Event) -> None:
    codec = RegistryCodec()
    assert codec.decode_event(codec.encode_event(event)) == event


def test_every_event_is_tried() -> None:
    assert {type(event) for event in EVENTS} == set(events.Event.__args__) - set(configuring.EVENTS)


@pytest.mark.parametrize(
    ("table", "row"),
    [
        (
            AGENTS,
            AgentRow(
                agent_id="a",
                profile=PROFILE,
                fingerprint="ab",
                instance_id=b"\0\xff",
                incarnation=3,
                membership=Membership.GONE,
                regularity=Health.DEGRADED,
                ailments=(Ailment.DISK_EXHAUSTED, Ailment.DEAF),
                confirmed_generation=2,
                confirmed_revision=9,
                cordoned=True,
                draining=True,
                reason="why",
                registered_wall=4,
                enrolled_now=5,
                ended_now=6,
                changed_seq=7,
                registration_id="r",
                reservation_id="q",
                leave_by=8,
                drain=Drain(),
                performance=(("t", 0), ("u", 100)),
            ),
        ),
        (REGISTRATIONS, RegistrationRow("r", Stage.DUE)),
        (INCARNATIONS, IncarnationFloor(12)),
        (SYSTEM_TASKS, SYSTEM_TASK),
        (
            PERFORMANCE,
            PerformanceRow(
                agent_id="a",
                instance_id=b"\0\xff",
                types=(TypeHistory("u"), TypeHistory("t", Totals(1, 2, 3), Totals(4, 5, 6), 7, 8)),
            ),
        ),
        (HISTORY, HistoryRow("a", (Transition(1, State.GONE, True, False, 2, "why"),))),
    ],
    ids=[AGENTS, REGISTRATIONS, INCARNATIONS, SYSTEM_TASKS, PERFORMANCE, HISTORY],
)
def test_a_row_is_read_as_it_was_written(table: str, row: object) -> None:
    codec = RegistryCodec()
    assert codec.decode_row(table, codec.encode_row(table, row)) == row


def test_a_confirmation_of_an_older_version_means_healthy() -> None:
    record = records.Event(agents_confirmed=records.AgentsConfirmed(agent_ids=["a"]))
    assert decode_event(record.SerializeToString()) == events.AgentsConfirmed(("a",), Health.HEALTHY)


@pytest.mark.parametrize("data", [b"", b"\x9a\x06\x00"], ids=["nothing", "a field of tomorrow"])
def test_an_unknown_event_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="newer version"):
        decode_event(data)


def test_an_unknown_table_is_refused() -> None:
    with pytest.raises(ValueError, match="no table"):
        RegistryCodec().decode_row("another", b"")
