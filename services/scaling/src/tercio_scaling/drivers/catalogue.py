"""Drivers by name: entry points of the group `tercio.scaling.drivers`, made when a pool first needs one."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any, Final

from tercio_common.clock import Clock
from tercio_scaling.drivers.protocol import Driver, Refused

GROUP: Final = "tercio.scaling.drivers"


class Drivers:
    """The drivers of one replica; they outlive its leaderships."""

    def __init__(self, settings: Any, clock: Clock) -> None:
        """Make drivers from the settings of the service."""
        self._settings, self._clock = settings, clock
        self._made: dict[str, Driver] = {}

    def get(self, name: str) -> Driver:
        """Return the driver of that name.

        Raises:
            Refused: `NoSuchDriver`, or `DriverUnusable` when it cannot be made.
        """
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def _make(self, name: str) -> Driver:
        for found in entry_points(group=GROUP, name=name):
            try:
                driver: Driver = found.load()(self._settings, self._clock)
            except Exception as error:
                # A driver may be anybody's code, and one that is unusable must not keep other pools from theirs.
                raise Refused(f"the driver {name!r} cannot be used: {error}", reason="DriverUnusable") from error
            return driver
        raise Refused(f"no driver {name!r} is installed", reason="NoSuchDriver")

    async def close(self) -> None:
        """Close all that were made."""
        made, self._made = self._made, {}
        for driver in made.values():
            await driver.close()
