"""The numbers of an agent agree with its state, whatever is wrong with it and whoever leads."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from tercio_common.epochs import Epoch
from tercio_common.machine.protocol import Moment
from tercio_registry.health_messages import reasons_of
from tercio_registry.state.agents import AgentRow, Ailment, Health, Membership, Profile
from tercio_registry.state.rules import Rules
from tercio_registry.state.session import Session
from tercio_registry.state.views import State, Status, view

EPOCH = Epoch(1, 10)
AT = Moment(7, 100_000, 1_700_000_100_000, EPOCH, "tester", 6)
UNAVAILABLE = Status(available=False, health=0, load=100, wall=AT.wall)


@st.composite
def agents(draw: st.DrawFn) -> AgentRow:
    membership = draw(st.sampled_from(Membership))
    active = membership is Membership.ACTIVE
    return AgentRow(
        agent_id="a",
        profile=Profile(concurrency=draw(st.integers(1, 10_000))),
        fingerprint="f",
        instance_id=b"1" * 16,
        incarnation=1,
        membership=membership,
        regularity=draw(st.sampled_from(Health)) if active else Health.HEALTHY,
        ailments=tuple(sorted(draw(st.sets(st.sampled_from(Ailment))))) if active else (),
        confirmed_generation=1,
        confirmed_revision=draw(st.sampled_from((9, 10))),
        registered_wall=1_700_000_000_000,
        enrolled_now=1_000,
        ended_now=0 if active else 2_000,
        changed_seq=1,
    )


@given(row=agents(), running=st.integers(0, 10_000), renewed=st.none() | st.integers(1_000, AT.now))
def test_status_follows_from_state_and_reasons(row: AgentRow, running: int, renewed: int | None) -> None:
    session = Session(Rules())
    if renewed is not None and row.active:
        session.renew(row, renewed, generation=1, revision=10, active_attempts=running)
    shown = view(row, AT, session)
    status, reasons = shown.status, list(reasons_of(row))
    answers = shown.state in {State.HEALTHY, State.DEGRADED} and Ailment.DEAF not in row.ailments
    assert status.available is answers
    if not answers:
        assert status == UNAVAILABLE
        return
    assert (status.health == 100) is (shown.state is State.HEALTHY)
    assert 1 <= status.health <= 100
    assert status.health == max(1, 100 - 25 * len(reasons))
    assert 0 <= status.load <= 100
    assert (status.load == 100) is (shown.active_attempts > 0.99 * row.profile.concurrency)
    assert (status.load == 0) is (shown.active_attempts == 0)
    assert status.wall == shown.renewed_wall <= AT.wall


@given(row=agents(), ailment=st.sampled_from(Ailment))
def test_what_is_found_beside_the_rest_never_raises_health(row: AgentRow, ailment: Ailment) -> None:
    if not row.active:
        return
    session = Session(Rules())
    session.renew(row, AT.now, generation=1, revision=10, active_attempts=0)
    worse = replace(row, ailments=tuple(sorted({*row.ailments, ailment})))
    assert view(worse, AT, session).status.health <= view(row, AT, session).status.health
