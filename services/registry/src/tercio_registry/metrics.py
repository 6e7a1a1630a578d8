"""Every series of the registry. What only a leader knows is 0 on the other replicas."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import Counter, Gauge, Histogram

from tercio_registry.state.agents import Ailment
from tercio_registry.state.revisions import RevisionState
from tercio_registry.state.rollout_rows import RolloutState
from tercio_registry.state.views import PRESENT_STATES, State

AGENTS = Gauge("tercio_registry_agents", "Agents that the leader knows, by the state that it shows.", ("state",))
KNOWN_AGENTS = Gauge("tercio_registry_known_agents", "Agents that the leader knows, in any state.")
ACTIVE_AGENTS = Gauge("tercio_registry_active_agents", "Agents that are neither gone nor deregistered.")
LIVE_BYTES = Gauge("tercio_registry_live_bytes", "About the size of all agents in a snapshot.")
HEARTBEATS = Counter("tercio_registry_heartbeats", "Heartbeats received, by their outcome.", ("outcome",))
HEARTBEAT_STREAMS = Gauge("tercio_registry_heartbeat_streams", "Open heartbeat streams.")
CANARIES = Counter("tercio_registry_canaries", "Canaries that were sent to agents.")
CANARY_ANSWERS = Counter("tercio_registry_canary_answers", "How canaries ended.", ("result",))
AILING_AGENTS = Gauge("tercio_registry_ailing_agents", "Active agents by what is wrong with them.", ("reason",))
WATCHES = Gauge("tercio_registry_watches", "Open watches of agents.")
PHASE_SECONDS = Histogram(
    "tercio_registry_registration_phase_seconds",
    "How long each phase of a registration took, failed ones included.",
    ("phase",),
    buckets=(0.00001, 0.0001, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30),
)
PHASE_FAILURES = Counter(
    "tercio_registry_registration_failures", "Registrations that failed, by phase and reason.", ("phase", "reason")
)
DEREGISTRATIONS = Counter(
    "tercio_registry_deregistrations", "Memberships that were ended by a call, by mode.", ("mode",)
)
_SILENCE_BUCKETS = (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800)
DETECTION_SECONDS = Histogram(
    "tercio_registry_detection_seconds",
    "From an agent's last renewal to the moment at which it was found degraded, unhealthy or gone.",
    ("state",),
    buckets=_SILENCE_BUCKETS,
)
RECOVERY_SECONDS = Histogram(
    "tercio_registry_recovery_seconds",
    "From the moment at which an agent was found degraded, unhealthy or gone to its being healthy again; the mean is "
    "the mean time to recovery.",
    buckets=_SILENCE_BUCKETS,
)
GONE_VERDICTS = Counter(
    "tercio_registry_gone_verdicts",
    "Agents that were found gone: wrong when the same process came back, right when it was replaced or forgotten.",
    ("verdict",),
)

CONFIG_REVISIONS = Gauge(
    "tercio_registry_config_revisions", "Revisions of agents' configurations that are kept, by state.", ("state",)
)
CONFIG_APPLY_SECONDS = Histogram(
    "tercio_registry_config_apply_seconds",
    "From sending an agent a configuration that is tried to its answer that it runs it.",
    buckets=(0.005, 0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 300),
)
CONFIG_BYTES = Gauge("tercio_registry_config_bytes", "About the size of those revisions in a snapshot.")
ROLLOUTS = Gauge("tercio_registry_rollouts", "Roll-outs that are kept, by state.", ("state",))


def show_configurations(
    revisions: Mapping[RevisionState, int], rollouts: Mapping[RolloutState, int], *, size_bytes: int
) -> None:
    """Set what a leader knows of configurations."""
    for revision in RevisionState:
        CONFIG_REVISIONS.labels(revision.name.lower()).set(revisions.get(revision, 0))
    for rollout in RolloutState:
        ROLLOUTS.labels(rollout.name.lower()).set(rollouts.get(rollout, 0))
    CONFIG_BYTES.set(size_bytes)


def show_ailing(counts: Mapping[Ailment, int]) -> None:
    """Set what is wrong with agents, as a leader knows."""
    for ailment in Ailment:
        AILING_AGENTS.labels(ailment.name).set(counts.get(ailment, 0))


def show_agents(counts: Mapping[State, int], *, live_bytes: int) -> None:
    """Set what a leader knows of its agents."""
    for state in State:
        AGENTS.labels(state.name.lower()).set(counts.get(state, 0))
    KNOWN_AGENTS.set(sum(counts.values()))
    ACTIVE_AGENTS.set(sum(counts.get(state, 0) for state in PRESENT_STATES))
    LIVE_BYTES.set(live_bytes)
