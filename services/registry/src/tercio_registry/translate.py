"""Contract to domain and back. Every violation of a request is reported at once; the contract states the bounds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, cast

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from tercio.api.registry.v1 import agent_pb2, registration_pb2
from tercio.api.registry.v1 import registry_service_pb2 as pb
from tercio.api.type.v1 import epoch_pb2
from tercio_common.epochs import Epoch
from tercio_common.errors import Refusal
from tercio_common.filtering.grammar import FilterError
from tercio_common.filtering.predicates import EVERYTHING, Filter
from tercio_common.rpc.violations import MAX_TEXT, Violations
from tercio_registry import amounts, health_messages
from tercio_registry.performance_messages import check_totals
from tercio_registry.ports import Credential
from tercio_registry.state.agents import Drain, Profile
from tercio_registry.state.commands import CordonAgent, DeregisterAgent, DrainAgent
from tercio_registry.state.filters import AgentFilter, Candidate, compile_expression
from tercio_registry.state.heartbeats import Answer
from tercio_registry.state.rules import Rules
from tercio_registry.state.views import AgentView, State

MAX_BEATS = 1_000
_MAX_REASON = 1_024
_MAX_CONCURRENCY = 10_000
_SECRET_BYTES = (16, 128)
_INSTANCE_BYTES = 16
_PAGE_SIZE = 100
_MAX_PAGE_SIZE = 1_000
_DRAIN_MS = 5 * 60_000
"""A graceful end takes at most this long unless the caller says otherwise: five minutes outlast most tasks."""
_MAX_DRAIN_MS = 24 * 3_600_000


def profile_of(request: pb.RegisterAgentRequest) -> Profile:
    """Check a registration, and return what the agent says of itself.

    Raises:
        Refusal: INVALID_SPECIFICATION.
    """
    found = Violations()
    found.check_length("request_id", request.request_id, most=MAX_TEXT)
    found.check_id("agent_id", request.agent_id, optional=True)
    found.check_length("agent_type", request.agent_type, most=MAX_TEXT)
    found.check_length("version", request.version, most=MAX_TEXT)
    found.check_capabilities("capabilities", request.capabilities)
    found.check_labels("labels", request.labels)
    found.check_range("concurrency", request.concurrency, least=0, most=_MAX_CONCURRENCY)
    least, most = _SECRET_BYTES
    found.check_length("identity_secret", request.identity_secret, least=least, most=most, unit="bytes")
    found.check(
        "instance_id",
        len(request.instance_id) == _INSTANCE_BYTES,
        f"must have {_INSTANCE_BYTES} bytes, has {len(request.instance_id)}",
    )
    required = amounts.checked("resource_requirements", request.resource_requirements, found)
    allowed = amounts.checked("max_resources", request.max_resources, found)
    amounts.check_within(required, allowed, found)
    started = _started(request, found)
    try:
        found.raise_if_any()
    except Refusal as refusal:
        raise replace(refusal, reason="INVALID_SPECIFICATION") from None
    return Profile(
        agent_type=request.agent_type,
        version=request.version,
        capabilities=_sorted(request.capabilities),
        labels=_sorted(request.labels),
        concurrency=request.concurrency or 1,
        resource_requirements=required,
        max_resources=allowed,
        started_wall=started,
    )


def fingerprint_of(request: pb.RegisterAgentRequest) -> str:
    """Return the digest of the agent's secret, which itself goes no further."""
    return hashlib.sha256(request.identity_secret).hexdigest()


def deregister_command(request: pb.DeregisterAgentRequest) -> DeregisterAgent:
    """Translate a farewell. Raises INVALID_ARGUMENT, as all below do."""
    found = Violations()
    _check_mutation(request, found)
    found.check_one_of("mode", request.mode, pb.DeregisterAgentRequest.Mode.values())
    graceful, given = request.mode == pb.DeregisterAgentRequest.MODE_GRACEFUL, request.HasField("drain_timeout")
    leave_within = _DRAIN_MS
    if given:
        found.check("drain_timeout", graceful, "is for MODE_GRACEFUL only")
        leave_within = found.check_duration(
            "drain_timeout", request.drain_timeout, least_ms=1_000, most_ms=_MAX_DRAIN_MS
        )
    drain = None
    if request.HasField("drain"):
        took = found.check_duration("drain.duration", request.drain.duration, least_ms=0, most_ms=_MAX_DRAIN_MS)
        drain = Drain(request.drain.finished_attempts, request.drain.returned_attempts, took)
    found.raise_if_any()
    return DeregisterAgent(
        agent_id=request.agent_id,
        incarnation=request.incarnation,
        reason=request.reason,
        leave_within=leave_within if graceful and drain is None else 0,
        drain=drain,
    )


