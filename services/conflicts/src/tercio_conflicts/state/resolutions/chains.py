"""Which strategies are tried for which type of conflict, in which order, as long as nothing was learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from tercio_conflicts.state.contradictions.comparison import Comparison
from tercio_conflicts.state.detectors.protocol import (
    AGENT_CONFLICT,
    PRIORITY_CONFLICT,
    RESOURCE_CONTENTION,
    TECHNICAL_DISAGREEMENT,
)
from tercio_conflicts.state.resolutions.architect_authority import ArchitectAuthority
from tercio_conflicts.state.resolutions.consultation import ResearchConsultation
from tercio_conflicts.state.resolutions.established_pattern import EstablishedPattern
from tercio_conflicts.state.resolutions.priorities import BusinessImpact, DependencyReordering, TimelineAnalysis
from tercio_conflicts.state.resolutions.priority_boost import PriorityBoost
from tercio_conflicts.state.resolutions.protocol import Strategy
from tercio_conflicts.state.resolutions.queue_access import QueueAccess
from tercio_conflicts.state.resolutions.resource_splitting import ResourceSplitting
from tercio_conflicts.state.resolutions.single_owner import Handover, SingleOwner

CHAINS: Final[Mapping[str, Sequence[str]]] = {
    RESOURCE_CONTENTION: ("queue_access", "resource_splitting", "priority_boost"),
    TECHNICAL_DISAGREEMENT: ("established_pattern", "architect_authority", "research_consultation"),
    PRIORITY_CONFLICT: ("timeline_analysis", "business_impact", "dependency_reordering"),
    AGENT_CONFLICT: ("single_owner", "handover"),
}


def strategies(comparison: Comparison) -> Mapping[str, Strategy]:
    """Return every strategy by name."""
    every: Sequence[Strategy] = (
        QueueAccess(),
        ResourceSplitting(),
        PriorityBoost(),
        EstablishedPattern(comparison),
        ArchitectAuthority(),
        ResearchConsultation(),
        TimelineAnalysis(),
        BusinessImpact(),
        DependencyReordering(),
        SingleOwner(),
        Handover(),
    )
    return {each.name: each for each in every}
