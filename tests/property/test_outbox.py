"""Whatever is interrupted, what is owed is sent at least once, and forgotten exactly once and only when it was taken.

A step may be: a cause, a commit, a send that arrives or is lost, an acknowledgement, or a crash, after which the next
leader replays what was committed. The order of sends is the test's to choose.
"""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tercio_common.epochs import Epoch
from tercio_common.machine.outbox import AcknowledgeOutbox, Outbox, OutboxAcknowledged
from tercio_common.machine.outbox_codec import acknowledged_of, acknowledged_record, row_of, row_record
from tercio_common.machine.protocol import Moment
from tercio_common.machine.table import TableStore
from tercio_common.records.v1 import outbox_pb2

KIND = "letters"


class Owing(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.journal: list[str | OutboxAcknowledged] = []
        self.durable = 0
        self.received: dict[str, int] = {}
        self.to_acknowledge: list[str] = []
        self.forgotten: list[str] = []
        self.names = 0
        self.restart()

    def restart(self) -> None:
        self.outbox = Outbox(TableStore())
        for seq, entry in enumerate(self.journal, 1):
            self.carry_out(entry, seq)

    def carry_out(self, entry: str | OutboxAcknowledged, seq: int) -> None:
        if isinstance(entry, str):
            self.outbox.add(KIND, entry, entry.encode(), Moment(seq, seq, seq, Epoch(1, 1), "tester"))
        else:
            self.outbox.apply(entry)

    def record(self, entry: str | OutboxAcknowledged) -> None:
        self.journal.append(entry)
        self.carry_out(entry, len(self.journal))

    @rule()
    def owe(self) -> None:
        self.names += 1
        self.record(f"e{self.names}")

    @rule()
    def commit(self) -> None:
        self.durable = len(self.journal)

    @rule(data=st.data(), arrives=st.booleans(), answered=st.booleans())
    def send(self, data: st.DataObject, arrives: bool, answered: bool) -> None:
        pending = [row.entry_id for row in self.outbox.pending(KIND, committed=self.durable)]
        if not pending:
            return
        entry_id = data.draw(st.sampled_from(pending))
        causes = [entry for entry in self.journal[: self.durable] if entry == entry_id]
        assert causes, "something was sent whose cause may still be lost"
        if arrives:
            self.received[entry_id] = self.received.get(entry_id, 0) + 1
            if answered:
                self.to_acknowledge.append(entry_id)

    @rule()
    @precondition(lambda self: self.to_acknowledge)
    def acknowledge(self) -> None:
        event = self.outbox.acknowledge(AcknowledgeOutbox(tuple(self.to_acknowledge)))
        self.to_acknowledge.clear()
        if event is not None:
            written = acknowledged_of(outbox_pb2.OutboxAcknowledged.FromString(
                acknowledged_record(event).SerializeToString()
            ))  # fmt: skip
            assert written == event
            self.record(event)

    @rule()
    def crash(self) -> None:
        del self.journal[self.durable :]
        self.to_acknowledge.clear()
        self.restart()

    @invariant()
    def only_what_was_taken_is_forgotten(self) -> None:
        owed = [entry for entry in self.journal if isinstance(entry, str)]
        gone = [each for entry in self.journal if not isinstance(entry, str) for each in entry.entry_ids]
        assert len(gone) == len(set(gone)), "an entry was forgotten twice"
        assert all(each in self.received for each in gone), "an entry was forgotten that nobody has"
        left = {row.entry_id for row in self.outbox.table.values()}
        assert left == set(owed) - set(gone)
        assert self.outbox.count(KIND) == len(left)

    @invariant()
    def a_snapshot_holds_the_same(self) -> None:
        for row in self.outbox.table.values():
            assert row_of(outbox_pb2.OutboxRow.FromString(row_record(row).SerializeToString())) == row

    def teardown(self) -> None:
        self.commit()
        for row in list(self.outbox.pending(KIND, committed=self.durable)):
            self.received[row.entry_id] = 1
            self.to_acknowledge.append(row.entry_id)
        if self.to_acknowledge:
            self.acknowledge()
        assert not len(self.outbox.table)
        owed = {entry for entry in self.journal if isinstance(entry, str)}
        assert owed <= self.received.keys()


TestOutbox = Owing.TestCase
