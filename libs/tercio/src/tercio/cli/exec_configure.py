"""Makes a command the function that takes an agent's configuration: document on stdin, exit code as the answer."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tercio.cli.command import Command
from tercio.cli.exec_handler import Log
from tercio.errors import HandlerError


@dataclass(frozen=True, slots=True, kw_only=True)
class ExecConfigure:
    """Runs a command for each configuration that the agent is sent.

    Attributes:
        argv: the command; runs in the agent's own directory.
        kill_grace_s: from SIGTERM to SIGKILL when it takes longer than it may.
        log: where it is told what became of a configuration.
    """

    argv: Sequence[str]
    log: Log
    kill_grace_s: float = 4.0

    async def __call__(self, document: Any) -> None:
        """Let the command take a document.

        Raises:
            HandlerError: it refused, or could not be run; the message ends with what it wrote last.
        """
        text = json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        ended = await Command(argv=self.argv, kill_grace_s=self.kill_grace_s).run(text.encode())
        self.log("configured", exit=ended.code)
        if ended.code:
            raise HandlerError(ended.message(), reason="CONFIGURATION_REFUSED")


def parse_command(text: str) -> list[str]:
    """Split a command as a shell would; no shell runs it.

    Raises:
        ValueError: it is empty, or a quotation is not closed.
    """
    argv = shlex.split(text)
    if not argv:
        raise ValueError("the command that takes configurations is empty")
    return argv
