"""The settings of decisions and conflicts: section `conflicts.disputes`."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, HttpUrl, SecretStr, model_validator

from tercio_common.settings import Section
from tercio_conflicts.families import family_of, packaged_families
from tercio_conflicts.state.contradictions.vocabulary import merged
from tercio_conflicts.state.detectors.protocol import Detector
from tercio_conflicts.state.dispute_rules import DisputeRules
from tercio_conflicts.state.resolutions.protocol import Counsel

_AgentId = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,128}$")]
_Word = Annotated[str, Field(min_length=1, max_length=128)]
_DAY_MS = 24 * 3_600_000


class KindSettings(Section):
    """A group of options, which has names of its own."""

    names: tuple[_Word, ...] = ()
    """What it is called."""
    options: tuple[_Word, ...]
    """The options that belong to it."""


class FamilySettings(Section):
    """Choices of which one scope has at most one; of a family that the package brings, what is added to it."""

    subjects: tuple[_Word, ...] = ()
    """What a subject is called that is about it."""
    severity: Literal["low", "medium", "high", "critical"] = "medium"
    """Of a contradiction in it."""
    options: dict[_Word, tuple[_Word, ...]] = Field(default_factory=dict)
    """The choices, each with its other names."""
    kinds: dict[_Word, KindSettings] = Field(default_factory=dict)
    """Groups of them."""
    general: tuple[_Word, ...] = ()
    """Words for any of them: who rejects those rejects all."""
    common_words: tuple[_Word, ...] = ()
    """Names that are everyday words as well."""


class DisputeSettings(Section):
    """How conflicts are found, and how they end."""

    look_ms: int = Field(default=5_000, ge=100, le=600_000)
    """How often is looked for conflicts, in ms, 100 ms to 10 min; also after each decision, report and answer."""
    threshold: float = Field(default=0.8, ge=0, le=1)
    """Confidence of a detector under which nothing is raised, 0 to 1."""
    patience_ms: int = Field(default=5_000, ge=0, le=3_600_000)
    """Waiting for a claim for that long is no conflict, in ms, up to 1 h: most holders are done by then."""
    resolution_ms: int = Field(default=1_800_000, ge=1_000, le=_DAY_MS)
    """An open conflict is escalated after that long, in ms, 1 s to 1 day: half an hour is as long as agents should
    stand still without anybody knowing."""
    escalation_ms: int = Field(default=_DAY_MS, ge=1_000, le=30 * _DAY_MS)
    """Within that people are to decide, in ms, 1 s to 30 days: by the next day."""
    reminder_ms: int = Field(default=3_600_000, ge=1_000, le=30 * _DAY_MS)
    """How often they are reminded until then, in ms, 1 s to 30 days."""
    consultation_ms: int = Field(default=300_000, ge=1_000, le=3_600_000)
    """How long an agent has to say which decision prevails, in ms, 1 s to 1 h: it may have to read code first."""
    architect_role: str = Field(default="architect", max_length=128)
    """Decisions in this role prevail, and agents in it are asked."""
    architects: tuple[_AgentId, ...] = ()
    """Agents that are asked first, whatever their role."""
    consultants: tuple[_AgentId, ...] = ()
    """Agents that are asked for their opinion; without any, those that work on something else."""
    memory_ms: int = Field(default=30 * _DAY_MS, ge=60_000, le=3_650 * _DAY_MS)
    """Decisions that are older do not matter any more, in ms, 1 min to 10 years."""
    max_decisions: int = Field(default=2_000, ge=10, le=20_000)
    """Decisions that are kept, 10 to 20,000; the oldest goes first. A new one is compared with those about the same
    subject or family of choices, some 20 µs each."""
    learning: bool = True
    """Whether strategies are tried in the order of what worked, or always in the order of their chain."""
    families: dict[_Word, FamilySettings] = Field(default_factory=dict)
    """Families of choices, added to those that the package brings."""
    webhook_url: HttpUrl | None = None
    """Where escalations are posted as JSON; nowhere if absent."""
    webhook_secret: SecretStr = SecretStr("")
    """Signs what is posted: header `Tercio-Signature` is `sha256=` and the HMAC of the body in hexadecimal."""
    webhook_timeout_ms: int = Field(default=10_000, ge=100, le=120_000)
    """How long a post may take, in ms, 100 ms to 2 min."""

    @model_validator(mode="after")
    def _check_relations(self) -> Self:
        if self.reminder_ms > self.escalation_ms:
            raise ValueError("reminder_ms must not be over escalation_ms: the deadline is the last reminder")
        return self

    def rules(self, detectors: tuple[Detector, ...]) -> DisputeRules:
        """Return what the state needs of them."""
        added = [family_of(name, given.model_dump()) for name, given in self.families.items()]
        return DisputeRules(
            families=merged([*packaged_families(), *added]),
            detectors=detectors,
            counsel=Counsel(self.architect_role, self.architects, self.consultants, self.consultation_ms),
            threshold=self.threshold,
            patience=self.patience_ms,
            resolution=self.resolution_ms,
            escalation=self.escalation_ms,
            reminder=self.reminder_ms,
            memory=self.memory_ms,
            max_decisions=self.max_decisions,
            webhook=self.webhook_url is not None,
            learning=self.learning,
        )
