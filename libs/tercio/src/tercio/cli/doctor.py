"""`tercio doctor`: looks at everything that commonly goes wrong, and says what to do about it."""

from __future__ import annotations

import asyncio
import os
import platform
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from typing import Any, Final

import grpc
import typer
from rich.markup import escape

from tercio.addresses import service_addresses
from tercio.api.conflicts.v1 import claim_service_pb2
from tercio.api.conflicts.v1.claim_service_pb2_grpc import ClaimServiceStub
from tercio.api.registry.v1 import agent_pb2, registry_service_pb2
from tercio.api.registry.v1.registry_service_pb2_grpc import RegistryServiceStub
from tercio.api.resources.v1 import resource_service_pb2
from tercio.api.resources.v1.resource_service_pb2_grpc import ResourceServiceStub
from tercio.api.scaling.v1 import scaling_service_pb2
from tercio.api.scaling.v1.scaling_service_pb2_grpc import ScalingServiceStub
from tercio.api.scheduler.v1 import task_pb2, task_service_pb2
from tercio.api.scheduler.v1.task_service_pb2_grpc import TaskServiceStub
from tercio.cli import agent_views, connect, tasks, texts
from tercio.cli.connect import Address, Fleet, Output
from tercio.cli.exits import ExitCode
from tercio.cli.output import Format, console, print_data
from tercio.rpc.channels import Channels
from tercio.rpc.errors import CallError
from tercio.rpc.status import error_of

EPILOG: Final = "Example: tercio doctor --address scheduler.example.org:7402"

