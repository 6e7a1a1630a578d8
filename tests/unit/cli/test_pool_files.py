"""Pool files: the contracts' field names, durations and templates as people write them."""

from __future__ import annotations

import json

import pytest

from tercio.api.scaling.v1 import agent_pool_pb2
from tercio_scaling.cli.pool_files import PoolFileError, parse_pools


def only(text: str) -> agent_pool_pb2.AgentPool:
    (pool,) = parse_pools(text)
    assert isinstance(pool, agent_pool_pb2.AgentPool)
    return pool


def test_short_names_durations_and_a_command_in_one_text_are_understood() -> None:
    pool = only("pool_id: p\nmin: 1\nmax: 8\ntarget: 2\ncooldown: 1m30s\nlocal: {command: 'run --id {agent_id}'}")
    assert (pool.min_agents, pool.max_agents, pool.target_agents, pool.cooldown.seconds) == (1, 8, 2, 90)
    assert list(pool.local.command) == ["run", "--id", "{agent_id}"]


def test_the_template_of_a_pod_is_yaml() -> None:
    pool = only("pool_id: p\npods: {namespace: n, template: {spec: {containers: []}}}")
    assert json.loads(pool.pods.template_json) == {"spec": {"containers": []}}
    added = only("pool_id: p\nadded: {name: nomad, spec: {job: x}}")
    assert json.loads(added.added.spec_json) == {"job": "x"}


def test_budgets_come_before_the_pools_that_name_them() -> None:
    found = list(parse_pools("- {pool_id: p, external: {}}\n- {budget_id: b, max_agents: 3}"))
    assert [type(each).__name__ for each in found] == ["Budget", "AgentPool"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not YAML"),
        ("", "nothing in it"),
        ("- 1", "needs a `pool_id`"),
        ("pool_id: p\nmxa: 3", "p: .*mxa"),
        ("pool_id: p\ncooldown: soon", "'soon' is not a duration"),
    ],
    ids=["broken", "empty", "neither", "unknown-field", "duration"],
)
def test_what_is_wrong_is_said(text: str, words: str) -> None:
    with pytest.raises(PoolFileError, match=words):
        list(parse_pools(text))
