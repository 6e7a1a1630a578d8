"""Makes a command the handler of tasks: payload on stdin, result on stdout, exit code as the outcome.

Each attempt that runs has a slot to itself, and with `directories` a directory to itself, so that commands which change
files never meet. One line a start and one an end tell an operator, or a program, what the agent did and when.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from tercio.attempt_claims import AttemptClaim
from tercio.cli.command import MAX_RESULT_BYTES, Command, Ended
from tercio.cli.exec_measures import VARIABLE, measure_of, measures_file
from tercio.cli.texts import readable
from tercio.context import Context
from tercio.errors import HandlerError, PermanentError

_MOST_SHOWN = 100
"""Characters of a line that is no measure."""


class Log(Protocol):
    """Where starts and ends are told."""

    def __call__(self, event: str, **facts: object) -> None:
        """Tell one event, at once."""
        ...


def log_text(event: str, **facts: object) -> None:
    """Write an event for people, to stderr."""
    moment = time.strftime("%H:%M:%S")
    words = " ".join(f"{name}={value}" for name, value in facts.items() if name != "time_ms")
    print(f"{moment} {event} {words}", file=sys.stderr, flush=True)


def log_json(event: str, **facts: object) -> None:
    """Write an event for programs, to stderr; `time_ms` is the wall clock, milliseconds since 1970."""
    print(json.dumps({"event": event, **facts}), file=sys.stderr, flush=True)


@dataclass(slots=True, kw_only=True)
class ExecHandler:
    """Runs a command for each attempt.

    Attributes:
        argv: the command; None runs the one that the payload names.
        concurrency: attempts at once.
        directories: one for each slot; empty runs all in the agent's own.
        in_worktree: what holds git worktrees runs in its first one.
        kill_grace_s: from SIGTERM to SIGKILL when an attempt is cancelled.
        log: where starts and ends are told.
    """

    argv: Sequence[str] | None
    concurrency: int
    log: Log
    directories: Sequence[Path] = ()
    in_worktree: bool = False
    kill_grace_s: float = 4.0
    _free: list[int] = field(init=False)

    def __post_init__(self) -> None:
        # The lowest first: it is the one whose caches are warm.
        self._free = list(reversed(range(self.concurrency)))

    async def __call__(self, context: Context) -> bytes:
        """Run one attempt.

        Raises:
            HandlerError: the command failed; the message ends with what it wrote last.
        """
        slot = self._free.pop()
        try:
            return await self._run(context, slot)
        finally:
            self._free.append(slot)

    async def _run(self, context: Context, slot: int) -> bytes:
        worktrees = await context.worktrees()
        command = self._command(context, slot, worktrees, await context.claims())
        self._tell("started", context, slot=slot, **({"worktree": str(worktrees[0])} if worktrees else {}))
        started, code = time.monotonic(), -1
        try:
            with measures_file() as (path, lines):
                command = replace(command, environment={**command.environment, VARIABLE: path})
                ended = await command.run(b"" if self.argv is None else context.payload, started=context.runs_in)
                self._measure(context, lines())
            code = ended.code
        except OSError as error:
            raise HandlerError(f"{error.strerror}: {error.filename}") from None
        finally:
            ran_ms = round((time.monotonic() - started) * 1000)
            self._tell("ended", context, slot=slot, exit=code, ran_ms=ran_ms)
        return _result(ended)

    def _measure(self, context: Context, lines: Sequence[str]) -> None:
        """Take what the command measured; what makes no sense is told, and does not change the outcome."""
        for line in lines:
            try:
                context.measure(*measure_of(line))
            except ValueError as error:
                self._tell("measure_ignored", context, line=line[:_MOST_SHOWN], why=str(error))

    def _command(
        self, context: Context, slot: int, worktrees: Sequence[Path], claims: Sequence[AttemptClaim]
    ) -> Command:
        directory = self.directories[slot] if self.directories else None
        if self.in_worktree and worktrees:
            directory = worktrees[0]
        environment = {
            "TERCIO_TASK_ID": context.task_id,
            "TERCIO_ATTEMPT": str(context.attempt),
            "TERCIO_FENCING_TOKEN": str(context.fencing_token),
            "TERCIO_SLOT": str(slot),
            **context.environment_for(claims),
        }
        if worktrees:
            environment["TERCIO_WORKTREE"] = str(worktrees[0])
            environment["TERCIO_WORKTREES"] = os.pathsep.join(map(str, worktrees))
        if self.argv is not None:
            return Command(argv=self.argv, directory=directory, environment=environment, kill_grace_s=self.kill_grace_s)
        named = _named_by(context.payload)
        given = Path(named.get("cwd") or ".")
        return Command(
            argv=named["argv"],
            directory=directory / given if directory else given,
            environment={**environment, **named.get("env", {})},
            kill_grace_s=self.kill_grace_s,
        )

    def _tell(self, event: str, context: Context, **facts: object) -> None:
        now_ms = time.time_ns() // 1_000_000
        self.log(event, task_id=context.task_id, attempt=context.attempt, time_ms=now_ms, **facts)


def _named_by(payload: bytes) -> Mapping[str, Any]:
    """Return the command that a payload names, checked: nothing in it may surprise the process that starts it."""
    try:
        named = json.loads(payload)
    except ValueError:
        raise PermanentError("the payload is not JSON", reason="INVALID_COMMAND") from None
    if not isinstance(named, dict):
        raise PermanentError('the payload must be {"argv": [...]}', reason="INVALID_COMMAND")
    argv, environment, directory = named.get("argv"), named.get("env", {}), named.get("cwd", "")
    texts = isinstance(argv, list) and argv and all(isinstance(part, str) for part in argv)
    pairs = isinstance(environment, dict) and all(isinstance(value, str) for value in environment.values())
    if not (texts and pairs and isinstance(directory, str)):
        wanted = (
            'the payload must be {"argv": [text, ...], "cwd": text, "env": {name: text}}; cwd and env may be missing'
        )
        raise PermanentError(wanted, reason="INVALID_COMMAND")
    return named


def _result(ended: Ended) -> bytes:
    if ended.code:
        raise HandlerError(ended.message())
    if ended.too_large:
        raise PermanentError(
            f"it wrote over {MAX_RESULT_BYTES // 1024} kB to stdout, the most that a result may hold; write a file "
            f"and print its path instead. It began: {readable(ended.stdout, limit=200)}",
            reason="PAYLOAD_TOO_LARGE",
        )
    return ended.stdout
