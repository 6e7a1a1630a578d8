"""What holds of configurations after every step; checked in tests after each one."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from tercio_registry.state.configuring import Configuring
from tercio_registry.state.revisions import MOST_REVISIONS, ConfigurationRow, Revisions, RevisionState, Stage
from tercio_registry.state.rollouts import MOST_STEP


def violations(configuring: Configuring, agent_ids: Collection[str]) -> Iterator[str]:
    """Give one sentence for each thing that is wrong; `agent_ids` are those of all agents."""
    revisions = configuring.revisions
    rows = {row.agent_id: row for row in revisions.configurations.values()}
    for row in rows.values():
        for what in _wrong(row, revisions):
            yield f"the configuration of agent {row.agent_id!r} {what}"
    if not rows.keys() <= set(agent_ids):
        yield "an agent that does not exist has a configuration"
    if rows.keys() != revisions.numbers.keys():
        yield "a configuration has no revisions, or revisions have no configuration"
    tables = (revisions.table, revisions.schemas, configuring.rollouts.table)
    if configuring.size_bytes != sum(row.size_bytes for table in tables for row in table.values()):
        yield "the size of revisions, schemas and roll-outs is counted wrong"
    if sum(revisions.by_state.values()) != len(revisions.table):
        yield "the states of the revisions are counted wrong"
    if revisions.by_system_task != {row.system_task_id: each for each, row in rows.items() if row.system_task_id}:
        yield "a delivery is not found by its system task"
    for rollout in configuring.rollouts.table.values():
        name = f"roll-out {rollout.rollout_id!r}"
        if len(rollout.step) > min(rollout.step_size, MOST_STEP):
            yield f"{name} has more agents in its step than it may"


def _wrong(row: ConfigurationRow, revisions: Revisions) -> Iterator[str]:
    found = revisions.of(row.agent_id)
    active = [each.revision for each in found if each.state is RevisionState.ACTIVE]
    if active != ([row.active] if row.active else []):
        yield f"has the active revisions {active}, and not {row.active}"
    opened = [each.revision for each in found if each.state.is_open]
    if opened != ([row.trial] if row.trial else []):
        yield f"tries the revisions {opened}, and not {row.trial}"
    if found and found[0].revision > row.newest:
        yield f"gave number {found[0].revision}, and the newest is {row.newest}"
    if len(found) > MOST_REVISIONS:
        yield f"keeps {len(found)} revisions"
    if bool(row.system_task_id) != (row.stage is Stage.DELIVERING):
        yield f"is {row.stage.name} with system task {row.system_task_id!r}"
    if row.trial and row.stage is Stage.SETTLED:
        yield "is settled while a revision is tried"
