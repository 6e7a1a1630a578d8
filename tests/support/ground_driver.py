"""The driver of `ground.py`, and the scaling service with it: `python -m support.ground_driver`."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

from support.ground import GROUND
from tercio_common.clock import Clock
from tercio_common.composition import Ports, Service
from tercio_common.epochs import Epoch
from tercio_common.lifecycle import main_of
from tercio_scaling import app
from tercio_scaling.drivers.catalogue import Drivers
from tercio_scaling.drivers.protocol import Driver, Fenced, Member, Target, Unavailable, View
from tercio_scaling.settings import ScalingProcessSettings

_TIMEOUT_S = 1.0
_LOOK_MS = 100


class GroundDriver:
    """See the protocol of drivers."""

    fenced = True
    """The ground is to refuse a leader that was replaced."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        host, _, port = os.environ[GROUND].rpartition(":")
        self._host, self._port = host, int(port)

    async def fence(self, target: Target, epoch: Epoch) -> None:
        await self._ask(target, epoch=epoch)

    async def view(self, target: Target) -> View:
        return await self._ask(target)

    async def scale(self, target: Target, epoch: Epoch) -> View:
        return await self._ask(target, epoch=epoch, agents=target.agents)

    async def changes(self, target: Target) -> AsyncIterator[None]:
        while True:
            yield
            await self._clock.sleep_ms(_LOOK_MS)

    async def close(self) -> None:
        """Agents live on."""

    async def _ask(self, target: Target, *, epoch: Epoch | None = None, agents: int | None = None) -> View:
        request: dict[str, Any] = {"pool": target.pool_id, "epoch": epoch, "agents": agents, "victims": target.victims}
        request["fenced"] = self.fenced
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                answer = await self._exchange(json.dumps(request).encode() + b"\n")
        except (OSError, TimeoutError, ValueError) as error:
            raise Unavailable(f"the ground does not answer: {error!r}") from error
        if "fenced" in answer:
            raise Fenced(f"a leader of epoch {answer['fenced']} was here before")
        return View(answer["asked"], tuple(Member(*member) for member in answer["members"]))

    async def _exchange(self, line: bytes) -> dict[str, Any]:
        reader, writer = await asyncio.open_connection(self._host, self._port)
        try:
            writer.write(line)
            await writer.drain()
            answer: dict[str, Any] = json.loads(await reader.readline())
            return answer
        finally:
            writer.close()


class _Grounds(Drivers):
    """Has this driver, whatever is asked for."""

    def __init__(self, ports: Ports) -> None:
        super().__init__(ports.settings, ports.clock)
        self._driver = GroundDriver(ports.clock)

    def get(self, name: str) -> Driver:
        return self._driver


def launch_scaling(replace_ports: Callable[[Ports], Ports] = lambda ports: ports) -> None:
    """Run the service with this driver until a signal; does not return."""

    def build(ports: Ports) -> Service:
        ports = replace_ports(ports)
        return app.build(ports, drivers=_Grounds(ports))

    sys.exit(main_of(app.NAME, build, ScalingProcessSettings))


if __name__ == "__main__":
    launch_scaling()
