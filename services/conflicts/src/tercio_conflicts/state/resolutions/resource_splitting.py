"""Resource splitting: a claim on many things is narrowed, so that others get the part that it does not use."""

from __future__ import annotations

from tercio_conflicts.state.detectors.protocol import RESOURCE_CONTENTION
from tercio_conflicts.state.dispute_rows import ConflictRow
from tercio_conflicts.state.resolutions.access import contenders
from tercio_conflicts.state.resolutions.protocol import SETTLING_MS, Counsel, Plan, Rejected, ReleaseWish
from tercio_conflicts.state.rows import ClaimRow
from tercio_conflicts.state.situation import Situation
from tercio_conflicts.state.things import Kind


class ResourceSplitting:
    """Asks who holds a glob to claim only what it uses."""

    name = "resource_splitting"
    types = frozenset({RESOURCE_CONTENTION})

    def plan(self, conflict: ConflictRow, situation: Situation, counsel: Counsel) -> Plan | Rejected:
        found = contenders(conflict, situation)
        wanted = [wait.thing for wait in found.waits] + [row.thing for row in found.claims[1:]]
        wide = [row for row in found.claims if _is_wider(row, {str(thing) for thing in wanted})]
        if not wide or not wanted:
            return Rejected("nobody holds more than what the others want, so there is nothing to split")
        narrower = ", ".join(sorted({thing.name for thing in wanted}))
        priority = max(found.priority, *(row.terms.priority for row in wide))
        wishes = [
            ReleaseWish(row.number, row.owner, priority + 1, f"split: claim {row.thing.name} again without {narrower}")
            for row in wide
        ]
        return Plan(
            f"{', '.join(row.owner for row in wide)} to hold parts without {narrower}",
            wait=2 * SETTLING_MS,
            releases=tuple(wishes),
            access_order=tuple(dict.fromkeys([*(row.owner for row in wide), *(wait.owner for wait in found.waits)])),
            prevention="claim what is edited, not everything around it",
        )


def _is_wider(row: ClaimRow, wanted: set[str]) -> bool:
    return row.thing.kind is Kind.GLOB and str(row.thing) not in wanted
