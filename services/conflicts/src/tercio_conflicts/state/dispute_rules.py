"""The times and bounds by which conflicts are found and ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tercio_conflicts.state.contradictions.vocabulary import Family
from tercio_conflicts.state.detectors.catalogue import DETECTORS
from tercio_conflicts.state.detectors.protocol import Detector
from tercio_conflicts.state.resolutions.chains import CHAINS
from tercio_conflicts.state.resolutions.protocol import Counsel


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeRules:
    """Times in ms of fleet time, and bounds.

    Attributes:
        families: of choices, before what operators added.
        threshold: confidence under which nothing is raised.
        patience: waiting for that long is no conflict.
        resolution: after that long an open conflict is escalated.
        escalation: within that people are to decide.
        reminder: how often they are reminded until then.
        quiet: a conflict that somebody declared ended is not raised again within that.
        memory: decisions older than that do not matter.
        max_decisions: kept; the oldest goes first.
        max_ended: ended conflicts that are kept.
        webhook: somebody is to be told of escalations by HTTP.
        learning: chains are tried in the order of what worked.
    """

    families: tuple[Family, ...] = ()
    detectors: tuple[Detector, ...] = DETECTORS
    chains: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: {k: tuple(v) for k, v in CHAINS.items()})
    counsel: Counsel = field(default_factory=Counsel)
    threshold: float = 0.8
    patience: int = 5_000
    resolution: int = 1_800_000
    escalation: int = 86_400_000
    reminder: int = 3_600_000
    quiet: int = 60_000
    memory: int = 30 * 86_400_000
    max_decisions: int = 2_000
    max_ended: int = 1_000
    webhook: bool = False
    learning: bool = True


DEFAULT_DISPUTE_RULES = DisputeRules()
"""Without any family of choices: for whoever cares about claims alone."""
