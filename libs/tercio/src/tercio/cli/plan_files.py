"""Reads plan files: a graph of tasks in YAML, by the contracts' field names, with every mistake reported at once.

    plan_id: nightly                 # optional; the same id with the same content is submitted once
    defaults:                        # optional; what a task does not say itself
      task_type: command
      deadline_in: 10m
    tasks:
      - task_id: build
        run: make wheel              # short for payload: {argv: [make, wheel]}
        required_capabilities: {python: 50}
        priority: 7
      - task_id: publish
        depends_on: [build]
        payload: {channel: stable}

Durations are written 90s, 5m, 1h30m. A payload is any YAML; it is sent as JSON.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from tercio.api.scheduler.v1 import plan_service_pb2, task_pb2
from tercio.api.scheduler.v1.claim_spec_pb2 import ClaimSpec
from tercio.cli.texts import parse_duration
from tercio.errors import SettingsError
from tercio.things import TaskClaim, claim_spec

COMMAND_TYPE = "command"
"""Task type of a `run` that names none: what `tercio agent exec --allow-commands` takes."""

_DEFAULTS = frozenset(
    {
        "task_type",
        "priority",
        "required_capabilities",
        "target_agent_id",
        "attempt_timeout",
        "deadline_in",
        "retry",
        "require_capable_agent",
        "labels",
        "resources",
        "claims",
        "env",
        "cwd",
    }
)
_OF_A_TASK = _DEFAULTS | {"task_id", "run", "payload", "depends_on", "description"}
_RETRY = frozenset({"max_attempts", "initial_backoff", "max_backoff", "multiplier"})


class PlanFileError(ValueError):
    """The file is not a plan; the message lists every mistake."""


@dataclass(slots=True)
class _Reader:
    """Collects mistakes while it reads."""

    mistakes: list[str] = field(default_factory=list)

    def value(self, where: str, raw: Any, convert: Callable[[Any], Any]) -> Any:
        """Return the converted value, or None after noting that it is wrong."""
        try:
            return convert(raw)
        except (TypeError, ValueError) as error:
            self.mistakes.append(f"{where}: {error}")
            return None

    def keys(self, where: str, raw: Any, known: frozenset[str]) -> Mapping[str, Any]:
        """Return a mapping, after noting keys that mean nothing."""
        if not isinstance(raw, dict):
            self.mistakes.append(f"{where}: expected a mapping, found {type(raw).__name__}")
            return {}
        unknown = [str(key) for key in raw if key not in known]
        if unknown:
            self.mistakes.append(f"{where}: unknown {', '.join(unknown)}; known are {', '.join(sorted(known))}")
        return raw


def parse_plan(text: str) -> plan_service_pb2.CreatePlanRequest:
    """Read a plan file; whether its graph makes sense is the scheduler's to say.

    Raises:
        PlanFileError: it is not a plan.
    """
    try:
        raw = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise PlanFileError(f"this is not YAML: {' '.join(str(error).split())}") from None
    reader = _Reader()
    top = reader.keys("the file", raw, frozenset({"plan_id", "description", "defaults", "tasks"}))
    defaults = reader.keys("defaults", top.get("defaults") or {}, _DEFAULTS)
    tasks = top.get("tasks")
    if not isinstance(tasks, list) or not tasks:
        reader.mistakes.append("tasks: expected a list with at least one task")
        tasks = []
    specs = [_spec(reader, f"tasks[{index}]", task, defaults) for index, task in enumerate(tasks)]
    if reader.mistakes:
        raise PlanFileError("; ".join(reader.mistakes))
    return plan_service_pb2.CreatePlanRequest(plan_id=str(top.get("plan_id") or ""), tasks=specs)


def _spec(reader: _Reader, where: str, raw: Any, defaults: Mapping[str, Any]) -> task_pb2.TaskSpec:
    task = reader.keys(where, raw, _OF_A_TASK)
    if task.get("task_id"):
        where = f"task {task['task_id']}"
    merged = {**defaults, **task}
    for name in ("labels", "resources", "required_capabilities", "env"):
        if isinstance(defaults.get(name), dict) and isinstance(task.get(name), dict):
            merged[name] = {**defaults[name], **task[name]}
    return task_pb2.TaskSpec(
        task_id=str(task.get("task_id") or ""),
        template=_template(reader, where, merged),
        payload=_payload(reader, where, merged),
        depends_on=reader.value(f"{where}: depends_on", task.get("depends_on") or [], _names) or [],
    )


def _template(reader: _Reader, where: str, raw: Mapping[str, Any]) -> task_pb2.TaskTemplate:
    template = task_pb2.TaskTemplate(
        task_type=str(raw.get("task_type") or (COMMAND_TYPE if "run" in raw else "")),
        target_agent_id=str(raw.get("target_agent_id") or ""),
        require_capable_agent=bool(raw.get("require_capable_agent")),
        required_capabilities=reader.value(
            f"{where}: required_capabilities", raw.get("required_capabilities") or {}, _capabilities
        ),
        labels=reader.value(f"{where}: labels", raw.get("labels") or {}, _texts),
        claims=reader.value(f"{where}: claims", raw.get("claims") or [], _claims),
        resources=reader.value(f"{where}: resources", raw.get("resources") or {}, _amounts),
    )
    if not template.task_type:
        reader.mistakes.append(f"{where}: task_type is missing")
    if "priority" in raw:
        template.priority = reader.value(f"{where}: priority", raw["priority"], _priority) or 0
    for name in ("attempt_timeout", "deadline_in"):
        if name in raw:
            _set_duration(reader, where, template, name, raw[name])
    if "retry" in raw:
        _set_retry(reader, f"{where}: retry", template.retry, raw["retry"])
    return template


def _set_retry(reader: _Reader, where: str, policy: task_pb2.RetryPolicy, raw: Any) -> None:
    retry = reader.keys(where, raw, _RETRY)
    if "max_attempts" in retry:
        policy.max_attempts = reader.value(f"{where}.max_attempts", retry["max_attempts"], _count) or 0
    if "multiplier" in retry:
        factor = reader.value(f"{where}.multiplier", retry["multiplier"], float)
        policy.multiplier_permille = round((factor or 0) * 1000)
    for name in ("initial_backoff", "max_backoff"):
        if name in retry:
            _set_duration(reader, where, policy, name, retry[name])


def _set_duration(reader: _Reader, where: str, message: Any, name: str, raw: Any) -> None:
    duration = reader.value(f"{where}: {name}", str(raw), parse_duration)
    if duration is not None:
        getattr(message, name).FromTimedelta(duration)


def _payload(reader: _Reader, where: str, raw: Mapping[str, Any]) -> bytes:
    if "run" in raw and "payload" in raw:
        reader.mistakes.append(f"{where}: give either run or payload, not both")
    if "run" in raw:
        command = {"argv": reader.value(f"{where}: run", raw["run"], _argv)}
        command |= {name: raw[name] for name in ("cwd", "env") if name in raw}
        return json.dumps(command).encode()
    return json.dumps(raw["payload"]).encode() if "payload" in raw else b""


def _argv(raw: Any) -> list[str]:
    argv = shlex.split(raw) if isinstance(raw, str) else [str(part) for part in raw]
    if not argv:
        raise ValueError("a command is missing")
    return argv


def _names(raw: Any) -> list[str]:
    if not isinstance(raw, list):
        raise ValueError("expected a list of task ids")
    return [str(name) for name in raw]


def _capabilities(raw: Any) -> dict[str, int]:
    if isinstance(raw, list):
        return dict.fromkeys(map(str, raw), 1)
    return {str(name): _count(level) for name, level in raw.items()}


def _amounts(raw: Any) -> dict[str, int]:
    return {str(dimension): _count(amount) for dimension, amount in raw.items()}


def _claims(raw: Any) -> list[ClaimSpec]:
    if not isinstance(raw, list):
        raise ValueError("expected a list of paths and globs, or of mappings with name, mode, scope and kind")
    try:
        return [claim_spec(str(each) if not isinstance(each, dict) else TaskClaim(**each)) for each in raw]
    except SettingsError as error:
        raise ValueError(str(error)) from None


def _texts(raw: Any) -> dict[str, str]:
    return {str(key): str(value) for key, value in raw.items()}


def _priority(raw: Any) -> int:
    if isinstance(raw, bool) or not isinstance(raw, int) or not 0 <= raw <= 9:
        raise ValueError(f"{raw!r} is not a number from 0 to 9")
    return raw


def _count(raw: Any) -> int:
    if isinstance(raw, bool) or not isinstance(raw, int) or raw < 1:
        raise ValueError(f"{raw!r} is not a whole number from 1 on")
    return raw
