"""Channels and the way to the leader.

gRPC is told to notice dead peers and to reconnect fast; everything else about retries is ours, because only we know
request ids and leaders.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import grpc

from tercio.rpc.backoff import Backoff, is_retryable
from tercio.rpc.errors import CallError

FOLLOW_LEADER: Final = (("tercio-follow", "1"),)
"""Metadata of streams: a replica that does not lead names the leader instead of passing the stream on."""

_OPTIONS: Final = (
    # A peer that vanished without a word is noticed after 15 s.
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # gRPC's own waits between connection attempts grow to two minutes; a restarted service is back in seconds.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # How long one connection attempt may take. A stopped process still accepts connections, and by the end of this
    # another replica leads.
    ("grpc.min_reconnect_backoff_ms", 2_000),
    # Retries would repeat a request without its age.
    ("grpc.enable_retries", 0),
    ("grpc.max_receive_message_length", 16 << 20),
)


class Channels:
    """The open channels of one client or agent, one an address."""

    def __init__(self, *, interceptors: Sequence[grpc.aio.ClientInterceptor] = ()) -> None:
        """Pass every call through `interceptors`."""
        self._interceptors = tuple(interceptors)
        self._open: dict[str, grpc.aio.Channel] = {}

    def channel(self, address: str) -> grpc.aio.Channel:
        """Return the channel to an address; it connects when it is first used."""
        channel = self._open.get(address)
        if channel is None:
            channel = self._open[address] = grpc.aio.insecure_channel(
                address, options=_OPTIONS, interceptors=self._interceptors
            )
        return channel

    async def close(self) -> None:
        """Close every channel; calls that still run on them end as cancelled."""
        channels, self._open = list(self._open.values()), {}
        for channel in channels:
            await channel.close()


class Route:
    """Where one service's leader is thought to be.

    It starts with the given addresses in turn, goes where NOT_LEADER points, and comes back to the given addresses as
    soon as the leader it was pointed to fails.
    """

    def __init__(self, channels: Channels, addresses: Sequence[str]) -> None:
        self._channels = channels
        self._addresses = tuple(addresses)
        self._index = 0
        self._leader = ""

    @property
    def address(self) -> str:
        """Where the next call goes."""
        return self._leader or self._addresses[self._index]

    def channel(self) -> grpc.aio.Channel:
        """Return the channel for the next call."""
        return self._channels.channel(self.address)

    def advance(self, error: CallError | None, *, tried: str) -> bool:
        """Choose another address after a failure at `tried`; return whether there is a better one to try at once."""
        if tried != self.address:
            return True  # another call on this route has failed first and moved on already
        if error is not None and error.reason and not is_retryable(error):
            return False  # judged by the leader itself, so it is the right one to ask again
        leader = error.metadata.get("leader", "") if error is not None and error.reason == "NOT_LEADER" else ""
        if leader and leader != tried:
            self._leader = leader
            return True
        if self._leader:
            self._leader = ""
        else:
            self._index = (self._index + 1) % len(self._addresses)
        return False


class Reconnect:
    """Paces the tries of one call or stream: at once towards a leader that was named, else with growing waits."""

    def __init__(self, route: Route, backoff: Backoff) -> None:
        self._route = route
        self._backoff = backoff
        self._followed = False

    def succeeded(self) -> None:
        """Start over: the peer answered."""
        self._backoff.reset()
        self._followed = False

    def wait_ms(self, error: CallError | None, *, tried: str = "") -> int:
        """Choose the next address and return how long to wait before using it.

        Args:
            error: how the last try ended; None when the peer said good-bye.
            tried: the address of the last try; by default the route's present one.
        """
        # Two replicas that name each other are not followed in circles without a wait.
        if self._route.advance(error, tried=tried or self._route.address) and not self._followed:
            self._followed = True
            return 0
        self._followed = False
        return self._backoff.next_ms(at_least_ms=error.retry_after_ms if error is not None else 0)

    async def wait(self, error: CallError | None, *, tried: str = "") -> None:
        """Choose the next address and wait as long as `wait_ms` says."""
        await asyncio.sleep(self.wait_ms(error, tried=tried) / 1000)
