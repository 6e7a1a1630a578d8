"""Contract to domain and back. Every violation of a request is reported at once; the contract states the bounds."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, cast

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from tercio.api.registry.v1 import agent_pb2
from tercio.api.registry.v1 import registry_service_pb2 as pb
from tercio.api.type.v1 import epoch_pb2, resource_amount_pb2
from tercio_common.epochs import Epoch
from tercio_common.filtering.grammar import FilterError
from tercio_common.filtering.predicates import EVERYTHING, Filter
from tercio_common.ids import IdSource
from tercio_common.rpc.violations import MAX_TEXT, Violations
from tercio_registry.state.agents import Amount, Profile
from tercio_registry.state.commands import CordonAgent, DeregisterAgent, DrainAgent, RegisterAgent
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


def register_command(request: pb.RegisterAgentRequest, *, ids: IdSource) -> RegisterAgent:
    """Translate a registration; an agent without an id gets one, and of the secret only the digest goes on.

    Raises:
        Refusal: INVALID_ARGUMENT.
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
    found.raise_if_any()
    return RegisterAgent(
        agent_id=request.agent_id or ids.new(),
        profile=Profile(
            agent_type=request.agent_type,
            version=request.version,
            capabilities=_sorted(request.capabilities),
            labels=_sorted(request.labels),
            concurrency=request.concurrency or 1,
        ),
        fingerprint=hashlib.sha256(request.identity_secret).hexdigest(),
        instance_id=request.instance_id,
    )


def deregister_command(request: pb.DeregisterAgentRequest) -> DeregisterAgent:
    """Translate a farewell. Raises like `register_command`."""
    _check_mutation(request)
    return DeregisterAgent(agent_id=request.agent_id, incarnation=request.incarnation, reason=request.reason)


def cordon_command(request: pb.CordonAgentRequest) -> CordonAgent:
    """Translate a cordon. Raises like `register_command`."""
    _check_mutation(request)
    return CordonAgent(agent_id=request.agent_id, cordoned=request.cordoned, reason=request.reason)


def drain_command(request: pb.DrainAgentRequest) -> DrainAgent:
    """Translate a drain. Raises like `register_command`."""
    _check_mutation(request)
    return DrainAgent(agent_id=request.agent_id, reason=request.reason)


def agent_id_of(request: pb.GetAgentRequest) -> str:
    """Return which agent is asked for. Raises like `register_command`."""
    found = Violations()
    found.check_id("agent_id", request.agent_id)
    found.raise_if_any()
    return request.agent_id


def listing_of(request: pb.ListAgentsRequest) -> tuple[int, AgentFilter]:
    """Return page size and filter of a list. Raises like `register_command`."""
    found = Violations()
    found.check_range("page_size", request.page_size, least=0, most=_MAX_PAGE_SIZE)
    selected = _filter(request.filter, found)
    found.raise_if_any()
    return request.page_size or _PAGE_SIZE, selected


def watch_filter(request: pb.WatchAgentsRequest) -> AgentFilter:
    """Return the filter of a watch. Raises like `register_command`."""
    found = Violations()
    selected = _filter(request.filter, found)
    found.raise_if_any()
    return selected


def check_beats(request: pb.HeartbeatRequest) -> None:
    """Refuse a message with too many heartbeats. Raises like `register_command`."""
    found = Violations()
    found.check_length("beats", request.beats, most=MAX_BEATS, unit="heartbeats")
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
        resource_requirements=_amount_messages(profile.resource_requirements),
        max_resources=_amount_messages(profile.max_resources),
        active_attempts=shown.active_attempts,
    )
    if profile.started_wall:
        message.start_time.CopyFrom(_timestamp(profile.started_wall))
    if shown.renewed_wall is not None:
        message.renew_time.CopyFrom(_timestamp(shown.renewed_wall))
    return message


def registered_message(shown: AgentView, *, rules: Rules) -> pb.RegisterAgentResponse:
    """Return the answer to a registration."""
    return pb.RegisterAgentResponse(
        agent=agent_message(shown),
        heartbeat_interval=duration(rules.interval_of(shown.row.agent_id)),
        lease_ttl=duration(rules.ttl),
        epoch=epoch_message(Epoch(shown.row.confirmed_generation, shown.row.confirmed_revision)),
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


def _timestamp(milliseconds: int) -> Timestamp:
    seconds, rest = divmod(milliseconds, 1000)
    return Timestamp(seconds=seconds, nanos=rest * 1_000_000)


def _amount_messages(amounts: Iterable[Amount]) -> list[resource_amount_pb2.ResourceAmount]:
    return [
        resource_amount_pb2.ResourceAmount(dimension=each.dimension, amount=each.amount, unit=each.unit)
        for each in amounts
    ]


def _sorted(mapping: Mapping[str, int] | Mapping[str, str]) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(mapping.items()))


def _check_mutation(request: pb.DeregisterAgentRequest | pb.CordonAgentRequest | pb.DrainAgentRequest) -> None:
    found = Violations()
    found.check_length("request_id", request.request_id, most=MAX_TEXT)
    found.check_id("agent_id", request.agent_id)
    found.check_length("reason", request.reason, most=_MAX_REASON)
    found.raise_if_any()


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
