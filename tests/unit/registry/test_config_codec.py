"""Records of configurations and roll-outs are read as they were written."""

from __future__ import annotations

import pytest

from tercio_registry.codec import RegistryCodec
from tercio_registry.state import config_events as events
from tercio_registry.state import configuring
from tercio_registry.state.agents import Ailment, Health
from tercio_registry.state.config_commands import Change
from tercio_registry.state.revisions import (
    CONFIG_SCHEMAS,
    CONFIGURATIONS,
    REVISIONS,
    ConfigSchemaRow,
    ConfigurationRow,
    RevisionRow,
    RevisionState,
    Stage,
)
from tercio_registry.state.rollout_rows import Failure, Member, RolloutRow, RolloutState
from tercio_registry.state.rollouts import ROLLOUTS

EVENTS = [
    events.ConfigProposed(
        agent_id="a", revision=2, document="{}", restored=1, rollout_id="r", observe=3, timeout=4, checked=True
    ),
    events.ConfigDeliveriesBegun((events.ConfigDelivery("a", 1, "t"), events.ConfigDelivery("b", 2, "u"))),
    events.ConfigDelivered("a"),
    events.ConfigRetried("a"),
    events.ConfigActivated("a"),
    events.ConfigRestored(agent_id="a", state=RevisionState.FAILED, reason="R", message="m"),
    events.ConfigSchemaSet(agent_type="web", document="{}"),
    events.RolloutStarted(
        rollout_id="r", filter="f", change=Change("{}", is_patch=True), step_size=2, pause=3, observe=4,
        max_failures=5, rolls_back=True,
    ),
    events.RolloutAdvanced(
        rollout_id="r", state=RolloutState.ROLLING_BACK, joined=(Member("a", 1),), after="a", room=2, exhausted=True,
        step_ended=True, succeeded=3, restored=4, failures=(Failure("b", 0, "R"),),
    ),
]  # fmt: skip
ROWS = {
    REVISIONS: RevisionRow(
        agent_id="a", revision=2, document="{}", state=RevisionState.ROLLED_BACK, author="me", created_wall=3,
        changed_wall=4, reason="R", message="m", backup=5, restored=6, rollout_id="r", observe=7, timeout=8,
        checked=True, apply_took=0, observed=-1,
    ),
    CONFIGURATIONS: ConfigurationRow(
        agent_id="a", newest=9, active=8, trial=7, stage=Stage.OBSERVING, due=6, since=5, system_task_id="t", tries=4,
        incarnation=3, health=Health.DEGRADED, rollout_id="r", ailments=(Ailment.DEAF,),
    ),
    CONFIG_SCHEMAS: ConfigSchemaRow("web", "{}", "me", 3, 4),
    ROLLOUTS: RolloutRow(
        rollout_id="r", filter="f", change=Change("{}"), step_size=2, pause=3, observe=4, max_failures=5,
        rolls_back=True, created_seq=6, author="me", created_wall=7, changed_wall=8, state=RolloutState.PAUSED, due=9,
        after="a", room=1, exhausted=True, step=(Member("a", 1),), succeeded=2, failed=3, restored=4,
        failures=(Failure("b", 0, "R"),),
    ),
}  # fmt: skip


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_is_read_as_it_was_written(event: object) -> None:
    codec = RegistryCodec()
    assert codec.decode_event(codec.encode_event(event)) == event


def test_every_event_is_tried() -> None:
    assert {type(event) for event in EVENTS} == set(configuring.EVENTS)


@pytest.mark.parametrize("table", ROWS)
def test_a_row_is_read_as_it_was_written(table: str) -> None:
    codec = RegistryCodec()
    assert codec.decode_row(table, codec.encode_row(table, ROWS[table])) == ROWS[table]
