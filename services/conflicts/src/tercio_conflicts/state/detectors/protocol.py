"""What a detector is.

It is asked at every look, and says what is the matter at that moment; it remembers nothing. The same conflict has the
same id at every look: that is how it is raised once, and seen to be gone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Final, NamedTuple, Protocol

from tercio_conflicts.state.dispute_rows import Labels
from tercio_conflicts.state.severity import Severity
from tercio_conflicts.state.situation import Situation

RESOURCE_CONTENTION = "resource_contention"
AGENT_CONFLICT = "agent_conflict"
PRIORITY_CONFLICT = "priority_conflict"
TECHNICAL_DISAGREEMENT = "technical_disagreement"


_MOST_NAMED: Final = 100
_MOST_LABELS: Final = 64
_MOST_TEXT: Final = 512


class Finding(NamedTuple):
    """A conflict, as a detector sees it.

    Attributes:
        confidence: from 0 to 1; what is under the threshold is not raised.
        context: what it is about; every value is for people as well.
        claims: numbers of the claims in it.
        decisions: numbers of the decisions in it.
    """

    conflict_id: str
    type: str
    agents: tuple[str, ...]
    severity: Severity
    confidence: float
    context: Labels
    tasks: tuple[str, ...] = ()
    claims: tuple[int, ...] = ()
    decisions: tuple[int, ...] = ()

    def bounded(self) -> Finding:
        """Return it with as much as a record has room for; what is left out shows once the rest has ended."""
        return self._replace(
            agents=self.agents[:_MOST_NAMED],
            tasks=self.tasks[:_MOST_NAMED],
            claims=self.claims[:_MOST_NAMED],
            decisions=self.decisions[:_MOST_NAMED],
            context=tuple((key[:_MOST_TEXT], value[:_MOST_TEXT]) for key, value in self.context[:_MOST_LABELS]),
        )


class Detector(Protocol):
    """Finds conflicts of one sort."""

    name: str

    def detect(self, situation: Situation) -> Iterable[Finding]:
        """Give every conflict that there is at present."""
        ...


def conflict_id(prefix: str, *names: str) -> str:
    """Return the id of the conflict about these names."""
    digest = hashlib.sha256("\0".join(names).encode()).hexdigest()[:16]
    return f"{prefix}_{digest}"


def labels(**values: object) -> Labels:
    """Return a context without what is empty."""
    return tuple(sorted((key, str(value)) for key, value in values.items() if value not in {"", 0, ()}))
