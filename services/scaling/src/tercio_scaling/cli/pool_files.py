"""Reads pool files: agent pools, and budgets that they share, in YAML by the contracts' field names.

    pool_id: coders
    capabilities: {python: 50}
    slots: 2
    min_agents: 1
    max_agents: 8
    up_step: 4
    cooldown: 5s
    local:
      command: tercio agent exec --id {agent_id} --allow-commands
    ---
    budget_id: nightly
    max_agents: 20

Durations are written 90s, 5m, 1h30m. A command may be one text, and the template of a Pod is written as YAML.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from typing import Any, Final

import yaml
from google.protobuf.descriptor import Descriptor
from google.protobuf.json_format import ParseDict, ParseError

from tercio.api.scaling.v1 import agent_pool_pb2
from tercio.cli.texts import parse_duration

_DURATION: Final = "google.protobuf.Duration"
_SHORT: Final = {"min": "min_agents", "max": "max_agents", "target": "target_agents"}


class PoolFileError(ValueError):
    """The file is not one of pools; the message says why."""


def parse_pools(text: str) -> Iterator[agent_pool_pb2.AgentPool | agent_pool_pb2.Budget]:
    """Give each pool and budget of a file, budgets first.

    Raises:
        PoolFileError: it is not YAML, or something in it is no pool and no budget.
    """
    try:
        documents = [each for each in yaml.safe_load_all(text) if each is not None]
    except yaml.YAMLError as error:
        raise PoolFileError(f"it is not YAML: {error}") from error
    if not documents:
        raise PoolFileError("there is nothing in it; a pool begins with `pool_id: NAME`")
    flat = [each for document in documents for each in (document if isinstance(document, list) else [document])]
    for each in flat:
        if not isinstance(each, dict) or not ({"pool_id", "budget_id"} & each.keys()):
            raise PoolFileError("each part of it needs a `pool_id`, or a `budget_id` if it is a budget")
    for each in sorted(flat, key=lambda each: "pool_id" in each):
        yield _pool(each) if "pool_id" in each else _parsed(each, agent_pool_pb2.Budget())


def _pool(given: dict[str, Any]) -> agent_pool_pb2.AgentPool:
    pool = {_SHORT.get(name, name): value for name, value in given.items()}
    local, pods, added = pool.get("local"), pool.get("pods"), pool.get("added")
    if isinstance(local, dict) and isinstance(local.get("command"), str):
        pool["local"] = {**local, "command": shlex.split(local["command"])}
    if isinstance(pods, dict) and "template" in pods:
        pool["pods"] = {"namespace": pods.get("namespace", ""), "template_json": json.dumps(pods["template"])}
    if isinstance(added, dict) and "spec" in added:
        pool["added"] = {"name": added.get("name", ""), "spec_json": json.dumps(added["spec"])}
    found: agent_pool_pb2.AgentPool = _parsed(pool, agent_pool_pb2.AgentPool())
    return found


def _parsed(given: dict[str, Any], message: Any) -> Any:
    name = given.get("pool_id") or given.get("budget_id")
    try:
        return ParseDict({key: _value(message.DESCRIPTOR, key, value) for key, value in given.items()}, message)
    except (ParseError, ValueError) as error:
        raise PoolFileError(f"{name}: {error}") from error


def _value(descriptor: Descriptor, name: str, value: Any) -> Any:
    """Return a value as JSON of the contracts has it: durations in seconds."""
    field = descriptor.fields_by_name.get(name)
    if field is None or field.message_type is None or field.message_type.full_name != _DURATION:
        return value
    return f"{parse_duration(str(value)).total_seconds():.3f}s"
