"""Which agents a list or a watch selects: structured parts, and an expression in the language of AIP-160."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from tercio_common.filtering.fields import Field, Kind
from tercio_common.filtering.predicates import EVERYTHING, Filter, compile_filter
from tercio_registry.state.agents import AgentRow
from tercio_registry.state.views import PRESENT_STATES, State


class Candidate(NamedTuple):
    """What a filter looks at."""

    row: AgentRow
    state: State
    active_attempts: int = 0


FIELDS: Final[Mapping[str, Field[Candidate]]] = {
    "id": Field(Kind.TEXT, lambda agent: agent.row.agent_id),
    "type": Field(Kind.TEXT, lambda agent: agent.row.profile.agent_type),
    "version": Field(Kind.TEXT, lambda agent: agent.row.profile.version),
    "state": Field(Kind.NAME, lambda agent: agent.state, names={state.name: state for state in State}),
    "capabilities": Field(Kind.NUMBER, lambda agent: dict(agent.row.profile.capabilities), keyed=True),
    "labels": Field(Kind.TEXT, lambda agent: dict(agent.row.profile.labels), keyed=True),
    "cordoned": Field(Kind.BOOL, lambda agent: agent.row.cordoned),
    "draining": Field(Kind.BOOL, lambda agent: agent.row.draining),
    "concurrency": Field(Kind.NUMBER, lambda agent: agent.row.profile.concurrency),
    "load": Field(Kind.NUMBER, lambda agent: agent.active_attempts / agent.row.profile.concurrency),
    "register_time": Field(Kind.TIME, lambda agent: agent.row.registered_wall),
}


def compile_expression(text: str) -> Filter[Candidate]:
    """Compile an expression over agents; raises `FilterError`."""
    return compile_filter(text, FIELDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentFilter:
    """Selects agents; each part that is not empty must match.

    Without states those that are present match, unless the expression compares the state itself.
    """

    states: frozenset[State] = frozenset()
    capabilities: tuple[tuple[str, int], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    agent_type: str = ""
    expression: Filter[Candidate] = EVERYTHING

    @property
    def cost(self) -> int:
        """How much more an agent costs than without an expression."""
        return 1 + self.expression.comparisons

    def matches(self, agent: Candidate) -> bool:
        """Tell whether an agent is selected."""
        states = self.states or (frozenset(State) if "state" in self.expression.fields else PRESENT_STATES)
        return agent.state in states and self._fits(agent.row) and self.expression.matches(agent)

    def _fits(self, row: AgentRow) -> bool:
        profile = row.profile
        if self.agent_type and profile.agent_type != self.agent_type:
            return False
        if self.labels and not set(self.labels) <= set(profile.labels):
            return False
        if not self.capabilities:
            return True
        levels = dict(profile.capabilities)
        return all(levels.get(name, 0) >= level for name, level in self.capabilities)
