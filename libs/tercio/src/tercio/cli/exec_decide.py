"""Makes a command the function that says which decision prevails: question on stdin, answer on stdout."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tercio.cli.command import Command
from tercio.cli.exec_handler import Log
from tercio.errors import HandlerError
from tercio.opinions import Opinion


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecDecide:
    """Runs a command for each question that the agent is asked.

    Attributes:
        argv: the command; runs in the agent's own directory.
        kill_grace_s: from SIGTERM to SIGKILL when it takes longer than it may.
        log: where it is told how a question was answered.
    """

    argv: Sequence[str]
    log: Log
    kill_grace_s: float = 4.0

    async def __call__(self, question: Any) -> Opinion:
        """Let the command answer.

        Raises:
            HandlerError: it has no opinion, or said nothing that is one; the message ends with what it wrote last.
        """
        text = json.dumps(question, ensure_ascii=False, sort_keys=True)
        ended = await Command(argv=self.argv, kill_grace_s=self.kill_grace_s).run(text.encode())
        self.log("decided", exit=ended.code)
        if ended.code:
            raise HandlerError(ended.message(), reason="NO_OPINION")
        try:
            said = json.loads(ended.stdout)
            return Opinion(int(said["decision_id"]), str(said.get("reason", "")))
        except (ValueError, TypeError, KeyError, AttributeError):
            message = 'the command must print {"decision_id": NUMBER, "reason": "..."}'
            raise HandlerError(message, reason="NO_OPINION") from None
