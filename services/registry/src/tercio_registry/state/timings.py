"""How long the leader itself took for steps of configurations: session state, of each agent's newest revision only."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Final

_NOTHING: Final[Mapping[int, int]] = {}


class Timings:
    """Nanoseconds by phase, as the edge measured them."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        """Know none yet."""
        self._known: dict[str, tuple[int, dict[int, int]]] = {}

    def note(self, agent_id: str, revision: int, took: Mapping[int, int]) -> None:
        """Note how long phases of a revision took; an earlier one of the agent is forgotten."""
        newest, known = self._known.get(agent_id, (0, {}))
        if revision >= newest:
            self._known[agent_id] = revision, {**(known if revision == newest else {}), **took}

    def of(self, agent_id: str, revision: int) -> Mapping[int, int]:
        """Return what is known of a revision."""
        newest, known = self._known.get(agent_id, (0, _NOTHING))
        return known if revision == newest else _NOTHING

    def keep(self, agent_ids: Set[str]) -> None:
        """Forget all but these agents."""
        self._known = {each: known for each, known in self._known.items() if each in agent_ids}
