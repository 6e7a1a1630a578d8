"""Calls of other services' leaders: lets them through in the order of their epochs.

A rise is durable before anything of its call is handled, and ends the streams of earlier epochs of that role. A
follower only forwards: the leader judges.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any, NamedTuple, Protocol

from tercio_common.errors import Refusal
from tercio_common.machine.calls import Call, Peer
from tercio_common.rpc.incoming import Incoming


class Met(Protocol):
    """What the gate knows of a host."""

    @property
    def leading(self) -> bool:
        """True while this replica answers by itself."""
        ...

    async def meet(self, peer: Peer, call: Call) -> None:
        """Return once the caller's epoch is durably noted; raises STALE_EPOCH when a higher one was seen."""
        ...


class _Stream(NamedTuple):
    host: Met
    peer: Peer
    task: asyncio.Task[Any]


class PeerGate:
    """See the module."""

    def __init__(self, hosts: Mapping[str, Met]) -> None:
        """Ask the host of each gRPC service, by its full name."""
        self._hosts = hosts
        self._streams: set[_Stream] = set()
        self._outranked: dict[asyncio.Task[Any], Peer] = {}

    @contextlib.contextmanager
    def around(self, call: Incoming) -> Iterator[None]:
        """Meet the peer before the call is handled; refuse with STALE_EPOCH, also while its stream is open."""
        host = self._hosts.get(call.method.service)
        task = asyncio.current_task()
        if call.peer is None or host is None or task is None or not host.leading:
            yield
            return
        stream = _Stream(host, call.peer, task)
        call.gates.append(partial(self._meet, call, stream))
        try:
            yield
        except asyncio.CancelledError:
            if task not in self._outranked or task.uncancel() > 0:
                raise  # the client or a drain went first
            raise _outranked(call.peer, self._outranked[task]) from None
        finally:
            self._streams.discard(stream)
            self._outranked.pop(task, None)

    async def _meet(self, call: Incoming, stream: _Stream) -> None:
        await stream.host.meet(stream.peer, Call(call.principal, call.method.path))
        if not call.method.unary:
            self._streams.add(stream)
        for other in self._streams:
            if other.host is stream.host and stream.peer.outranks(other.peer) and other.task not in self._outranked:
                self._outranked[other.task] = stream.peer
                other.task.cancel()


def _outranked(peer: Peer, by: Peer) -> Refusal:
    known = by.epoch
    return Refusal(
        "STALE_EPOCH",
        f"{peer.role} watched for epoch {peer.epoch}, but epoch {known} of it has called; step down",
        {"role": peer.role, "generation": str(known.generation), "revision": str(known.revision)},
    )
