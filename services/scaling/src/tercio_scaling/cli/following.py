"""Follows events as they happen, over changes of the leader."""

from __future__ import annotations

from typing import Any

import grpc

from tercio.api.scaling.v1 import scaling_service_pb2 as pb
from tercio.api.scaling.v1.scaling_event_pb2 import ScalingEvent
from tercio.rpc.channels import FOLLOW_LEADER
from tercio.rpc.remote import Remote
from tercio.watching import Change, Page, Watch

_PAGE = 1_000


class _Events:
    """What is listed and watched: events that an expression selects."""

    def __init__(self, remote: Remote[Any], expression: str) -> None:
        self._remote, self._expression = remote, expression
        self.route = remote.route

    async def page(self, token: str) -> Page[ScalingEvent]:
        request = pb.ListScalingEventsRequest(page_size=_PAGE, page_token=token, expression=self._expression)
        answer = await self._remote.unary(lambda stub: stub.ListScalingEvents, request)
        return Page(answer.events, answer.next_page_token, answer.cursor)

    def watch(self, cursor: str) -> grpc.aio.UnaryStreamCall[Any, Any]:
        request = pb.WatchScalingEventsRequest(cursor=cursor, expression=self._expression)
        stream: grpc.aio.UnaryStreamCall[Any, Any] = self._remote.stub().WatchScalingEvents(
            request, metadata=FOLLOW_LEADER
        )
        return stream

    def change(self, response: Any) -> Change[ScalingEvent]:
        return Change(response.events, response.cursor)


def follow(remote: Remote[Any], expression: str) -> Watch[ScalingEvent]:
    """Watch events from now on; it resumes by itself."""
    return Watch(_Events(remote, expression))
