"""The processes of the demo: one `tercio dev`, an agent for each of the crew, a deaf one, and a prober."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import shlex
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from examples.tickets.crew import ARCHITECT, Member

_ADDRESS = re.compile(rb"up at (\S+)")
_START_S = 60.0
"""A dozen interpreters start at once on what may be two cores."""
_STOP_S = 5.0
_NICENESS = 5
"""Agents and their commands yield to the control plane, as on any machine that hosts both."""

_QUICK = {
    # The defaults outlast an election of real replicas; here nobody wants to watch a dead agent's lease for 15 s.
    "TERCIO_SCHEDULER__ATTEMPT_LEASE_MS": "4000",
    "TERCIO_SCHEDULER__GRANTED_LEASE_MS": "4000",
    "TERCIO_REGISTRY__HEARTBEAT_INTERVAL_MS": "1000",
    "TERCIO_REGISTRY__CANARY_INTERVAL_MS": "2000",
    "TERCIO_REGISTRY__CANARY_TIMEOUT_MS": "2000",
    "TERCIO_SCHEDULER__WORK_REPORT_MS": "500",
    "TERCIO_CONFLICTS__DISPUTES__LOOK_MS": "500",
    "TERCIO_CONFLICTS__DISPUTES__PATIENCE_MS": "1000",
    "TERCIO_CONFLICTS__DISPUTES__ARCHITECTS": json.dumps([ARCHITECT]),
}


class FleetError(Exception):
    """A process did not start; the message ends with what it said."""


@dataclass(slots=True)
class Command:
    """One command that an agent ran, in milliseconds of the wall clock."""

    ticket: str
    attempt: int
    started: int
    worktree: str = ""
    exited: int = 0


@dataclass(slots=True)
class Worker:
    """One agent's process and what it wrote down."""

    member: Member
    process: asyncio.subprocess.Process
    connected: asyncio.Event = field(default_factory=asyncio.Event)
    connected_ms: int = 0
    left_ms: int = 0
    commands: list[Command] = field(default_factory=list)
    interrupted: Command | None = None

    @property
    def running(self) -> list[Command]:
        """The commands that run now."""
        return [] if self.left_ms else [command for command in self.commands if not command.exited]

    def kill(self) -> None:
        """End the agent as a crash would: it has no chance to say anything."""
        self.interrupted = next(iter(self.running), None)
        self.process.kill()
        self.left_ms = now_ms()
        for command in self.commands:
            command.exited = command.exited or self.left_ms

    def note(self, line: bytes) -> None:
        """Take note of one line of its log."""
        try:
            event = json.loads(line)
        except ValueError:
            return
        if event["event"] == "connected":
            self.connected_ms = now_ms()
            self.connected.set()
        elif event["event"] == "started":
            self.commands.append(Command(event["task_id"], event["attempt"], event["time_ms"], event["worktree"]))
        elif event["event"] == "ended":
            for command in self.commands:
                if (command.ticket, command.attempt) == (event["task_id"], event["attempt"]):
                    command.exited = event["time_ms"]


@dataclass(slots=True)
class Fleet:
    """A running fleet."""

    address: str
    workers: dict[str, Worker]
    deaf: Worker
    prober: Worker


def now_ms() -> int:
    """Return the wall clock in milliseconds."""
    return time.time_ns() // 1_000_000


@contextlib.asynccontextmanager
async def running(
    crew: Sequence[Member],
    deaf: Member,
    prober: Member,
    *,
    folder: Path,
    pools: Mapping[str, str],
    say: Callable[[str], None],
) -> AsyncIterator[Fleet]:
    """Run the services and the crew until the block ends, however it ends.

    Args:
        crew: who works.
        deaf: who only seems to.
        prober: who works as its configuration says.
        folder: for the store and the services' log.
        pools: settings of the pools.
        say: told what happens.
    """
    started: list[asyncio.subprocess.Process] = []
    readers: list[asyncio.Task[None]] = []
    try:
        address = await _start_services(folder, pools, started, readers)
        say(f"services are up at {address}, on {folder / 'tercio.db'}")
        workers = {member.name: await _start_agent(member, address, started, readers) for member in crew}
        idler = await _start_deaf(deaf, address, started, readers)
        probing = await _start_prober(prober, address, folder, started, readers)
        async with asyncio.timeout(_START_S):
            await asyncio.gather(*(worker.connected.wait() for worker in (idler, *workers.values())))
        yield Fleet(address, workers, idler, probing)
    except TimeoutError:
        raise FleetError(f"the fleet did not start within {_START_S:.0f} s: {_tail(folder)}") from None
    finally:
        await _stop(started)
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)


