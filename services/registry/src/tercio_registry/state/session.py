"""What one leader has heard: session state, lost with the leadership and rebuilt from the agents' next heartbeats.

A renewal costs one entry in a dictionary. The session also knows whether the leader was listening at all: a process
that was stopped, or whose event loop hung, must not charge agents with heartbeats that lie unread in its sockets.
"""

from __future__ import annotations

from collections.abc import Iterable

from tercio_registry.state.agents import AgentRow, Ailment, Health
from tercio_registry.state.canaries import Answer, Canaries
from tercio_registry.state.counting import Counting
from tercio_registry.state.rules import Rules
from tercio_registry.state.timings import Timings
from tercio_registry.state.verdicts import Contradictions
from tercio_registry.state.vitals import Sign, Vitals, error_sign, signs


class Session:
    """Last renewals, in ms of fleet time, and what speaks against verdicts. The edge writes it; `decide` only reads.

    Attributes:
        canaries: which agents are to be asked for a sign of life.
        counting: what agents have counted and nobody recorded yet.
        timings: how long steps of configurations took.
        verdicts: observations in a row that speak against verdicts.
    """

    __slots__ = (
        "_active",
        "_attempts",
        "_began",
        "_heard",
        "_pending",
        "_punctual",
        "_renewals",
        "_reports",
        "_returned",
        "_vitals",
        "canaries",
        "counting",
        "rules",
        "timings",
        "verdicts",
    )

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self._renewals: dict[str, int] = {}
        self._active: dict[str, int] = {}  # attempts that agents run; idle ones are left out
        self._reports: dict[str, bytes] = {}
        self._returned: set[str] = set()
        self._pending: dict[str, None] = {}
        self._punctual: dict[str, int] = {}  # heartbeats in a row of agents that had missed some
        self._vitals: dict[str, Vitals] = {}
        self._attempts: dict[str, tuple[int, int, int]] = {}  # by incarnation failed, succeeded: too few to be judged
        self.canaries = Canaries(rules)
        self.counting = Counting()
        self.verdicts = Contradictions(rules)
        self.timings = Timings()
        self._began = -1
        self._heard = -1

    def pulse(self, now: int) -> None:
        """Note that the leader is listening. After a gap it begins anew."""
        self._began, self._heard = self.listening_since(now), now

    def listening_since(self, now: int) -> int:
        """Return since when the leader has listened without a gap of more than one interval; `now` if it has not."""
        if self._heard < 0 or now - self._heard > self.rules.interval:
            return now
        return self._began

    def renew(self, row: AgentRow, now: int, *, generation: int, revision: int, active_attempts: int = 0) -> bool:
        """Note a renewal of an active agent; return whether it brings a transition, which waits in `take_pending`."""
        former = self._renewals.get(row.agent_id)
        if former is None or former < row.enrolled_now:
            self.canaries.watch(row.agent_id, now)
        if row.regularity is not Health.HEALTHY:
            late = now - self.lease_start(row, now) >= self.rules.degraded_after
            self._punctual[row.agent_id] = 0 if late else self._punctual.get(row.agent_id, 0) + 1
        elif self._punctual:
            self._punctual.pop(row.agent_id, None)  # of the last time that it had missed some
        confirmed = row.confirmed_by(generation, revision)
        if confirmed and self.is_unheard(row, now):
            self._returned.add(row.agent_id)
        elif self._returned:
            self._returned.discard(row.agent_id)
        self._renewals[row.agent_id] = now
        if active_attempts:
            self._active[row.agent_id] = active_attempts
        else:
            self._active.pop(row.agent_id, None)
        if self.regularity_of(row) is row.regularity and confirmed and row.agent_id not in self._returned:
            return False
        self._pending[row.agent_id] = None
        return True

    def is_unheard(self, row: AgentRow, now: int) -> bool:
        """Tell whether the agent has not renewed within its TTL: held against nobody if the leader did not listen."""
        return now - max(self._renewals.get(row.agent_id, 0), row.enrolled_now) >= self.rules.ttl

    def has_returned(self, agent_id: str) -> bool:
        """Tell whether the agent's last renewal came after such a time; readers are to hear of it."""
        return agent_id in self._returned

    def regularity_of(self, row: AgentRow) -> Health:
        """Return how an agent renews that was heard just now: after missed heartbeats, well only after a streak."""
        if row.regularity is Health.HEALTHY:
            return Health.HEALTHY
        recovered = self._punctual.get(row.agent_id, 0) >= self.rules.recovery_streak
        return Health.HEALTHY if recovered else Health.DEGRADED

    def observe(self, row: AgentRow, vitals: Vitals) -> None:
        """Take note of an active agent's report."""
        agent_id, rules = row.agent_id, self.rules
        self._vitals[agent_id] = vitals
        for sign in signs(vitals, rules):
            self.judge(row, sign)
        if vitals.failed or vitals.succeeded:
            incarnation, failed, succeeded = self._attempts.pop(agent_id, (row.incarnation, 0, 0))
            if incarnation != row.incarnation:
                failed = succeeded = 0  # a former process has failed, and not this one
            failed, succeeded = failed + vitals.failed, succeeded + vitals.succeeded
            if failed + succeeded >= rules.least_attempts:
                self.judge(row, error_sign(failed, succeeded, rules))
            else:
                self._attempts[agent_id] = row.incarnation, failed, succeeded

    def judge(self, row: AgentRow, sign: Sign) -> None:
        """Take note of one observation; a change of the verdict waits in `take_pending`."""
        if self.verdicts.observe(row, sign):
            self._pending[row.agent_id] = None

    def note_canary(self, row: AgentRow | None, answer: Answer, now: int) -> None:
        """Take note of how a canary ended."""
        if row is None or not row.active or row.incarnation != answer.incarnation:
            return  # whoever came after it is asked on its own
        suspect = Ailment.DEAF in row.ailments
        if self.canaries.note(row.agent_id, answered=answer.answered, suspect=suspect, now=now):
            self.judge(row, Sign(Ailment.DEAF, answer.answered))
        elif suspect:
            self.judge(row, Sign(Ailment.DEAF, None))

    def vitals(self, agent_id: str) -> Vitals | None:
        """Return what the agent reported last to this leader."""
        return self._vitals.get(agent_id)

    def last_renewal(self, agent_id: str) -> int | None:
        """Return the last renewal that this leader has heard."""
        return self._renewals.get(agent_id)

    def active_attempts(self, agent_id: str) -> int:
        """Return how many attempts the agent was running at its last renewal; 0 when it was not heard."""
        return self._active.get(agent_id, 0)

    def keep_report(self, agent_id: str, report: bytes) -> None:
        """Keep how the agent's registration went, as the edge wrote it."""
        self._reports[agent_id] = report

    def report(self, agent_id: str) -> bytes:
        """Return how the agent's registration with this leader went; empty when it was with another."""
        return self._reports.get(agent_id, b"")

    def lease_start(self, row: AgentRow, now: int) -> int:
        """Return from when the agent's lease is counted: never from before this leader listened."""
        return max(self.listening_since(now), row.enrolled_now, self._renewals.get(row.agent_id, 0))

    @property
    def has_pending(self) -> bool:
        """True while renewals wait that bring a transition."""
        return bool(self._pending)

    def take_pending(self, limit: int) -> tuple[str, ...]:
        """Remove and return up to `limit` agents whose renewal brings a transition, the oldest first."""
        taken = tuple(agent_id for agent_id, _ in zip(self._pending, range(limit), strict=False))
        for agent_id in taken:
            del self._pending[agent_id]
        return taken

    def forget_others(self, agent_ids: Iterable[str]) -> None:
        """Forget all but these agents."""
        kept = set(agent_ids)
        self._renewals = {each: when for each, when in self._renewals.items() if each in kept}
        self._active = {each: count for each, count in self._active.items() if each in kept}
        self._reports = {each: report for each, report in self._reports.items() if each in kept}
        self._punctual = {each: count for each, count in self._punctual.items() if each in kept}
        self._vitals = {each: vitals for each, vitals in self._vitals.items() if each in kept}
        self._attempts = {each: counts for each, counts in self._attempts.items() if each in kept}
        self._returned &= kept
        self.verdicts.keep(kept)
        self.timings.keep(kept)
        self.canaries.keep(kept)

    def __len__(self) -> int:
        return max(len(self._renewals), len(self._reports))
