"""Bounds of task templates."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from tercio.api.scheduler.v1 import claim_spec_pb2, task_pb2
from tercio_scheduler.state.rows import SYSTEM_TYPES
from tercio_scheduler.translate.bounds import YEARS_MS, Bounds

MAX_REQUIRED_CAPABILITIES: Final = 32
MAX_LABELS: Final = 16
MAX_RESOURCES: Final = 32
MAX_CLAIMS: Final = 32
_DIMENSION: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")
_KINDS: Final = frozenset(claim_spec_pb2.ClaimSpec.Kind.values()) - {0}
_MODES: Final = frozenset(claim_spec_pb2.ClaimSpec.Mode.values())
_MAX_SCOPE: Final = 512
_MAX_NAME: Final = 1024
_MOST_AMOUNT: Final = 10**15
_HOUR_MS: Final = 3_600_000
_DAY_MS: Final = 24 * _HOUR_MS
_MAX_ATTEMPT_TIMEOUT_MS: Final = 30 * _DAY_MS
_MOST_SOUND: Final = 1000
"""Templates that are known to be within the bounds: clients send the same one with every frame, and checking it costs
as much as a hundred tasks."""

_sound: set[bytes] = set()


def check_template(found: Bounds, field: str, template: task_pb2.TaskTemplate) -> None:
    """Check every field of a template."""
    encoded = template.SerializeToString()
    if encoded in _sound:
        return
    violations = len(found)
    _check_fields(found, field, template)
    if len(found) == violations:
        if len(_sound) >= _MOST_SOUND:
            _sound.clear()
        _sound.add(encoded)


def _check_fields(found: Bounds, field: str, template: task_pb2.TaskTemplate) -> None:
    found.check_id(f"{field}.task_type", template.task_type)
    is_own = not template.task_type.startswith(SYSTEM_TYPES)
    found.check(f"{field}.task_type", is_own, "types that begin with `tercio.` are for the fleet's own tasks")
    if template.HasField("priority"):
        found.check_range(f"{field}.priority", template.priority, least=0, most=9)
    found.check_levels(f"{field}.required_capabilities", template.required_capabilities, most=MAX_REQUIRED_CAPABILITIES)
    found.check_id(f"{field}.target_agent_id", template.target_agent_id, optional=True)
    if template.HasField("attempt_timeout"):
        found.check_duration(
            f"{field}.attempt_timeout", template.attempt_timeout, least_ms=1, most_ms=_MAX_ATTEMPT_TIMEOUT_MS
        )
    _check_deadline(found, field, template)
    _check_retry(found, f"{field}.retry", template.retry)
    found.check_few_labels(f"{field}.labels", template.labels, most=MAX_LABELS)
    _check_resources(found, f"{field}.resources", template.resources)
    found.check_id(f"{field}.tenant", template.tenant, optional=True)
    found.check_few_labels(f"{field}.pool_labels", template.pool_labels, most=MAX_LABELS)
    _check_claims(found, f"{field}.claims", template.claims)


def _check_resources(found: Bounds, field: str, resources: Mapping[str, int]) -> None:
    found.check_length(field, resources, most=MAX_RESOURCES, unit="dimensions")
    for dimension, amount in list(resources.items())[:MAX_RESOURCES]:
        found.check_pattern(field, dimension, _DIMENSION)
        found.check_range(f"{field}[{dimension!r}]", amount, least=1, most=_MOST_AMOUNT)


def _check_claims(found: Bounds, field: str, claims: Sequence[claim_spec_pb2.ClaimSpec]) -> None:
    found.check_length(field, claims, most=MAX_CLAIMS, unit="claims")
    for place, claim in enumerate(claims[:MAX_CLAIMS]):
        found.check_one_of(f"{field}[{place}].kind", claim.kind, _KINDS)
        found.check_one_of(f"{field}[{place}].mode", claim.mode, _MODES)
        found.check_length(f"{field}[{place}].scope", claim.scope, most=_MAX_SCOPE)
        found.check_length(f"{field}[{place}].name", claim.name, least=1, most=_MAX_NAME)


def _check_deadline(found: Bounds, field: str, template: task_pb2.TaskTemplate) -> None:
    if template.HasField("deadline"):
        found.check_timestamp(f"{field}.deadline", template.deadline)
    if template.HasField("deadline_in"):
        found.check_duration(f"{field}.deadline_in", template.deadline_in, least_ms=1, most_ms=YEARS_MS)
        found.check(f"{field}.deadline_in", not template.HasField("deadline"), "excludes `deadline`: set one of them")


def _check_retry(found: Bounds, field: str, retry: task_pb2.RetryPolicy) -> None:
    found.check_range(f"{field}.max_attempts", retry.max_attempts, least=0, most=100)
    if retry.HasField("initial_backoff"):
        found.check_duration(f"{field}.initial_backoff", retry.initial_backoff, least_ms=0, most_ms=_HOUR_MS)
    multiplier = retry.multiplier_permille
    found.check(
        f"{field}.multiplier_permille",
        multiplier == 0 or 1000 <= multiplier <= 10_000,
        f"must be 0 or 1000 to 10000, is {multiplier}",
    )
    if retry.HasField("max_backoff"):
        found.check_duration(f"{field}.max_backoff", retry.max_backoff, least_ms=0, most_ms=_DAY_MS)
