"""What agents have counted since it was recorded last: session state, told anew by every agent to a new leader."""

from __future__ import annotations

from typing import Final

from tercio_registry.state.agents import AgentRow
from tercio_registry.state.totals import MOST_TYPES, Counted, Totals

_AGENT_BYTES: Final = 64


class Counting:
    """The newest totals of each process, by type of task; the newest ones of too many types."""

    __slots__ = ("_types",)

    def __init__(self) -> None:
        """Start with none."""
        self._types: dict[tuple[str, bytes], dict[str, Totals]] = {}

    def __len__(self) -> int:
        """Return of how many processes something waits to be recorded."""
        return len(self._types)

    def count(self, row: AgentRow, totals: dict[str, Totals]) -> None:
        """Note what the agent's present process has counted."""
        types = self._types.setdefault((row.agent_id, row.instance_id), {})
        for name, total in totals.items():
            types.pop(name, None)
            types[name] = total  # now the last
        for name in list(types)[:-MOST_TYPES]:
            del types[name]

    def take(self, most_bytes: int) -> tuple[Counted, ...]:
        """Remove and return the oldest entries whose record has about that many bytes, at least one if there is any."""
        taken: list[Counted] = []
        while self._types:
            (agent_id, instance_id), types = next(iter(self._types.items()))
            most_bytes -= _AGENT_BYTES + len(agent_id)
            most_bytes -= sum(len(name) + totals.size_bytes for name, totals in types.items())
            if taken and most_bytes < 0:
                break
            del self._types[agent_id, instance_id]
            taken.append(Counted(agent_id=agent_id, instance_id=instance_id, types=tuple(types.items())))
        return tuple(taken)
