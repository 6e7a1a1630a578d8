"""The processes of the demo: one `tercio dev`, a deaf agent and a prober; and the agents that pools bring and take.

Those are children of the services, and each writes down in a file of its own what it does; here it is read.
"""

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

from examples.tickets.crew import ARCHITECT, DEAF, PROBER, Member, group_of

_ADDRESS = re.compile(rb"up at (\S+)")
_START_S = 60.0
"""A dozen interpreters start at once on what may be two cores."""
_STOP_S = 5.0
NICENESS = 5
"""Agents and their commands yield to the control plane, as on any machine that hosts both."""
_POLL_S = 0.05

_QUICK = {
    # The defaults outlast an election of real replicas; here nobody wants to watch a dead agent's lease for 15 s.
    "TERCIO_SCHEDULER__ATTEMPT_LEASE_MS": "4000",
    "TERCIO_SCHEDULER__GRANTED_LEASE_MS": "4000",
    "TERCIO_REGISTRY__HEARTBEAT_INTERVAL_MS": "1000",
    "TERCIO_REGISTRY__CANARY_INTERVAL_MS": "2000",
    "TERCIO_REGISTRY__CANARY_TIMEOUT_MS": "2000",
    "TERCIO_SCHEDULER__WORK_REPORT_MS": "500",
    # Looked at anyway after each change; what is not heard of for so long decides nothing.
    "TERCIO_SCALING__OBSERVE_MS": "1000",
    "TERCIO_SCALING__STALE_MS": "10000",
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
    """One agent's process and what it wrote down.

    Attributes:
        member: who it is.
        pid: its process; 0 while that is not known.
        connected_ms: when it was connected first.
        left_ms: when it was gone, or given up; 0 while it is there.
        killed: it did not leave by itself.
        interrupted: what it worked on when it was killed.
    """

    member: Member
    pid: int = 0
    connected: asyncio.Event = field(default_factory=asyncio.Event)
    connected_ms: int = 0
    left_ms: int = 0
    killed: bool = False
    commands: list[Command] = field(default_factory=list)
    interrupted: Command | None = None

    @property
    def running(self) -> list[Command]:
        """The commands that run now."""
        return [] if self.left_ms else [command for command in self.commands if not command.exited]

    def kill(self) -> None:
        """End the agent as a crash would: it has no chance to say anything."""
        self.interrupted, self.killed = next(iter(self.running), None), True
        os.kill(self.pid, signal.SIGKILL)
        self.end()

    def end(self) -> None:
        """Take note that it is gone."""
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
            self.commands.append(
                Command(event["task_id"], event["attempt"], event["time_ms"], event.get("worktree", ""))
            )
        elif event["event"] == "ended":
            for command in self.commands:
                if (command.ticket, command.attempt) == (event["task_id"], event["attempt"]):
                    command.exited = event["time_ms"]


@dataclass(slots=True)
class Fleet:
    """A running fleet.

    Attributes:
        address: of its services.
        folder: where agents write down what they do.
        deaf, prober: the two that belong to no pool; the deaf one comes when it is brought.
        workers: every process that a pool brought, the oldest first.
    """

    address: str
    folder: Path
    prober: Worker
    deaf: Worker = field(default_factory=lambda: Worker(DEAF))
    workers: list[Worker] = field(default_factory=list)
    _read: dict[Path, int] = field(default_factory=dict)
    _started: list[asyncio.subprocess.Process] = field(default_factory=list)
    _readers: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def present(self) -> dict[str, Worker]:
        """Agents of pools that are connected and not gone, by name."""
        there = [worker for worker in self.workers if worker.connected_ms and not worker.left_ms]
        return {worker.member.name: worker for worker in there}

    async def bring_deaf(self) -> None:
        """Start the deaf agent."""
        member = self.deaf.member
        arguments = (member.name, self.address, json.dumps(dict(member.capabilities)))
        process = await _start(arguments, module="examples.tickets.deaf", stderr=asyncio.subprocess.PIPE)
        _listen(self.deaf, process, self._started, self._readers)
        await self.deaf.connected.wait()

    def command(self, name: str) -> list[str]:
        """Return the command of a pool's agents: one that writes down its process, and then what it does."""
        options = ["--allow-commands", "--json-log", "--worktree"]
        for capability, level in group_of(f"{name}-").capabilities.items():
            options += ["--capability", f"{capability}={level}"]
        options += ["--on-decide", shlex.join(("python", str(Path(__file__).with_name("architect.py"))))]
        script = 'echo "{\\"event\\": \\"begun\\", \\"pid\\": $$}" >> "$0"; exec nice -n "$1" "${@:2}" 2>> "$0"'
        agent = (sys.executable, "-m", "tercio.cli", "agent", "exec", *options)
        return ["bash", "-c", script, str(self.folder / "{agent_id}.log"), str(NICENESS), *agent]

    async def follow(self) -> None:
        """Read what agents write down, and see who is gone, for ever."""
        while True:
            self.look()
            await asyncio.sleep(_POLL_S)

    def look(self) -> None:
        """Read what was written down since the last look."""
        for path in sorted(self.folder.glob("*-*.log")):
            with path.open("rb") as file:
                file.seek(self._read.get(path, 0))
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    self._read[path] = self._read.get(path, 0) + len(line)
                    self._note(path.stem, line)
        for worker in self.workers:
            if not worker.left_ms and not Path(f"/proc/{worker.pid}").exists():
                worker.end()

    def _note(self, name: str, line: bytes) -> None:
        if b'"begun"' in line:
            self.workers.append(Worker(group_of(name).member(name), json.loads(line)["pid"]))
            return
        next(worker for worker in reversed(self.workers) if worker.member.name == name).note(line)


def now_ms() -> int:
    """Return the wall clock in milliseconds."""
    return time.time_ns() // 1_000_000


@contextlib.asynccontextmanager
async def running(*, folder: Path, settings: Mapping[str, str], say: Callable[[str], None]) -> AsyncIterator[Fleet]:
    """Run the services, and the agents that belong to no pool, until the block ends, however it ends.

    Args:
        folder: for the store and what processes write down.
        settings: of the services.
        say: told what happens.
    """
    started: list[asyncio.subprocess.Process] = []
    readers: list[asyncio.Task[None]] = []
    try:
        address = await _start_services(folder, settings, started, readers)
        say(f"services are up at {address}, on {folder / 'tercio.db'}")
        agents = folder / "agents"
        agents.mkdir()
        prober = await _start_prober(PROBER, address, folder, started, readers)
        yield Fleet(address, agents, prober, _started=started, _readers=readers)
    except TimeoutError:
        raise FleetError(f"the fleet did not start within {_START_S:.0f} s: {_tail(folder)}") from None
    finally:
        await _stop(started)
        for reader in readers:
            reader.cancel()
        await asyncio.gather(*readers, return_exceptions=True)


async def _start_services(
    folder: Path,
    settings: Mapping[str, str],
    started: list[asyncio.subprocess.Process],
    readers: list[asyncio.Task[None]],
) -> str:
    with (folder / "services.log").open("wb") as log:
        process = await _start(
            ("dev", "--port", "0", "--data", str(folder)),
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            environment={**_QUICK, **settings},
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
    worker = Worker(member)
    _listen(worker, process, started, readers)
    return worker


def _listen(
    worker: Worker,
    process: asyncio.subprocess.Process,
    started: list[asyncio.subprocess.Process],
    readers: list[asyncio.Task[None]],
) -> None:
    started.append(process)
    os.setpriority(os.PRIO_PROCESS, process.pid, NICENESS)
    worker.pid = process.pid
    if process.stderr is not None:
        readers.append(asyncio.create_task(_each_line(process.stderr, worker.note)))


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
