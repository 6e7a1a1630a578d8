"""Agents as supervised processes of the service's own machine: for `tercio dev`, tests, and fleets of one machine.

It promises that no agent, and nothing in an agent's process group, outlives the service: each stands behind the guard
of the SDK, which holds the reading end of a pipe and kills the group when the writing end is gone, also after SIGKILL.
An agent that ends unasked is started again, under its id, after a wait that doubles while it keeps ending.

Who leaves is exact here: the victims, and nobody else. It does not promise agents across replicas: each replica could
only supervise its own, so pools with this driver belong to a service of one replica.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import structlog

from tercio.cli.command import guarded, lifeline_pipe
from tercio_common.clock import Clock
from tercio_common.epochs import NO_EPOCH, Epoch
from tercio_scaling.drivers.local_settings import GENERAL, LocalSettings
from tercio_scaling.drivers.protocol import FAILED, LEAVING, RUNNING, Fenced, Member, Refused, Target, View

_POLL_MS: Final = 50
"""How often ends of processes are looked for: a look at a hundred takes some 0.1 ms."""
_SOON_MS: Final = 10_000
"""A process that ran for longer than this did start, so its end is the first."""
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Slot:
    """One agent that is to be there, or leaves.

    Attributes:
        agent_id: its name.
        since_ms: when it was started last, in wall time.
        started: the same by the boot clock, in ms.
        process: of its guard; None while it waits to be started again.
        lifeline: the end that we keep; -1 without a process.
        ends: how often it ended soon.
        due: by the boot clock in ms, when it is started again, or killed if it is leaving.
    """

    agent_id: str
    since_ms: int = 0
    started: int = 0
    process: subprocess.Popen[bytes] | None = None
    lifeline: int = -1
    ends: int = 0
    due: int = 0
    leaving: bool = False

    def view(self) -> Member:
        phase = LEAVING if self.leaving else RUNNING if self.process is not None else FAILED
        return Member(self.agent_id, phase, self.since_ms, str(self.process.pid) if self.process is not None else "")


@dataclass(slots=True)
class _Pool:
    """What is kept of one pool."""

    spec: Mapping[str, Any]
    asked: int = 0
    numbered: int = 0
    version: int = 0
    slots: list[_Slot] = field(default_factory=list)

    def staying(self) -> list[_Slot]:
        return [slot for slot in self.slots if not slot.leaving]


class LocalDriver:
    """See the protocol of drivers."""

    def __init__(self, settings: LocalSettings, clock: Clock) -> None:
        """Keep no agents yet."""
        self._settings, self._clock = settings, clock
        self._secret = settings.agent_secret.get_secret_value() or secrets.token_hex(16)
        self._pools: dict[str, _Pool] = {}
        self._epoch = NO_EPOCH

    async def fence(self, target: Target, epoch: Epoch) -> None:
        """See the protocol."""
        if epoch < self._epoch:
            raise Fenced(f"a leader of epoch {self._epoch} was here before this one of {epoch}")
        self._epoch = epoch

    async def view(self, target: Target) -> View:
        """See the protocol."""
        return self._view(target.pool_id)

    async def scale(self, target: Target, epoch: Epoch) -> View:
        """See the protocol; Refused with `CannotStart` when no process can be made."""
        await self.fence(target, epoch)
        pool = self._pools.setdefault(target.pool_id, _Pool(target.spec))
        pool.spec = target.spec
        pool.version += pool.asked != target.agents
        pool.asked = target.agents
        for slot in _leavers(pool, target):
            self._stop(slot)
        try:
            while len(pool.staying()) < pool.asked:
                slot = _Slot(f"{target.pool_id}-{pool.numbered + 1}")
                self._start(slot, target.pool_id, pool.spec)
                pool.numbered += 1
                pool.slots.append(slot)
        except OSError as error:
            pool.asked = len(pool.staying())
            raise Refused(f"{error.strerror}: {error.filename}", reason="CannotStart") from None
        return self._view(target.pool_id)

    async def changes(self, target: Target) -> AsyncIterator[None]:
        """See the protocol; while somebody listens, processes are looked after."""
        before: View | None = None
        while True:
            self._tend(target.pool_id)
            seen = self._view(target.pool_id)
            if seen != before:
                before = seen
                yield
            await self._clock.sleep_ms(_POLL_MS)

    async def close(self) -> None:
        """End every process: with SIGTERM, and after the grace for good."""
        slots = [slot for pool in self._pools.values() for slot in pool.slots]
        self._pools.clear()
        for slot in slots:
            self._stop(slot)
        until = self._clock.boot_ms() + self._settings.close_grace_ms
        while any(map(_runs, slots)) and self._clock.boot_ms() < until:
            await self._clock.sleep_ms(_POLL_MS)
        for slot in slots:
            _kill(slot)

    def _view(self, pool_id: str) -> View:
        pool = self._pools.get(pool_id)
        if pool is None:
            return View(0, ())
        members = sorted([slot.view() for slot in pool.slots], key=lambda member: member.agent_id)
        return View(pool.asked, tuple(members), str(pool.version))

    def _tend(self, pool_id: str) -> None:
        """Take note of what ended, start again what is due, and kill what had its time."""
        pool, now = self._pools.get(pool_id), self._clock.boot_ms()
        if pool is None:
            return
        for slot in list(pool.slots):
            if slot.process is not None and not _runs(slot):
                self._note_end(slot, now)
            if slot.leaving and slot.process is None:
                pool.slots.remove(slot)
            elif slot.leaving and now >= slot.due:
                _log.warning("agent_killed", agent=slot.agent_id, effect="it did not end after SIGTERM within its time")
                _kill(slot)
                pool.slots.remove(slot)
            elif slot.process is None and now >= slot.due:
                try:
                    self._start(slot, pool_id, pool.spec)
                except OSError as error:
                    self._retry(slot, now, why=str(error))

    def _note_end(self, slot: _Slot, now: int) -> None:
        code = slot.process.returncode if slot.process is not None else 0
        _kill(slot)
        if not slot.leaving:
            self._retry(slot, now, why=f"exit {code}")

    def _retry(self, slot: _Slot, now: int, *, why: str) -> None:
        slot.ends = slot.ends + 1 if now - slot.started < _SOON_MS else 1
        wait = min(self._settings.most_restart_ms, self._settings.restart_ms << min(slot.ends - 1, 16))
        slot.due = now + wait
        _log.warning("agent_ended", agent=slot.agent_id, why=why, effect=f"starts again in {wait} ms")

    def _start(self, slot: _Slot, pool_id: str, spec: Mapping[str, Any]) -> None:
        slot.started, slot.since_ms = self._clock.boot_ms(), self._clock.wall_ms()
        words = {"{agent_id}": slot.agent_id, "{pool_id}": pool_id}
        command = [_filled(word, words) for word in spec["command"]]
        environment = {name: _filled(text, words) for name, text in self._environment(spec).items()}
        slot.process, slot.lifeline = _spawned(
            command,
            directory=spec.get("directory") or None,
            environment={
                "TERCIO_AGENT_ID": slot.agent_id,
                "TERCIO_AGENT_SECRET": self._secret,
                "TERCIO_POOL": pool_id,
                **environment,
            },
        )

    def _environment(self, spec: Mapping[str, Any]) -> dict[str, str]:
        """Return what the service and the pool add; an address of the pool's own goes before those here."""
        own: dict[str, str] = spec.get("environment", {})
        given = self._settings.environment
        if GENERAL in own:
            given = {name: text for name, text in given.items() if not name.endswith("_ADDRESS")}
        return {**given, **own}

    def _stop(self, slot: _Slot) -> None:
        """Ask it to finish and end."""
        if slot.leaving:
            return
        slot.leaving = True
        slot.due = self._clock.boot_ms() + self._settings.stop_grace_ms
        if slot.process is not None and _runs(slot):
            slot.process.send_signal(signal.SIGTERM)