_TIMEOUT_S: Final = 5.0
"""For one question: a fleet that is well answers in milliseconds, one that holds an election within seconds."""
_SKEW_S: Final = 5
"""Clocks may differ by this much before deadlines given as times surprise people."""
_EXPLAINED: Final = 3
"""Waiting tasks that are asked about: the oldest tell most."""
_MARKS = {"ok": "[green]ok[/green]    ", "warning": "[yellow]warn[/yellow]  ", "failed": "[red]FAILED[/red]"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one check found.

    Attributes:
        check: what was looked at.
        verdict: `ok`, `warning` or `failed`.
        message: what is the case.
        remedy: what to do; empty when all is well.
    """

    check: str
    verdict: str
    message: str
    remedy: str = ""


def doctor(output: Output = Format.TABLE, address: Address = None) -> None:
    """Check addresses, leadership, versions, clocks and agents; exit 5 if nobody answers, 1 if anything is wrong."""
    findings = asyncio.run(_collect(address, quiet=output in {Format.JSON, Format.YAML}))
    if output in {Format.JSON, Format.YAML}:
        print_data([asdict(finding) for finding in findings], output)
    failed = [finding for finding in findings if finding.verdict == "failed"]
    if any(finding.check in _ASKED for finding in failed):
        raise typer.Exit(ExitCode.UNAVAILABLE)
    if failed:
        raise typer.Exit(ExitCode.ERROR)


async def _collect(address: str | None, *, quiet: bool) -> list[Finding]:
    findings = []
    async for finding in _examine(address):
        findings.append(finding)
        if not quiet:
            console().print(f"{_MARKS[finding.verdict]} {finding.check:<10} {escape(finding.message)}")
            if finding.remedy:
                console().print(f"                  → {escape(finding.remedy)}")
    return findings


async def _examine(address: str | None) -> AsyncIterator[Finding]:
    yield _versions()
    answering = True
    for service, ask in _ASKED.items():
        for replica in service_addresses(service, address=address):
            finding = await _replica(service, replica, ask)
            if service in _WITHOUT and finding.verdict == "failed":
                remedy = f"{_WITHOUT[service]}; {finding.remedy}"
                finding = replace(finding, verdict="warning", remedy=remedy)
            answering = answering and finding.verdict != "failed"
            yield finding
    if not answering:
        return
    async with connect.fleet(address) as fleet:
        for check in (_clock, _agents, _queue):
            try:
                yield await check(fleet)
            except CallError as error:
                yield Finding(check=check.__name__.strip("_"), verdict="failed", message=str(error))


def _versions() -> Finding:
    found = {name: version(name) for name in ("tercio", "grpcio", "protobuf")}
    words = ", ".join(f"{name} {number}" for name, number in found.items())
    return Finding(check="versions", verdict="ok", message=f"{words}, Python {platform.python_version()}")


async def _ask_registry(channel: grpc.aio.Channel) -> grpc.aio.UnaryUnaryCall[Any, Any]:
    request = registry_service_pb2.ListAgentsRequest(page_size=1)
    return RegistryServiceStub(channel).ListAgents(request, timeout=_TIMEOUT_S)


async def _ask_scheduler(channel: grpc.aio.Channel) -> grpc.aio.UnaryUnaryCall[Any, Any]:
    request = task_service_pb2.ListTasksRequest(page_size=1)
    return TaskServiceStub(channel).ListTasks(request, timeout=_TIMEOUT_S)


async def _ask_resources(channel: grpc.aio.Channel) -> grpc.aio.UnaryUnaryCall[Any, Any]:
    request = resource_service_pb2.ListPoolsRequest(page_size=1)
    return ResourceServiceStub(channel).ListPools(request, timeout=_TIMEOUT_S)


async def _ask_conflicts(channel: grpc.aio.Channel) -> grpc.aio.UnaryUnaryCall[Any, Any]:
    request = claim_service_pb2.ListClaimsRequest(page_size=1)
    return ClaimServiceStub(channel).ListClaims(request, timeout=_TIMEOUT_S)


async def _ask_scaling(channel: grpc.aio.Channel) -> grpc.aio.UnaryUnaryCall[Any, Any]:
    request = scaling_service_pb2.ListPoolsRequest(page_size=1)
    return ScalingServiceStub(channel).ListPools(request, timeout=_TIMEOUT_S)


_ASKED: Final = {
    "registry": _ask_registry,
    "scheduler": _ask_scheduler,
    "resources": _ask_resources,
    "conflicts": _ask_conflicts,
    "scaling": _ask_scaling,
}
_WITHOUT: Final = {
    "resources": "only tasks that need resources wait for it",
    "conflicts": "only tasks that need conflicts wait for it",
    "scaling": "only the number of agents stays as it is",
}
"""What happens where a service that the fleet can be without does not answer."""


async def _replica(
    service: str, address: str, ask: Callable[[grpc.aio.Channel], Awaitable[grpc.aio.UnaryUnaryCall[Any, Any]]]
) -> Finding:
    """Ask one replica directly, without looking for the leader: who leads is what we want to know."""
    channels = Channels()
    started = time.monotonic()
    try:
        call = await ask(channels.channel(address))
        await call
        took_ms = (time.monotonic() - started) * 1000
        sent: Any = await call.initial_metadata()
        leader = dict(sent or ()).get("tercio-leader", "")
        led = f"it passes calls on to the leader at {leader}" if leader else "it leads"
        return Finding(check=service, verdict="ok", message=f"{address} answers in {took_ms:.0f} ms; {led}")
    except grpc.RpcError as failure:
        error = error_of(failure)
        return Finding(check=service, verdict="failed", message=f"{address}: {error}", remedy=_remedy(service, error))
    finally:
        await channels.close()


def _remedy(service: str, error: CallError) -> str:
    if error.reason in {"NO_LEADER", "NOT_LEADER"}:
        return "an election lasts seconds; if this stays, the replicas cannot reach their store: see their logs"
    if error.code is grpc.StatusCode.UNIMPLEMENTED:
        return f"another program or an older version listens there: check TERCIO_{service.upper()}_ADDRESS"
    if error.code in {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}:
        return "the service does not know you: use an address on this machine, or an identity that it accepts"
    source = f"TERCIO_{service.upper()}_ADDRESS" if os.environ.get(f"TERCIO_{service.upper()}_ADDRESS") else ""
    source = source or ("TERCIO_ADDRESS" if os.environ.get("TERCIO_ADDRESS") else "the default address")
    return f"start a fleet with `tercio dev`, or correct {source} or --address"


async def _clock(fleet: Fleet) -> Finding:
    """Compare clocks through deadlines that are only checked: a task may be due in the future and not in the past."""
    if not await _accepts_deadline(fleet, time.time() + _SKEW_S):
        message = f"the scheduler's clock is over {_SKEW_S} s ahead of this machine's"
    elif await _accepts_deadline(fleet, time.time() - _SKEW_S):
        message = f"the scheduler's clock is over {_SKEW_S} s behind this machine's"
    else:
        return Finding(check="clock", verdict="ok", message=f"within {_SKEW_S} s of the scheduler's")
    remedy = (
        "deadlines given as times will be off: set both machines by NTP; durations (--deadline-in) are not affected"
    )
    return Finding(check="clock", verdict="warning", message=message, remedy=remedy)


async def _accepts_deadline(fleet: Fleet, unix_s: float) -> bool:
    spec = task_pb2.TaskSpec(template=task_pb2.TaskTemplate(task_type="doctor"))
    spec.template.deadline.FromMilliseconds(round(unix_s * 1000))
    request = task_service_pb2.SubmitTasksRequest(tasks=[spec], validate_only=True)
    try:
        await fleet.tasks.unary(lambda stub: stub.SubmitTasks, request, timeout_s=_TIMEOUT_S)
    except CallError as error:
        if error.reason == "DEADLINE_PASSED":
            return False
        raise
    return True


async def _agents(fleet: Fleet) -> Finding:
    request = registry_service_pb2.ListAgentsRequest(page_size=1000)
    answer = await fleet.agents.unary(lambda stub: stub.ListAgents, request, timeout_s=_TIMEOUT_S)
    found = list(answer.agents)
    if not found:
        remedy = "start one: tercio agent exec --capability python -- ./handler.sh"
        return Finding(
            check="agents", verdict="warning", message="none are registered, so no task can run", remedy=remedy
        )
    able = [one for one in found if one.state == agent_pb2.Agent.STATE_HEALTHY and not (one.cordoned or one.draining)]
    states = Counter(agent_views.state_name(one) for one in found)
    words = ", ".join(f"{count} {name}" for name, count in states.most_common())
    slots = sum(one.concurrency for one in able)
    message = f"{words}{' or more' if answer.next_page_token else ''}; {len(able)} take work, {slots} slots"
    if len(able) == len(found):
        return Finding(check="agents", verdict="ok", message=message)
    return Finding(check="agents", verdict="warning", message=message, remedy="`tercio agents list -o wide` says why")


async def _queue(fleet: Fleet) -> Finding:
    chosen = task_service_pb2.TaskFilter(states=[task_pb2.Task.STATE_READY])
    waiting, token = await tasks.page(fleet, chosen, "", 1000)
    count = f"{len(waiting)}{' or more' if token else ''} tasks wait for an agent"
    stuck = []
    for task in waiting[:_EXPLAINED]:
        request = task_service_pb2.ExplainTaskRequest(task_id=task.task_id)
        answer = await fleet.tasks.unary(lambda stub: stub.ExplainTask, request, timeout_s=_TIMEOUT_S)
        if answer.missing_capabilities:
            stuck.append(f"{task.task_id} needs {texts.pairs(answer.missing_capabilities)}")
    if not stuck:
        return Finding(check="queue", verdict="ok", message=count)
    message = f"{count}, and no connected agent can run {'; '.join(stuck)}"
    remedy = "start an agent with that capability; `tercio tasks explain ID` says more"
    return Finding(check="queue", verdict="warning", message=message, remedy=remedy)
