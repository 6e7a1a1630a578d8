"""The highest epoch that was seen of each role that calls this service: fencing does not end at the store.

A leader that was replaced may still have a call under way. Once a call of its successor was seen, the earlier one is
refused. What was seen is part of the state, so the next leader of this service refuses it as well.
"""

from __future__ import annotations

from typing import NamedTuple

from tercio_common.epochs import NO_EPOCH, Epoch
from tercio_common.errors import Refusal
from tercio_common.machine.calls import Peer
from tercio_common.machine.table import Table, TableStore

PEERS = "host.peers"


class PeerRow(NamedTuple):
    """The highest epoch that was seen of a role."""

    role: str
    shard: int
    generation: int
    revision: int


class PeerEpochs:
    """The table of peers of one machine."""

    def __init__(self, store: TableStore) -> None:
        """Add the table to `store`."""
        self._rows: Table[PeerRow] = Table(PEERS, lambda row: (row.role, row.shard), store=store, fed=False)

    def is_news(self, peer: Peer) -> bool:
        """Tell whether the epoch is higher than every one seen of that role.

        Raises:
            Refusal: STALE_EPOCH with metadata `generation` and `revision` when it is lower.
        """
        known = self._known(peer)
        if peer.epoch < known:
            raise Refusal(
                "STALE_EPOCH",
                f"{peer.role} calls for epoch {peer.epoch}, but epoch {known} of it was seen; step down",
                {"role": peer.role, "generation": str(known.generation), "revision": str(known.revision)},
            )
        return peer.epoch > known

    def remember(self, peer: Peer | None) -> None:
        """Enter the caller of a record, if it is news; called for each record, also on replay."""
        if peer is not None and peer.epoch > self._known(peer):
            self._rows.put(PeerRow(peer.role, peer.shard, *peer.epoch))

    def _known(self, peer: Peer) -> Epoch:
        row = self._rows.get((peer.role, peer.shard))
        return Epoch(row.generation, row.revision) if row is not None else NO_EPOCH
