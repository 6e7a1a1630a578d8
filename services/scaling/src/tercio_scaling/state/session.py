"""What one leader has seen: session state, lost with the leadership."""

from __future__ import annotations

from collections.abc import Iterable

from tercio_scaling.state.sightings import PoolSeen


class Session:
    """The last sightings. Effects write it; `decide` only reads."""

    def __init__(self) -> None:
        self._seen: dict[str, tuple[PoolSeen, int]] = {}

    def keep(self, pools: Iterable[PoolSeen], now: int) -> None:
        """Note what is seen at fleet time `now`."""
        for seen in pools:
            self._seen[seen.pool_id] = (seen, now)

    def forget_others(self, pool_ids: Iterable[str]) -> None:
        """Forget pools that are no more."""
        known = set(pool_ids)
        self._seen = {pool_id: seen for pool_id, seen in self._seen.items() if pool_id in known}

    def seen(self, pool_id: str, now: int) -> PoolSeen | None:
        """Return the last sighting of a pool, as old as it is by now; None when there is none."""
        if pool_id not in self._seen:
            return None
        seen, at = self._seen[pool_id]
        later = max(0, now - at)
        ages = [age if age < 0 else age + later for age in (seen.demand_age, seen.agents_age, seen.view_age)]
        return seen._replace(demand_age=ages[0], agents_age=ages[1], view_age=ages[2])

    def fresh(self, pool_id: str, now: int, *, stale: int) -> PoolSeen | None:
        """Return the last sighting, unless it is older than `stale` ms."""
        seen = self.seen(pool_id, now)
        return seen if seen is not None and seen.is_fresh(stale) else None
