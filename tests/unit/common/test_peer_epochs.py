"""The highest epoch of each role counts, in the tables, in records and in snapshots."""

from __future__ import annotations

import pytest

from support.counter_machine import CounterCodec
from tercio_common.epochs import Epoch
from tercio_common.errors import Refusal
from tercio_common.journal.peer_epochs import PEERS, PeerEpochs, PeerRow
from tercio_common.machine.calls import Call, Peer
from tercio_common.machine.protocol import Moment
from tercio_common.machine.records import call_of_record, encode_record
from tercio_common.machine.table import TableStore
from tercio_common.machine.tables_codec import decode_row, encode_row
from tercio_common.records.v1 import record_pb2


def peer(generation: int, revision: int, *, role: str = "scheduler", shard: int = 0) -> Peer:
    return Peer(role, shard, Epoch(generation, revision))


def test_only_a_rise_is_news_and_a_lower_epoch_is_refused() -> None:
    known = PeerEpochs(TableStore())
    assert known.is_news(peer(1, 5))
    known.remember(peer(1, 5))
    assert not known.is_news(peer(1, 5))
    assert known.is_news(peer(2, 1))
    with pytest.raises(Refusal, match="STALE_EPOCH") as caught:
        known.is_news(peer(1, 4))
    assert caught.value.metadata == {"role": "scheduler", "generation": "1", "revision": "5"}


def test_roles_and_shards_do_not_concern_each_other() -> None:
    known = PeerEpochs(TableStore())
    known.remember(peer(1, 5))
    assert known.is_news(peer(1, 4, role="scaling"))
    assert known.is_news(peer(1, 4, shard=1))


def test_a_record_of_an_earlier_epoch_lowers_nothing() -> None:
    known = PeerEpochs(TableStore())
    for revision in (5, 4):
        known.remember(peer(1, revision))
    known.remember(None)
    assert not known.is_news(peer(1, 5))


@pytest.mark.parametrize("caller", [None, peer(3, 7)], ids=["nobody", "a leader"])
def test_a_record_keeps_its_peer(caller: Peer | None) -> None:
    call = Call("replica", "/m", peer=caller)
    data = encode_record(Moment(1, 2, 3, Epoch(1, 1), "replica"), call, reply=b"", events=())
    assert call_of_record(record_pb2.Record.FromString(data)) == call


def test_a_row_is_read_as_it_was_written() -> None:
    row = PeerRow("scheduler", 2, 3, 4)
    assert decode_row(CounterCodec(), PEERS, encode_row(CounterCodec(), PEERS, row)) == row
