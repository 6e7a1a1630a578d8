"""Compute: running tasks use more of a dimension than there is, so that they slow each other down or fail."""

from __future__ import annotations

from collections.abc import Iterable

from tercio_conflicts.state.detectors.protocol import RESOURCE_CONTENTION, Finding, conflict_id, labels
from tercio_conflicts.state.severity import Severity
from tercio_conflicts.state.situation import Situation


class ComputeDemand:
    """Memory, processors and whatever else the scheduler tells capacities of."""

    name = "compute"

    def detect(self, situation: Situation) -> Iterable[Finding]:
        for dimension, capacity in sorted(situation.capacities.items()):
            users = [each for each in situation.work if each.running and dict(each.amounts).get(dimension, 0)]
            wanted = sum(dict(each.amounts)[dimension] for each in users)
            agents = sorted({each.agent_id for each in users} - {""})
            if wanted <= capacity or len(agents) < 2:
                continue
            yield Finding(
                conflict_id("compute_conflict", dimension),
                RESOURCE_CONTENTION,
                tuple(agents),
                Severity.HIGH if wanted > 2 * capacity else Severity.MEDIUM,
                1.0,
                labels(resource=dimension, type="compute", wanted=wanted, capacity=capacity),
                tasks=tuple(sorted(each.task_id for each in users)),
            )
