"""How a task is to be run, as callers say it and as the contract holds it."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypedDict

import grpc

from tercio.api.scheduler.v1 import task_pb2
from tercio.rpc.errors import FieldViolation, InvalidRequestError
from tercio.things import TaskClaim, claim_spec

_TYPE: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
_CACHED: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often and how soon a failed task is tried again.

    Attributes:
        max_attempts: failures after which the task is a dead letter, 1 to 100.
        initial_backoff: wait before the second attempt, up to 1 hour.
        multiplier: growth of the wait with each failure, 1 to 10.
        max_backoff: upper bound of the wait, up to 24 hours.
    """

    max_attempts: int = 3
    initial_backoff: timedelta = timedelta(seconds=1)
    multiplier: float = 2.0
    max_backoff: timedelta = timedelta(minutes=5)


class TaskOptions(TypedDict, total=False):
    """What may be said about a task beside its type and payload.

    Attributes:
        priority: 0 to 9, 9 first; 5 by default.
        requires: level per capability, 1 to 100, that the agent must have at least.
        target_agent_id: only this agent may run the task.
        attempt_timeout: longest time from the start to the result of one attempt; 300 s by default.
        deadline: the task fails when it is not finished by then; with a time zone.
        deadline_in: the same, counted from acceptance.
        retry: how failures are retried.
        require_capable_agent: refuse the task when no connected agent could run it.
        labels: for filters.
        resources: what each attempt holds while it runs, by dimension, in its unit: `{"cpu": 2000, "memory": 512}` is 2
            cores and 512 MB.
        tenant: for whom; what its attempts hold counts against this tenant's quota.
        pool_labels: labels of the pools that the resources must come from.
        claims: what each attempt claims while it runs: paths and globs to edit, or `TaskClaim`s.
    """

    priority: int
    requires: Mapping[str, int]
    target_agent_id: str
    attempt_timeout: timedelta
    deadline: datetime
    deadline_in: timedelta
    retry: RetryPolicy
    require_capable_agent: bool
    labels: Mapping[str, str]
    resources: Mapping[str, int]
    tenant: str
    pool_labels: Mapping[str, str]
    claims: Sequence[str | TaskClaim]


class Templates:
    """Makes templates, and gives the same one again for the same options, so that many tasks can share it."""

    def __init__(self) -> None:
        self._by_options: dict[Hashable, task_pb2.TaskTemplate] = {}

    def get(self, task_type: str, options: TaskOptions) -> task_pb2.TaskTemplate:
        """Return the template of a type with these options. It is shared: never change it.

        Raises:
            InvalidRequestError: the type or an option is malformed.
        """
        key: Hashable = (task_type, *options.items()) if options else task_type
        try:
            template = self._by_options.get(key)
        except TypeError:  # mappings cannot be keys, but the template that holds them has bytes
            template = template_of(task_type, options)
            key = template.SerializeToString(deterministic=True)
            return self._kept(key, self._by_options.get(key) or template)
        return template or self._kept(key, template_of(task_type, options))

    def _kept(self, key: Hashable, template: task_pb2.TaskTemplate) -> task_pb2.TaskTemplate:
        if len(self._by_options) >= _CACHED:
            self._by_options.clear()
        self._by_options[key] = template
        return template


def template_of(task_type: str, options: TaskOptions) -> task_pb2.TaskTemplate:
    """Return the contract's message; what the scheduler can judge better is left to it.

    Raises:
        InvalidRequestError: the type or an option is malformed.
    """
    violations = list(_violations(task_type, options))
    if violations:
        raise InvalidRequestError(
            "the task is malformed",
            code=grpc.StatusCode.INVALID_ARGUMENT,
            reason="INVALID_ARGUMENT",
            violations=tuple(violations),
        )
    template = task_pb2.TaskTemplate(
        task_type=task_type,
        required_capabilities=options.get("requires"),
        target_agent_id=options.get("target_agent_id", ""),
        require_capable_agent=options.get("require_capable_agent", False),
        labels=options.get("labels"),
        resources=options.get("resources"),
        tenant=options.get("tenant", ""),
        pool_labels=options.get("pool_labels"),
        claims=map(claim_spec, options.get("claims", ())),
    )
    if "priority" in options:
        template.priority = options["priority"]
    if (attempt_timeout := options.get("attempt_timeout")) is not None:
        template.attempt_timeout.FromTimedelta(attempt_timeout)
    if (deadline := options.get("deadline")) is not None:
        template.deadline.FromDatetime(deadline)
    if (deadline_in := options.get("deadline_in")) is not None:
        template.deadline_in.FromTimedelta(deadline_in)
    if (retry := options.get("retry")) is not None:
        template.retry.max_attempts = retry.max_attempts
        template.retry.initial_backoff.FromTimedelta(retry.initial_backoff)
        template.retry.multiplier_permille = round(retry.multiplier * 1000)
        template.retry.max_backoff.FromTimedelta(retry.max_backoff)
    return template


def _violations(task_type: str, options: TaskOptions) -> Iterator[FieldViolation]:
    if not _TYPE.fullmatch(task_type):
        yield FieldViolation("task_type", f"{task_type!r} is not 1 to 128 characters of [A-Za-z0-9._-]")
    if not 0 <= options.get("priority", 5) <= 9:
        yield FieldViolation("priority", "must be 0 to 9")
    if (deadline := options.get("deadline")) is not None:
        if deadline.tzinfo is None:
            yield FieldViolation("deadline", "needs a time zone")
        if options.get("deadline_in") is not None:
            yield FieldViolation("deadline_in", "is not allowed beside deadline")
    unknown = options.keys() - TaskOptions.__annotations__.keys()
    for name in sorted(unknown):
        yield FieldViolation(name, f"is not an option; options are {', '.join(sorted(TaskOptions.__annotations__))}")