def build(settings: Any, clock: Clock) -> LocalDriver:
    """Make the driver from the settings of the service."""
    return LocalDriver(settings.local, clock)


def _leavers(pool: _Pool, target: Target) -> Iterator[_Slot]:
    """Give those that are to leave: the victims, then who does not run, then the youngest."""
    staying = pool.staying()
    place = {agent_id: number for number, agent_id in enumerate(target.victims)}

    def order(slot: _Slot) -> tuple[int, bool, int]:
        return place.get(slot.agent_id, len(place)), slot.process is not None, -staying.index(slot)

    yield from sorted(staying, key=order)[: max(0, len(staying) - target.agents)]


def _spawned(
    command: list[str], *, directory: str | None, environment: Mapping[str, str]
) -> tuple[subprocess.Popen[bytes], int]:
    """Start a command behind its guard; return the guard and our end of the lifeline.

    With `subprocess` rather than with the event loop: uvloop forks, which gRPC does not like, and this uses vfork.
    """
    ours, lifeline = lifeline_pipe()
    try:
        process = subprocess.Popen(  # noqa: S603  # running it is what the pool's owner asked for
            guarded(command, lifeline),
            pass_fds=(lifeline,),
            start_new_session=True,
            stdin=subprocess.DEVNULL,
            cwd=Path(directory) if directory else None,
            env={**os.environ, **environment},
        )
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(lifeline)
    return process, ours


def _runs(slot: _Slot) -> bool:
    return slot.process is not None and slot.process.poll() is None


def _kill(slot: _Slot) -> None:
    """Let go of the lifeline, upon which the guard kills what is left, and wait for it."""
    if slot.process is None:
        return
    os.close(slot.lifeline)
    slot.process.wait()
    slot.process, slot.lifeline = None, -1


def _filled(text: str, words: Mapping[str, str]) -> str:
    for name, value in words.items():
        text = text.replace(name, value)
    return text
