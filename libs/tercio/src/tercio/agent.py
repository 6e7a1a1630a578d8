"""An agent: a process that takes tasks of the types that it has handlers for."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import logging
import os
import re
import secrets
import signal
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from tercio.addresses import service_addresses
from tercio.api.conflicts.v1.claim_service_pb2_grpc import ClaimServiceStub
from tercio.api.registry.v1.registry_service_pb2_grpc import RegistryServiceStub
from tercio.api.resources.v1.usage_service_pb2_grpc import UsageServiceStub
from tercio.api.resources.v1.worktree_service_pb2_grpc import WorktreeServiceStub
from tercio.api.scheduler.v1.work_service_pb2_grpc import WorkServiceStub
from tercio.attempt_claims import HeldClaims
from tercio.attempts import SYSTEM_TYPES
from tercio.configuration import Configuration, ConfigureT, Document
from tercio.counts import TaskCounts
from tercio.credentials import Credential
from tercio.equipment import Equipment
from tercio.errors import SettingsError
from tercio.handlers import Handlers, HandlerT
from tercio.identity import POOL_LABEL, AgentIdentity
from tercio.link import WorkLink
from tercio.membership import Membership
from tercio.opinions import DecideT, Opinions
from tercio.rpc.channels import Channels, Route
from tercio.rpc.remote import Remote
from tercio.usage import UsageReports
from tercio.vitals import Vitals
from tercio.worktrees import HeldWorktrees

_log = logging.getLogger(__name__)

_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
# How long a stopping agent tries to tell the scheduler what became of its attempts.
_STOP_GRACE_S: Final = 5.0
_SECRET_BYTES: Final = range(16, 129)


class Agent:
    """Runs handlers for tasks.

    Example:
        agent = Agent(capabilities={"python": 50}, concurrency=4)

        @agent.task("resize")
        async def resize(task: Context) -> bytes:
            ...

        agent.run_blocking()

    A handler returns `bytes` as they are, `str` as UTF-8, `None` as nothing, anything else as JSON. An exception fails
    the attempt, which is tried again as the task's retry policy says; `PermanentError` makes the task a dead letter.

    SIGTERM and SIGINT drain the agent: it takes nothing new, returns what it has not started, finishes the rest and
    leaves, and the registry shows that it drains. A second signal stops it at once.
    """

    def __init__(
        self,
        *,
        capabilities: Mapping[str, int] | None = None,
        concurrency: int = 1,
        agent_id: str = "",
        agent_type: str = "",
        version: str = "",
        labels: Mapping[str, str] | None = None,
        pool: str = "",
        resource_requirements: Mapping[str, int] | None = None,
        max_resources: Mapping[str, int] | None = None,
        address: str | None = None,
        identity_secret: bytes | None = None,
        register_when_replaced: bool = False,
        stop_grace: timedelta | None = None,
    ) -> None:
        """Describe the agent; nothing is sent before it runs.

        Args:
            capabilities: level per capability, 1 to 100.
            concurrency: attempts that run at once, 1 to 10000.
            agent_id: 1 to 128 characters of [A-Za-z0-9._-]; by default `TERCIO_AGENT_ID`, else the host's
                name and random digits.
            agent_type: free name of the kind of agent.
            version: version of the agent's software.
            labels: for filters.
            pool: the agent pool that it belongs to, for the label `tercio.dev/pool`; by default `TERCIO_POOL`, else
                none.
            resource_requirements: what the fleet reserves for the agent while it lives, for instance
                `{"cpu_cores": 2, "memory_mb": 512}`, or by dimensions of pools; while that is not free, the agent works
                and is not shown in the fleet.
            max_resources: the most that the agent may use, in the same units; for the fleet's information.
            address: one for all services, or several replicas separated by commas; by default the environment says.
            identity_secret: 16 to 128 bytes that tell a restart from an impostor; by default
                `TERCIO_AGENT_SECRET`, else random, so that only this process can use the id while it lives.
            register_when_replaced: take the id back when another process registers with it, instead of stopping.
            stop_grace: how long a handler may go on after it was asked to stop; then its attempt is reported as
                stopped and its place given to another one, whatever it still does. By default, and at most, four
                fifths of the scheduler's attempt lease (12 s of 15 s), so that the report is in time.

        Raises:
            SettingsError: an argument or environment variable makes no sense.
        """
        self._identity = AgentIdentity(
            agent_id=_checked_id(agent_id or os.environ.get("TERCIO_AGENT_ID") or _default_id()),
            instance_id=secrets.token_bytes(16),
            capabilities=_checked_levels(capabilities or {}),
            concurrency=_checked_concurrency(concurrency),
            agent_type=agent_type,
            version=version,
            labels=_labels(labels or {}, pool=pool or os.environ.get("TERCIO_POOL", "")),
            resource_requirements=dict(resource_requirements or {}),
            max_resources=dict(max_resources or {}),
        )
        self._secret = _checked_secret(identity_secret or os.environ.get("TERCIO_AGENT_SECRET", "").encode())
        self._scheduler = service_addresses("scheduler", address=address)
        self._registry = service_addresses("registry", address=address)
        self._resources = service_addresses("resources", address=address)
        self._conflicts = service_addresses("conflicts", address=address)
        self._register_when_replaced = register_when_replaced
        self._stop_grace = _checked_grace(stop_grace)
        self._handlers = Handlers()
        self._configuration = Configuration()
        self._opinions = Opinions()
        self._counts = TaskCounts()
        self._link: WorkLink | None = None
        self._membership: Membership | None = None
        self._running: asyncio.Task[None] | None = None
        self._drain_wanted = False
        self._signalled = asyncio.Event()
        self._connected = asyncio.Event()

    @property
    def agent_id(self) -> str:
        """The agent's id."""
        return self._identity.agent_id

    @property
    def credentials(self) -> Sequence[Credential]:
        """What the fleet issued when the agent registered last; empty before, and where nothing issues any.

        A later registration of the same process replaces them. They are in one answer only: when the connection broke
        before it came, there are none.
        """
        return self._membership.credentials if self._membership is not None else ()

    def task(self, task_type: str) -> Callable[[HandlerT], HandlerT]:
        """Register the decorated function for a task type; `*` is any type that has no handler of its own.

        An `async` function is given a `Context`, a plain one a `BlockingContext` and a thread.

        Raises:
            SettingsError: the type is malformed, begins with `tercio.`, or has a handler already.
        """
        if task_type.startswith(SYSTEM_TYPES):
            raise SettingsError(f"{task_type!r} is for the fleet's own tasks; choose a type without `{SYSTEM_TYPES}`")

        def register(function: HandlerT) -> HandlerT:
            self._handlers.add(task_type, function)
            return function

        return register

    @property
    def config(self) -> Document:
        """What the agent is configured with now; empty while it is not."""
        return self._configuration.document

    def on_configure(self, function: ConfigureT) -> ConfigureT:
        """Let the decorated function take what the fleet configures the agent with.

        It is given the whole document, `{}` for the agent's own defaults, and validates and applies it. It may be
        `async`; a plain one runs on the event loop and must be quick. What it raises refuses the document, and what was
        in force before is sent again. It returns None, or the document that it uses in place of the given one, which
        counts as refused as well.

        Raises:
            SettingsError: there is one already.
        """
        self._configuration.set_handler(function)
        return function

    def on_decide(self, function: DecideT) -> DecideT:
        """Let the decorated function say which of several decisions that contradict each other prevails.

        The fleet asks agents with the authority to say so, and others for their opinion. The function is given the
        question, see `tercio.opinions.Question`, and returns an `Opinion`, or None for none. It may be `async`; a plain
        one runs on the event loop and must be quick.

        Raises:
            SettingsError: there is one already.
        """
        self._opinions.set_handler(function)
        return function

    async def run(self) -> None:
        """Serve until drained or stopped.

        Raises:
            AgentReplacedError: another process has registered with this id.
            CallError: a service refuses the agent for good.
            SettingsError: there is no handler, or the agent runs already.
        """
        if not tuple(self._handlers) and self._handlers.get("") is None:
            raise SettingsError("the agent has no handler: decorate a function with @agent.task(...)")
        if self._running is not None:
            raise SettingsError("the agent runs already")
        self._running = asyncio.create_task(self._serve(), name="tercio-agent")
        try:
            with self._signals():
                # Awaited by way of `wait`, so that only `stop` and this coroutine's own end cancel it.
                await asyncio.wait({self._running})
            if not self._running.cancelled():
                self._running.result()
        finally:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
            self._running = None

    def run_blocking(self) -> None:
        """Serve in an event loop of its own, with uvloop where it is installed. See `run`."""
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(self.run())

    async def ready(self) -> None:
        """Wait until the scheduler has answered the running agent."""
        await self._connected.wait()

    def drain(self) -> None:
        """Finish what was started, return the rest, leave; `run` returns then. From the event loop's own thread."""
        self._drain_wanted = True
        if self._link is not None:
            self._link.drain()

    def stop(self) -> None:
        """Cancel what was started, report it and leave, within seconds. From the event loop's own thread."""
        self._drain_wanted = True
        if self._link is not None and self._running is not None:
            self._link.stop()
            asyncio.get_running_loop().call_later(_STOP_GRACE_S, self._running.cancel)

    async def _serve(self) -> None:
        channels = Channels()
        usage = UsageReports(Remote(Route(channels, self._resources), UsageServiceStub))
        link = self._link = WorkLink(
            Remote(Route(channels, self._scheduler), WorkServiceStub),
            self._identity,
            self._handlers,
            connected=self._connected,
            counts=self._counts,
            usage=usage,
            equipment=Equipment(
                configuration=self._configuration,
                opinions=self._opinions,
                worktrees=HeldWorktrees(Remote(Route(channels, self._resources), WorktreeServiceStub)),
                claims=HeldClaims(Remote(Route(channels, self._conflicts), ClaimServiceStub)),
            ),
            stop_grace=self._stop_grace,
        )
        membership = self._membership = Membership(
            Remote(Route(channels, self._registry), RegistryServiceStub),
            self._identity,
            identity_secret=self._secret,
            on_drain=self.drain,
            active_attempts=lambda: link.active_attempts,
            counts=self._counts,
            vitals=Vitals(lambda: link.queue, self._counts),
            register_when_replaced=self._register_when_replaced,
        )
        if self._drain_wanted:
            link.drain()
        try:
            await _first_of(link.run(), membership.run(), membership.tell_drain(self._signalled), usage.run())
        finally:
            self._link = self._membership = None
            await link.close()
            await membership.leave("drained" if self._drain_wanted else "stopped", drained=link.drained)
            await channels.close()

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Drain on the first signal, stop on the second; only in the main thread, where signals arrive."""
        loop = asyncio.get_running_loop()
        installed = []
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                with contextlib.suppress(NotImplementedError):
                    loop.add_signal_handler(number, self._on_signal, number)
                    installed.append(number)
        try:
            yield
        finally:
            for number in installed:
                loop.remove_signal_handler(number)

    def _on_signal(self, number: int) -> None:
        # A drain that was asked for by other means is not cut short by the first signal.
        if self._signalled.is_set():
            _log.warning("%s again: running attempts are cancelled", signal.Signals(number).name)
            self.stop()
        else:
            _log.info("%s: finishing what runs, then leaving", signal.Signals(number).name)
            self._signalled.set()
            self.drain()


async def _first_of(*coroutines: Coroutine[Any, Any, None]) -> None:
    """Run all until one ends or fails, then cancel the others."""
    tasks = {asyncio.create_task(coroutine) for coroutine in coroutines}
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if importlib.util.find_spec("uvloop") is None:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = importlib.import_module("uvloop").new_event_loop
    return factory


def _default_id() -> str:
    host = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:100] or "agent"
    return f"{host}-{secrets.token_hex(4)}"


def _labels(labels: Mapping[str, str], *, pool: str) -> dict[str, str]:
    return {**labels, POOL_LABEL: pool} if pool else dict(labels)


def _checked_id(agent_id: str) -> str:
    if not _ID.fullmatch(agent_id):
        raise SettingsError(f"agent id {agent_id!r} must be 1 to 128 characters of [A-Za-z0-9._-]")
    return agent_id


def _checked_levels(capabilities: Mapping[str, int]) -> dict[str, int]:
    for name, level in capabilities.items():
        if not 1 <= level <= 100:
            raise SettingsError(f"capability {name!r} has level {level}; levels are 1 to 100")
    return dict(capabilities)


def _checked_concurrency(concurrency: int) -> int:
    if not 1 <= concurrency <= 10_000:
        raise SettingsError(f"concurrency is {concurrency}; it must be 1 to 10000")
    return concurrency


def _checked_grace(stop_grace: timedelta | None) -> timedelta | None:
    if stop_grace is not None and stop_grace <= timedelta():
        raise SettingsError(f"the stop grace is {stop_grace}; it must be positive")
    return stop_grace


def _checked_secret(secret: bytes) -> bytes:
    if secret and len(secret) not in _SECRET_BYTES:
        raise SettingsError(f"the identity secret has {len(secret)} bytes; it must have 16 to 128")
    return secret or secrets.token_bytes(32)
