"""What a driver is: it keeps as many agents as a committed decision asks for, and says what there is.

A driver never decides. It is called by the leader alone, and because a leader may have been replaced without knowing,
every write carries the leader's epoch: a driver writes nothing once it has seen a higher one. Drivers are found by the
entry point group `tercio.scaling.drivers`: a name and a `Factory`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

from tercio_common.clock import Clock
from tercio_common.epochs import Epoch

STARTING: Final = "starting"
"""It was asked for and does not run yet."""
RUNNING: Final = "running"
"""It runs; whether it is an agent yet is the registry's word."""
LEAVING: Final = "leaving"
"""It was told to end, and may still finish its work."""
FAILED: Final = "failed"
"""It ended, or cannot start, without having been told to."""


class Member(NamedTuple):
    """One agent's process or Pod, as its driver sees it.

    Attributes:
        agent_id: what the agent is called in the registry.
        phase: one of the four above.
        since_ms: when it was made, in wall time.
        uid: what tells it from a later one of the same name.
    """

    agent_id: str
    phase: str
    since_ms: int
    uid: str = ""


class View(NamedTuple):
    """What there is of a pool.

    Attributes:
        asked: how many the driver is asked to keep.
        members: those that there are, by agent id.
        version: opaque; changes with what is asked.
    """

    asked: int
    members: tuple[Member, ...]
    version: str = ""


class Target(NamedTuple):
    """What a committed decision asks of a driver.

    Attributes:
        pool_id: the pool.
        spec: the driver's own declared text, as parsed JSON. `local` takes `command` (a list of words), `deployment`
            takes `namespace` and `name`, `pods` takes `namespace` and `template` (a Pod's labels and spec).
        agents: how many there are to be.
        victims: agent ids that are to be the ones that leave, the first first.
    """

    pool_id: str
    spec: Mapping[str, Any]
    agents: int
    victims: tuple[str, ...] = ()


class DriverError(Exception):
    """A driver could not do what it was asked; nothing else of the pool was changed."""


class Fenced(DriverError):
    """A higher epoch was there before: this leader has been replaced. Nothing was written."""


class WriteConflict(DriverError):
    """Somebody else writes to the same thing faster than it can be read. Nothing was written; it may be tried again."""


class Unavailable(DriverError):
    """The driver's ground does not answer, or answers that it is busy; whether the write was done is not known.

    Attributes:
        retry_after_ms: how long to wait at least before the next try; 0 when nothing was said.
    """

    def __init__(self, why: str, *, retry_after_ms: int = 0) -> None:
        super().__init__(why)
        self.retry_after_ms = retry_after_ms


class Refused(DriverError):
    """The driver's ground says no, and will say so again until somebody changes something.

    Attributes:
        reason: a short name for machines, such as `Forbidden` or `NotFound`.
    """

    def __init__(self, why: str, *, reason: str) -> None:
        super().__init__(why)
        self.reason = reason


class Driver(Protocol):
    """Keeps agents. Every method may raise Unavailable and Refused; times are bounded by the driver itself."""

    async def fence(self, target: Target, epoch: Epoch) -> None:
        """Make a new leader's first write, after which no write of an older one succeeds.

        Raises:
            Fenced: a higher epoch was there before.
            WriteConflict: others wrote in between each time.
        """
        ...

    async def view(self, target: Target) -> View:
        """Return what there is now; `agents` and `victims` of the target do not matter."""
        ...

    async def scale(self, target: Target, epoch: Epoch) -> View:
        """Ask for as many agents as the target says, in one write, and return what there is right after it.

        When agents go, the victims go first; where that is only a wish the driver's page says so. Whoever was named
        before and is not any more stays: it is called for that alone, too.

        Raises:
            Fenced: a higher epoch was there before.
            WriteConflict: others wrote in between each time.
        """
        ...

    def changes(self, target: Target) -> AsyncIterator[None]:
        """Yield whenever something may have changed, first at once, until closed; resumes by itself after faults."""
        ...

    async def close(self) -> None:
        """Give back what it holds. Agents of a cluster live on; processes of this machine end."""
        ...


Factory: TypeAlias = Callable[[Any, Clock], Driver]
"""Makes a driver from the settings of the service and a clock; called once, before anything else."""
