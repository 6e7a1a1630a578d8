"""What a service's pure state must be, so that the host can run it.

A machine reads its tables in `decide` and changes them only in `apply`. It has no I/O, no clock and no randomness:
time, ids and the session enter as arguments. The same events in the same order give the same tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from tercio_common.epochs import Epoch
from tercio_common.machine.table import TableStore


class Moment(NamedTuple):
    """When and by whom a command is decided or an event applied.

    Attributes:
        seq: number of the record that the command becomes; the first tip sequence number that shows its effects.
        now: fleet time in ms; never goes back, stands still while nobody leads.
        wall: wall time in ms since 1970, slewed; for absolute deadlines and display.
        epoch: the present leader's.
        principal: who asked.
        committed: the last durable sequence number; meaningful in `decide` only, 0 in `apply`.
    """

    seq: int
    now: int
    wall: int
    epoch: Epoch
    principal: str
    committed: int = 0


class Decision(NamedTuple):
    """What a command does.

    Attributes:
        events: for the journal.
        reply: for the caller, once they are durable.
        creates_work: they make the state grow, so they are refused with STORE_NEARLY_FULL while the store is nearly
            full; what ends work, or was done before, is not.
    """

    events: Sequence[Any] = ()
    reply: Any = None
    creates_work: bool = False


NOTHING = Decision()


class Description(NamedTuple):
    """What an auditor is told of an event.

    Attributes:
        kind: in the past tense, as `AgentRegistered`.
        resources: what it names, as `agents/builder-1`.
    """

    kind: str
    resources: Iterable[str] = ()


@dataclass(frozen=True, slots=True)
class Tick:
    """Handle timers that are due, at most `limit` events at once. Raised by the host, for every machine."""

    limit: int = 1000


@dataclass(frozen=True, slots=True)
class ElectionWon:
    """The first command of each leadership, decided before any other."""


class StateMachine(Protocol):
    """A service's pure state.

    `decide` raises `Refusal` to answer with an error. Any other exception in `decide` or `apply` undoes the command
    alone and is answered INTERNAL; should an index fail to follow that as well, the leader drops the tip.
    """

    @property
    def tables(self) -> TableStore:
        """The tables; a service may say more precisely what they are."""
        ...

    def decide(self, command: Any, at: Moment, session: Any) -> Decision:
        """Return what the command does at this moment. Must not change tables."""
        ...

    def apply(self, event: Any, at: Moment) -> None:
        """Change the tables. Must not fail for an event that `decide` gave at the same state."""
        ...

    def next_due(self) -> int | None:
        """Return the fleet time of the earliest timer, or None. It may be in the past."""
        ...

    def set_aside_due(self) -> str:
        """Take the earliest timer, which failed, out of the way until the next take-over; return its name."""
        ...


class Codec(Protocol):
    """Events and rows as bytes. Old versions stay readable."""

    def encode_event(self, event: Any) -> bytes:
        """Encode one event."""
        ...

    def decode_event(self, data: bytes) -> Any:
        """Decode one event; raises ValueError for bytes that no version wrote."""
        ...

    def describe_event(self, data: bytes) -> Description:
        """Say for an auditor what an encoded event is, without decoding more than that takes."""
        ...

    def encode_row(self, table: str, row: Any) -> bytes:
        """Encode one row of the named table."""
        ...

    def decode_row(self, table: str, data: bytes) -> Any:
        """Decode one row of the named table."""
        ...
