"""Declares the pools of agents, and follows how they grow under the tickets and shrink after them, and why."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from examples.tickets.crew import GROUPS, MOST
from examples.tickets.fleet import Fleet, FleetError
from tercio.addresses import service_addresses
from tercio.api.scaling.v1 import scaling_event_pb2
from tercio.api.scaling.v1 import scaling_service_pb2 as pb
from tercio.api.scaling.v1.scaling_service_pb2_grpc import ScalingServiceStub
from tercio.rpc.channels import Channels, Route
from tercio.rpc.remote import Remote

if TYPE_CHECKING:
    from tercio.api.scaling.v1.scaling_service_pb2_grpc import ScalingServiceAsyncStub

BUDGET: Final = "crew"
_PATIENCE: Final = {"cooldown": "3s", "window": "2s", "sustained": "4s", "wait_target": "1s", "drain_limit": "60s"}
"""Seconds where a fleet of more than a minute has minutes."""
_POLL_S: Final = 0.2
_UP, _DOWN = scaling_event_pb2.ScalingEvent.KIND_SCALED_UP, scaling_event_pb2.ScalingEvent.KIND_SCALED_DOWN
_REFUSED: Final = scaling_event_pb2.ScalingEvent.KIND_REFUSED
_QUIET: Final = frozenset({scaling_event_pb2.ScalingEvent.KIND_APPLIED})
_WRONG: Final = frozenset(
    {
        scaling_event_pb2.ScalingEvent.KIND_WRONG_AGENT_LEFT,
        scaling_event_pb2.ScalingEvent.KIND_DRAIN_LIMIT_REACHED,
        scaling_event_pb2.ScalingEvent.KIND_DRIVER_FAILED,
    }
)


@dataclass(slots=True)
class Growth:
    """How many agents of pools there were, and every event of theirs, by id.

    Attributes:
        first: when the tickets came.
        most: at most.
        last: after the tickets.
    """

    first: int = 0
    most: int = 0
    last: int = 0
    events: dict[str, scaling_event_pb2.ScalingEvent] = field(default_factory=dict)

    @property
    def is_shown(self) -> bool:
        """Whether they grew for the tickets, shrank after them to what there was, and nothing went wrong with it."""
        return self.first < self.most and self.last == self.first and not self._count(*_WRONG)

    def note(self, event: scaling_event_pb2.ScalingEvent) -> str:
        """Take note of an event; return what is worth telling of it."""
        known = event.event_id in self.events
        self.events[event.event_id] = event
        # That somebody who is not needed stays for a while is no news.
        if known or event.kind in _QUIET or (event.kind == _REFUSED and event.wanted_count <= event.before_count):
            return ""
        name = scaling_event_pb2.ScalingEvent.Kind.Name(event.kind).removeprefix("KIND_").replace("_", " ").lower()
        number = f" from {event.before_count} to {event.after_count}" if event.kind in {_UP, _DOWN} else ""
        limits = f"; limited by {', '.join(limit.name for limit in event.limits)}" if event.limits else ""
        rule = f" by {event.rule}" if event.rule else ""
        return f"{event.pool_id} {name}{number}{rule}: {event.reason}{limits}"

    def _count(self, *kinds: scaling_event_pb2.ScalingEvent.Kind.ValueType) -> int:
        return sum(event.kind in kinds for event in self.events.values())

    def __str__(self) -> str:
        """Tell it in one line."""
        return (
            f"{self.first} agents, at most {self.most}, {self.last} in the end; "
            f"{self._count(_UP)} decisions upwards and {self._count(_DOWN)} downwards"
        )


class Grower:
    """Looks at the pools of agents of a fleet."""

    def __init__(self, fleet: Fleet, growth: Growth, *, say: Callable[[str], None]) -> None:
        """Keep what is seen in `growth`, and tell what happens."""
        self._fleet, self._growth, self._say = fleet, growth, say
        self._channels = Channels()
        route = Route(self._channels, service_addresses("scaling", address=fleet.address))
        self._scaling: Remote[ScalingServiceAsyncStub] = Remote(route, ScalingServiceStub)

    async def close(self) -> None:
        """Close the connection."""
        await self._channels.close()

    async def begin(self) -> None:
        """Declare the pools, as anybody would: in a file, on the command line; and wait for their first agents."""
        file = self._fleet.folder.parent / "pools.yaml"
        await asyncio.to_thread(file.write_text, declared(self._fleet))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tercio.cli", "pool", "apply", "-f", str(file), "--address", self._fleet.address),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        _, said = await process.communicate()
        if process.returncode:
            raise FleetError(f"the pools were not accepted: {said.decode()}")
        least = sum(group.least for group in GROUPS)
        await _until(lambda: len(self._fleet.present) >= least)
        self._growth.first = self._growth.last = len(self._fleet.present)

    async def follow(self) -> None:
        """Tell every event, and count who is there, for ever."""
        counting = asyncio.create_task(self._count())
        try:
            async for message in self._scaling.stub().WatchScalingEvents(pb.WatchScalingEventsRequest()):
                for event in message.events:
                    if told := self._growth.note(event):
                        self._say(f"*** {told}")
        finally:
            counting.cancel()

    async def until_small(self) -> None:
        """Wait until no more agents are there than before the tickets."""
        await _until(lambda: len(self._fleet.present) <= self._growth.first)
        self._growth.last = len(self._fleet.present)

    async def _count(self) -> None:
        while True:
            self._growth.last = len(self._fleet.present)
            self._growth.most = max(self._growth.most, self._growth.last)
            await asyncio.sleep(_POLL_S)


async def _until(holds: Callable[[], bool]) -> None:
    while True:
        if holds():
            return
        await asyncio.sleep(_POLL_S)


def declared(fleet: Fleet) -> str:
    """Return the pools and their budget, as `tercio pool apply -f` takes them: YAML, of which JSON is a part."""
    pools = [
        {
            "pool_id": group.name,
            "capabilities": dict(group.capabilities),
            "min_agents": group.least,
            "max_agents": group.most,
            "up_step": group.step,
            "down_step": group.step,
            "budget_id": BUDGET,
            **_PATIENCE,
            "local": {"command": fleet.command(group.name), "environment": {"TERCIO_ADDRESS": fleet.address}},
        }
        for group in GROUPS
    ]
    return json.dumps([{"budget_id": BUDGET, "max_agents": MOST}, *pools], indent=2)