def cordon_command(request: pb.CordonAgentRequest) -> CordonAgent:
    """Translate a cordon."""
    found = Violations()
    _check_mutation(request, found)
    found.raise_if_any()
    return CordonAgent(agent_id=request.agent_id, cordoned=request.cordoned, reason=request.reason)


def drain_command(request: pb.DrainAgentRequest) -> DrainAgent:
    """Translate a drain."""
    found = Violations()
    _check_mutation(request, found)
    found.raise_if_any()
    return DrainAgent(agent_id=request.agent_id, reason=request.reason)


def agent_id_of(request: pb.GetAgentRequest) -> str:
    """Return which agent is asked for."""
    found = Violations()
    found.check_id("agent_id", request.agent_id)
    found.raise_if_any()
    return request.agent_id


def listing_of(request: pb.ListAgentsRequest) -> tuple[int, AgentFilter]:
    """Return page size and filter of a list."""
    found = Violations()
    found.check_range("page_size", request.page_size, least=0, most=_MAX_PAGE_SIZE)
    selected = _filter(request.filter, found)
    found.raise_if_any()
    return request.page_size or _PAGE_SIZE, selected


def watch_filter(request: pb.WatchAgentsRequest) -> AgentFilter:
    """Return the filter of a watch."""
    found = Violations()
    selected = _filter(request.filter, found)
    found.raise_if_any()
    return selected


def check_beats(request: pb.HeartbeatRequest) -> None:
    """Refuse a message with too many heartbeats."""
    found = Violations()
    found.check_length("beats", request.beats, most=MAX_BEATS, unit="heartbeats")
    for index, beat in enumerate(request.beats):
        if beat.HasField("totals"):
            check_totals(f"beats[{index}].totals", beat.totals, found)
    found.raise_if_any()


def agent_message(shown: AgentView) -> agent_pb2.Agent:
    """Return an agent as the contract has it."""
    row, profile = shown.row, shown.row.profile
    message = agent_pb2.Agent(
        agent_id=row.agent_id,
        agent_type=profile.agent_type,
        version=profile.version,
        capabilities=dict(profile.capabilities),
        labels=dict(profile.labels),
        concurrency=profile.concurrency,
        fingerprint=row.fingerprint,
        incarnation=row.incarnation,
        state=cast("agent_pb2.Agent.State.ValueType", int(shown.state)),
        cordoned=row.cordoned,
        draining=row.draining,
        register_time=_timestamp(row.registered_wall),
        confirmed_epoch=epoch_pb2.Epoch(generation=row.confirmed_generation, revision=row.confirmed_revision),
        state_reason=shown.why,
        etag=str(row.changed_seq),
        resource_requirements=amounts.messages(profile.resource_requirements),
        max_resources=amounts.messages(profile.max_resources),
        active_attempts=shown.active_attempts,
        performance_scores=dict(row.performance),
        health_reasons=health_messages.reasons_of(shown.row),
        health_report=health_messages.report_of(shown.vitals),
        config_revision=row.config_revision,
        status=health_messages.status_of(shown.status),
    )
    if profile.started_wall:
        message.start_time.CopyFrom(_timestamp(profile.started_wall))
    if shown.renewed_wall is not None:
        message.renew_time.CopyFrom(_timestamp(shown.renewed_wall))
    return message


