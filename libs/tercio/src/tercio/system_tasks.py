"""What the fleet itself asks of an agent, beside its tasks.

System tasks have runners of their own, so that they are answered while every slot is busy; but on the same event loop
and by the same path as tasks, so that an agent which only renews and does no work any more does not answer either.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from tercio.attempts import SYSTEM_TYPES, Attempt, Stop
from tercio.context import Context
from tercio.equipment import Equipment
from tercio.handlers import Handlers
from tercio.runners import RunnerReports, Runners

_AT_ONCE: Final = 4
"""As many as the scheduler lets one agent hold."""


def is_system(attempt: Attempt) -> bool:
    """Tell whether the attempt is a system task."""
    return attempt.task_type.startswith(SYSTEM_TYPES)


def system_handlers(equipment: Equipment) -> Handlers:
    """Return the handlers of every agent."""

    async def configure(task: Context) -> bytes:
        return await equipment.configuration.take(task.payload)

    async def decide(task: Context) -> bytes:
        return await equipment.opinions.answer(task.payload)

    handlers = Handlers()
    handlers.add("tercio.canary", _answer_canary)
    handlers.add("tercio.configure", configure)
    handlers.add("tercio.decide", decide)
    return handlers


async def _answer_canary(task: Context) -> bytes:
    """Give the nonce back."""
    return task.payload


class AgentRunners:
    """The runners of tasks and those of system tasks, as one."""

    def __init__(
        self,
        handlers: Handlers,
        reports: RunnerReports,
        *,
        concurrency: int,
        grace_s: Callable[[], float],
        equipment: Equipment,
    ) -> None:
        """Run up to `concurrency` tasks at once, and a few system tasks beside them; `grace_s` as of `Runners`."""
        self._own = Runners(handlers, reports, concurrency=concurrency, grace_s=grace_s)
        self._equipment = equipment
        self._system = Runners(system_handlers(equipment), reports, concurrency=_AT_ONCE, grace_s=grace_s)

    @property
    def is_quiet(self) -> bool:
        """True when nothing waits and nothing runs."""
        return self._own.is_quiet and self._system.is_quiet

    def offer(self, attempts: list[Attempt]) -> None:
        """Run these attempts as soon as there is room."""
        system = [attempt for attempt in attempts if is_system(attempt)]
        if system:
            self._system.offer(system)
            attempts = [attempt for attempt in attempts if not is_system(attempt)]
        for attempt in attempts:
            attempt.equipment = self._equipment
        self._own.offer(attempts)

    def stop(self, attempt: Attempt, why: Stop) -> None:
        """Ask an attempt to stop."""
        self._of(attempt).stop(attempt, why)

    def give_back(self, attempt: Attempt) -> None:
        """Return an attempt if it was not started; else do nothing."""
        self._of(attempt).give_back(attempt)

    def give_all_back(self) -> None:
        """Return every attempt that was not started."""
        self._own.give_all_back()
        self._system.give_all_back()

    def stop_all(self) -> None:
        """Ask every attempt that runs to stop because the agent does."""
        self._own.stop_all()
        self._system.stop_all()

    async def close(self) -> None:
        """Stop every attempt and every runner."""
        await asyncio.gather(self._own.close(), self._system.close())

    def _of(self, attempt: Attempt) -> Runners:
        return self._system if is_system(attempt) else self._own
