"""Pages of agents in the order of their ids."""

from __future__ import annotations

from typing import NamedTuple

from tercio_common.machine.protocol import Moment
from tercio_common.machine.table import Table
from tercio_registry.state.agents import AgentRow
from tercio_registry.state.filters import AgentFilter, Candidate
from tercio_registry.state.session import Session
from tercio_registry.state.views import AgentView, IdOrder, shown_state, view


class Page(NamedTuple):
    """Agents in the order of their ids; `after` continues, and is empty after the last."""

    agents: list[AgentView]
    after: str


_LOOKS_PER_PAGE = 20_000
"""A page may be short, or even empty, rather than hold the event loop for longer than some 20 ms."""


def list_agents(
    agents: Table[AgentRow],
    order: IdOrder,
    at: Moment,
    *,
    session: Session,
    selected: AgentFilter,
    after: str,
    size: int,
) -> Page:
    """Return up to `size` selected agents with ids over `after`."""
    found: list[AgentView] = []
    last, most_looks = after, _LOOKS_PER_PAGE // selected.cost
    for looks, agent_id in enumerate(order.after(after)):
        if len(found) == size or looks == most_looks:
            return Page(found, last)
        row, last = agents[agent_id], agent_id
        if selected.matches(Candidate(row, shown_state(row, at, session), session.active_attempts(agent_id))):
            found.append(view(row, at, session))
    return Page(found, "")
