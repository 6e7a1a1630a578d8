"""The triggers of a process: those of the package, and those that other packages bring by entry point.

One of another package that fails must not keep every pool from being decided: it then says that nobody may leave.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Final

import structlog

from tercio_scaling.state.observations import Observation
from tercio_scaling.state.pools import AgentPool
from tercio_scaling.state.triggers.catalogue import TRIGGERS
from tercio_scaling.state.triggers.protocol import Proposal, Trigger

GROUP: Final = "tercio.scaling.triggers"
_log = structlog.get_logger(__name__)


def installed_triggers() -> Mapping[str, Trigger]:
    """Return every trigger by name.

    Raises:
        ValueError: two have one name, or one cannot be called.
    """
    triggers = dict(TRIGGERS)
    for found in entry_points(group=GROUP):
        if found.name in triggers:
            raise ValueError(f"two triggers are named {found.name}; rename the entry point {found.value}")
        trigger = found.load()
        if not callable(trigger):
            raise ValueError(f"{found.value} is no trigger: it must be a function of a pool and an observation")
        triggers[found.name] = _guarded(found.name, trigger)
    return triggers


def _guarded(name: str, trigger: Trigger) -> Trigger:
    def guarded(pool: AgentPool, seen: Observation) -> Proposal | None:
        try:
            said = trigger(pool, seen)
        except Exception as error:  # it may be anybody's code
            _log.warning("trigger_failed", trigger=name, pool=pool.pool_id, error=repr(error), effect="nobody leaves")
            return Proposal(name, seen.agents, f"it failed, so nobody leaves: {type(error).__name__}: {error}")
        return said._replace(trigger=name) if said is not None else None

    return guarded
