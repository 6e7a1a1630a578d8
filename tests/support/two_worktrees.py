"""Two agents in two working trees of one repository, who claim, edit, stop for too long, and commit, as a seed says.

Each commit is judged twice: at once, by what the journal of the service says at that moment, and at the end, by the
history of git. Both are read here by rules of their own; nothing of the service's state is asked.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field

import grpc

from support.conflicts import Conflicts
from support.git_trees import GitTree
from tercio.api.conflicts.v1 import claim_pb2
from tercio.claims import Claims
from tercio.commit_check import Committer, objections
from tercio.repository import Repository
from tercio.things import thing
from tercio_common.journal.memory import MemoryStore
from tercio_common.machine.records import moment_of, split_segment
from tercio_common.testing.manual_clock import ManualClock
from tercio_conflicts import app
from tercio_conflicts.codec import ConflictsCodec
from tercio_conflicts.settings import ConflictsSettings
from tercio_conflicts.state.machine import ConflictsMachine
from tercio_conflicts.state.modes import Mode
from tercio_conflicts.state.rows import ClaimRow

MEANT = {
    "a": {"a"},
    "b": {"b"},
    "src/a": {"src/a"},
    "src/*": {"src/a", "src/b"},
    "**/a": {"a", "src/a"},
    "**": {"a", "b", "src/a", "src/b"},
}
"""What is claimed, and which of the paths it stands for."""
PATHS = sorted(MEANT["**"])
TTL_MS = 10_000
SETTINGS = ConflictsSettings(grace_ms=1_000)


class Ledger:
    """Who holds what, as the journal tells it."""

    def __init__(self, store: MemoryStore) -> None:
        self._journal, self._codec = store.journal(app.NAME), ConflictsCodec()
        self._machine = ConflictsMachine(SETTINGS.rules())
        self._segment = 0

    async def held(self) -> list[ClaimRow]:
        while segments := await self._journal.read(self._segment):
            for segment in segments:
                self._segment = segment.number
                for record in split_segment(segment.value):
                    self._machine.tables.begin()
                    for event in record.events:
                        self._machine.apply(self._codec.decode_event(event), moment_of(record))
        return list(self._machine.tables.claims.values())


@dataclass(frozen=True, slots=True)
class Commit:
    """One that git took."""

    name: str
    owner: str
    tokens: tuple[int, ...]
    paths: tuple[str, ...]
    holders: dict[str, str]
    """Of each path that was held exclusively at that moment, by whom."""
    must_claim: bool


@dataclass(slots=True)
class Agent:
    """Works in one tree, and believes that it holds what it was granted until it gives it back."""

    tree: GitTree
    repository: Repository
    owner: str = ""
    granted: dict[int, tuple[str, claim_pb2.FencingToken]] = field(default_factory=dict)
    is_stopped: bool = False

    @property
    def committer(self) -> Committer:
        return Committer(self.owner if self.granted else "", {each: token for each, (_, token) in self.granted.items()})


class TwoWorktrees:
    """The repository, its agents, and what became of their commits."""

    def __init__(
        self,
        conflicts: Conflicts,
        claims: Claims,
        ledger: Ledger,
        clock: ManualClock,
        trees: list[GitTree],
        *,
        seed: int,
    ) -> None:
        self._conflicts, self._claims, self._ledger, self._clock = conflicts, claims, ledger, clock
        self.agents = [Agent(tree, tree.repository()) for tree in trees]
        self.scope = self.agents[0].repository.scope
        self.chance = random.Random(seed)
        self.is_guarded = True
        self.commits: list[Commit] = []
        self.refused = 0
        self.refused_late = 0
        self.collided = 0
        self._texts = 0
        self._must_claim = False

    def __str__(self) -> str:
        return (
            f"{len(self.commits)} commits, {self.refused} refused, of them {self.refused_late} under claims that were "
            f"lost; {self.collided} claims collided"
        )

    async def interleave(self, steps: int) -> None:
        """Let the agents do so many things at random; then everything that is still held runs out."""
        self._must_claim = self.chance.random() < 0.5
        for agent in self.agents:
            agent.owner, agent.granted, agent.is_stopped = f"{agent.tree.top.name}-{self._texts}", {}, False
        for _ in range(steps):
            agent = self.chance.choice(self.agents)
            act = self.chance.choices(
                [self._claim, self._edit, self._commit, self._give_back, self._stop, self._pass_time],
                weights=[25, 30, 35, 5, 10, 5],
            )[0]
            await act(agent)
        for agent in self.agents:
            agent.is_stopped = True
            agent.tree.run("reset", "--quiet", "--hard")
        await self._elapse(TTL_MS + SETTINGS.grace_ms + 1_000)

    async def _claim(self, agent: Agent) -> None:
        agent.is_stopped = False
        pattern = self.chance.choice(list(MEANT))
        try:
            numbers = await self._conflicts.acquire(
                agent.owner, things=[thing(pattern, scope=self.scope)], ttl={"seconds": TTL_MS // 1_000}
            )
        except grpc.RpcError:
            self.collided += 1
            return
        for number in numbers:
            agent.granted[number] = (pattern, (await self._conflicts.claim(number)).token)

    async def _edit(self, agent: Agent) -> None:
        """Write something it believes it may write, or now and then anything."""
        agent.is_stopped = False
        mine = sorted({path for pattern, _ in agent.granted.values() for path in MEANT[pattern]})
        path = self.chance.choice(mine if mine and self.chance.random() < 0.8 else PATHS)
        self._texts += 1
        agent.tree.write({path: f"{self._texts}\n"})

    async def _commit(self, agent: Agent) -> None:
        """Commit as git does with the hook: check, then write; now and then it is stopped in between, for a while."""
        agent.is_stopped = False
        changes = await asyncio.to_thread(agent.repository.staged)
        if not changes:
            return
        found = self.is_guarded and await objections(
            self._claims, changes, scope=self.scope, committer=agent.committer, must_claim=self._must_claim
        )
        if found:
            self.refused += 1
            self.refused_late += any("was lost" in each for each in found)
            agent.tree.run("reset", "--quiet", "--hard")
            return
        if agent.granted and self.chance.random() < 0.2:
            agent.is_stopped = True
            await self._elapse(TTL_MS - 1_000)
            agent.is_stopped = False
        numbers = tuple(token.number for token in agent.committer.tokens.values())
        agent.tree.run("commit", "--quiet", "--no-verify", "--message", f"{agent.owner} {numbers}")
        held = [row for row in await self._ledger.held() if row.mode is Mode.EXCLUSIVE]
        paths = tuple(change.path for change in changes)
        holders = {path: row.owner for row in held for path in paths if path in MEANT[row.thing.name]}
        name = agent.tree.run("rev-parse", "HEAD").strip()
        self.commits.append(Commit(name, agent.owner, numbers, paths, holders, self._must_claim))

    async def _give_back(self, agent: Agent) -> None:
        agent.is_stopped = False
        if agent.granted:
            await self._conflicts.release(*agent.granted)
            agent.granted.clear()

    async def _stop(self, agent: Agent) -> None:
        """Stop it until it is its turn again, for longer than its lease."""
        agent.is_stopped = True
        await self._elapse(TTL_MS + SETTINGS.grace_ms + 1_000)

    async def _pass_time(self, _: Agent) -> None:
        await self._elapse(self.chance.randrange(TTL_MS))

    async def _elapse(self, duration: int) -> None:
        """Let time pass, in which whoever is not stopped renews."""
        step = TTL_MS // 3
        while duration > 0:
            awake = [agent.owner for agent in self.agents if not agent.is_stopped and agent.granted]
            if awake:
                await self._claims.renew(awake)
            await self._clock.advance(min(step, duration))
            duration -= step
