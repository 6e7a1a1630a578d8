"""What an agent says when it is asked which of several decisions prevails."""

from __future__ import annotations

import inspect
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, TypeAlias, TypeVar

from tercio.errors import HandlerError, SettingsError


class Opinion(NamedTuple):
    """The decision that prevails, one of those that were asked about, and why."""

    decision_id: int
    reason: str = ""


Question: TypeAlias = Mapping[str, Any]
"""`conflict_id`, `type`, `context`, `decisions`: each with its `decision_id`, `agent_id`, `role`, `subject`, `choice`,
`scope`, `rationale` and `confidence`."""
DecideHandler: TypeAlias = Callable[[Any], Awaitable[Opinion | None] | Opinion | None]
DecideT = TypeVar("DecideT", bound=DecideHandler)


class Opinions:
    """The opinions of one agent."""

    def __init__(self) -> None:
        self._handler: DecideHandler | None = None

    def set_handler(self, handler: DecideHandler) -> None:
        """Let `handler` answer.

        Raises:
            SettingsError: there is one already.
        """
        if self._handler is not None:
            raise SettingsError("the agent has a function for decisions already")
        self._handler = handler

    async def answer(self, payload: bytes) -> bytes:
        """Answer a question.

        Raises:
            HandlerError: the agent has no opinion.
            Exception: what the agent's function raises.
        """
        answer = self._handler(json.loads(payload)) if self._handler is not None else None
        opinion = await answer if inspect.isawaitable(answer) else answer
        if opinion is None:
            raise HandlerError("the agent has no opinion", reason="NO_OPINION")
        return json.dumps(Opinion(*opinion)._asdict()).encode()