def registered_message(shown: AgentView, *, rules: Rules, reserves: bool) -> pb.RegisterAgentResponse:
    """Return the answer to a registration, which reserved what the agent requires or did not."""
    return pb.RegisterAgentResponse(
        agent=agent_message(shown),
        heartbeat_interval=duration(rules.interval_of(shown.row.agent_id)),
        lease_ttl=duration(rules.ttl),
        epoch=epoch_message(Epoch(shown.row.confirmed_generation, shown.row.confirmed_revision)),
        reservation=registration_pb2.Reservation(
            amounts=amounts.messages(shown.row.profile.resource_requirements if reserves else ())
        ),
    )


def credential_message(credential: Credential) -> registration_pb2.Credential:
    """Return what was issued as the contract has it, secret included."""
    return registration_pb2.Credential(
        credential_id=credential.credential_id,
        kind=credential.kind,
        secret=credential.secret,
        expire_time=_timestamp(credential.expires_wall) if credential.expires_wall else None,
    )


def monitoring_message(agent_id: str, rules: Rules) -> registration_pb2.MonitoringConfiguration:
    """Return how an agent is watched."""
    interval = duration(rules.interval_of(agent_id))
    return registration_pb2.MonitoringConfiguration(
        heartbeat_interval=interval,
        report_interval=interval,
        degraded_after=duration(rules.degraded_after),
        unhealthy_after=duration(rules.unhealthy_after),
        lease_ttl=duration(rules.ttl),
    )


def answers_message(answers: Iterable[Answer], *, interval: int, ttl: int, epoch: Epoch) -> pb.HeartbeatResponse:
    """Return the answers to the heartbeats of one message; times in ms."""
    return pb.HeartbeatResponse(
        answers=[
            pb.HeartbeatResponse.Answer(
                agent_id=answer.agent_id,
                incarnation=answer.incarnation,
                reason=answer.reason,
                cordoned=answer.cordoned,
                draining=answer.draining,
            )
            for answer in answers
        ],
        heartbeat_interval=duration(interval),
        lease_ttl=duration(ttl),
        epoch=epoch_message(epoch),
    )


def epoch_message(epoch: Epoch) -> epoch_pb2.Epoch:
    """Return an epoch as the contract has it."""
    return epoch_pb2.Epoch(generation=epoch.generation, revision=epoch.revision)


def duration(milliseconds: int) -> Duration:
    """Return a duration as the contract has it."""
    seconds, rest = divmod(milliseconds, 1000)
    return Duration(seconds=seconds, nanos=rest * 1_000_000)


def _started(request: pb.RegisterAgentRequest, found: Violations) -> int:
    """Return when the agent's process started, in ms; 0 when it did not say."""
    try:
        return request.start_time.ToMilliseconds() if request.HasField("start_time") else 0
    except ValueError as error:
        found.add("start_time", str(error))
        return 0


def _timestamp(milliseconds: int) -> Timestamp:
    seconds, rest = divmod(milliseconds, 1000)
    return Timestamp(seconds=seconds, nanos=rest * 1_000_000)


def _sorted(mapping: Mapping[str, int] | Mapping[str, str]) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(mapping.items()))


def _check_mutation(
    request: pb.DeregisterAgentRequest | pb.CordonAgentRequest | pb.DrainAgentRequest, found: Violations
) -> None:
    found.check_length("request_id", request.request_id, most=MAX_TEXT)
    found.check_id("agent_id", request.agent_id)
    found.check_length("reason", request.reason, most=_MAX_REASON)


def _filter(message: pb.AgentFilter, found: Violations) -> AgentFilter:
    known = {int(state) for state in State}
    for index, number in enumerate(message.states):
        found.check_one_of(f"filter.states[{index}]", number, known)
    found.check_capabilities("filter.capabilities", message.capabilities)
    found.check_labels("filter.labels", message.labels)
    found.check_length("filter.agent_type", message.agent_type, most=MAX_TEXT)
    return AgentFilter(
        expression=_expression(message.expression, found),
        states=frozenset(State(number) for number in message.states if number in known),
        capabilities=_sorted(message.capabilities),
        labels=_sorted(message.labels),
        agent_type=message.agent_type,
    )


def _expression(text: str, found: Violations) -> Filter[Candidate]:
    try:
        return compile_expression(text)
    except FilterError as error:
        found.add("filter.expression", str(error))
        return EVERYTHING
