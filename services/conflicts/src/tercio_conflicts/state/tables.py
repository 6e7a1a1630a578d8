"""Every table of the service, with its indexes."""

from __future__ import annotations

from operator import itemgetter

from tercio_common.leasing.tombstones import TombstoneRow, Tombstones
from tercio_common.machine.table import Table, TableStore
from tercio_conflicts.state.dispute_rules import DisputeRules
from tercio_conflicts.state.dispute_tables import DisputeTables
from tercio_conflicts.state.holdings import Holdings
from tercio_conflicts.state.leases import Leases
from tercio_conflicts.state.rows import ClaimRow
from tercio_conflicts.state.rules import Rules

CLAIMS = "claims"
TOMBSTONES = "claim_tombstones"


class ConflictTables(TableStore):
    """The tables. Tombstones concern no reader of the feed."""

    def __init__(self, rules: Rules, dispute_rules: DisputeRules) -> None:
        super().__init__()
        self.claims: Table[ClaimRow] = Table(CLAIMS, itemgetter(0), store=self)
        self.tombstones: Table[TombstoneRow] = Table(TOMBSTONES, itemgetter(0), store=self, fed=False)
        self.disputes = DisputeTables(dispute_rules, store=self)
        self.holdings = Holdings()
        self.leases = Leases(rules)
        self.barred = Tombstones(period=rules.tombstone)
        self.claims.add_index(self.holdings)
        self.claims.add_index(self.leases)
        self.tombstones.add_index(self.barred)