async def _start_services(
    folder: Path, pools: Mapping[str, str], started: list[asyncio.subprocess.Process], readers: list[asyncio.Task[None]]
) -> str:
    with (folder / "services.log").open("wb") as log:
        process = await _start(
            ("dev", "--port", "0", "--data", str(folder)),
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            environment={**_QUICK, **pools},
        )
    started.append(process)
    if process.stdout is None:
        raise FleetError("the services' output could not be read")
    async with asyncio.timeout(_START_S):
        while line := await process.stdout.readline():
            if match := _ADDRESS.search(line):
                readers.append(asyncio.create_task(_each_line(process.stdout, lambda _: None)))
                return match[1].decode()
    raise FleetError(f"the services did not start: {_tail(folder)}")


async def _start_agent(
    member: Member,
    address: str,
    started: list[asyncio.subprocess.Process],
    readers: list[asyncio.Task[None]],
) -> Worker:
    options = ["--allow-commands", "--json-log", "--address", address, "--agent-id", member.name]
    options += ["--concurrency", str(member.slots), "--worktree"]
    for name, level in member.capabilities.items():
        options += ["--capability", f"{name}={level}"]
    if member.name == ARCHITECT:
        options += ["--on-decide", shlex.join(("python", str(Path(__file__).with_name("architect.py"))))]
    # What its commands lease tokens with.
    environment = {"TERCIO_ADDRESS": address}
    process = await _start(("agent", "exec", *options), stderr=asyncio.subprocess.PIPE, environment=environment)
    return _worker(member, process, started, readers)


async def _start_deaf(
    member: Member, address: str, started: list[asyncio.subprocess.Process], readers: list[asyncio.Task[None]]
) -> Worker:
    arguments = (member.name, address, json.dumps(dict(member.capabilities)))
    process = await _start(arguments, module="examples.tickets.deaf", stderr=asyncio.subprocess.PIPE)
    return _worker(member, process, started, readers)


async def _start_prober(
    member: Member,
    address: str,
    folder: Path,
    started: list[asyncio.subprocess.Process],
    readers: list[asyncio.Task[None]],
) -> Worker:
    script, file = str(Path(__file__).with_name("probe.py")), str(folder / "probe.json")
    take = shlex.join((sys.executable, "-I", "-S", script, "take", file))
    options = ("--json-log", "--address", address, "--agent-id", member.name, "--task-type", "probe")
    command = (sys.executable, "-I", "-S", script, "run", file)
    process = await _start(
        ("agent", "exec", *options, "--on-configure", take, "--", *command), stderr=asyncio.subprocess.PIPE
    )
    return _worker(member, process, started, readers)


def _worker(
    member: Member,
    process: asyncio.subprocess.Process,
    started: list[asyncio.subprocess.Process],
    readers: list[asyncio.Task[None]],
) -> Worker:
    started.append(process)
    os.setpriority(os.PRIO_PROCESS, process.pid, _NICENESS)
    worker = Worker(member, process)
    if process.stderr is not None:
        readers.append(asyncio.create_task(_each_line(process.stderr, worker.note)))
    return worker


async def _start(
    arguments: Sequence[str],
    *,
    module: str = "tercio.cli",
    stdout: int = asyncio.subprocess.DEVNULL,
    stderr: int | IO[bytes] | None = None,
    environment: dict[str, str] | None = None,
) -> asyncio.subprocess.Process:
    # The tools of this environment come first, whatever PATH says; and Ctrl-C reaches only the demo itself.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        env={**os.environ, **(environment or {}), "PATH": path},
        start_new_session=True,
    )


async def _each_line(stream: asyncio.StreamReader, note: Callable[[bytes], None]) -> None:
    while line := await stream.readline():
        note(line)


async def _stop(processes: Sequence[asyncio.subprocess.Process]) -> None:
    """Stop all, the services last: first with a word, then without."""
    for group in (processes[1:], processes[:1]):
        alive = [process for process in group if process.returncode is None]
        for process in alive:
            process.send_signal(signal.SIGTERM)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STOP_S):
                await asyncio.gather(*(process.wait() for process in alive))
        for process in alive:
            if process.returncode is None:
                process.kill()
                await process.wait()


def _tail(folder: Path) -> str:
    return (folder / "services.log").read_text(errors="replace")[-2000:].strip()
