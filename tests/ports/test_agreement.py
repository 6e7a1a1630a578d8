"""Memory, SQLite and etcd answer alike, step by step, whatever is asked in whatever order."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from support.etcd_server import EtcdServer
from tercio_common.clock import SystemClock
from tercio_common.election.port import Election, Leadership
from tercio_common.errors import TercioError
from tercio_common.etcd_client.settings import EtcdSettings
from tercio_common.journal.memory import MemoryStore
from tercio_common.journal.port import Journal, SnapshotId, SnapshotPointer
from tercio_common.journal.sqlite import SqliteStore
from tercio_common.journal.store import EtcdStore, Store

# A lease must not end because one of the three is slow.
_TTL_MS = 60_000

NUMBERS = st.integers(1, 8)
VALUES = st.sampled_from([b"", b"a", b"b" * 40])
TERMS = st.integers(0, 3)

_services = (f"agreement-{number}" for number in itertools.count())


class Subject:
    """One store, and the terms that were won in it; numbers of epochs differ between stores, their order does not."""

    def __init__(self, store: Store, service: str) -> None:
        self.journal: Journal = store.journal(service)
        self.election: Election = store.election(service)
        self.terms: list[Leadership] = []

    async def take_over(self) -> None:
        if self.terms:
            await self.election.resign(self.terms[-1])
        self.terms.append(await self.election.campaign("here:1"))

    def term(self, back: int) -> Leadership:
        """Return the present term, or one so many terms back."""
        return self.terms[max(0, len(self.terms) - 1 - back)]

    def pointer(self, segment: int, back: int) -> SnapshotPointer:
        return SnapshotPointer(SnapshotId(self.term(back).epoch, segment), segment, 1, 2, chunk_count=1, size_bytes=3)


async def outcome(answer: Awaitable[Any]) -> Any:
    try:
        return await answer
    except TercioError as error:
        return type(error)


class Agreement(RuleBasedStateMachine):
    """Asks every store the same."""

    run: Callable[[Awaitable[Any]], Any]
    stores: list[Store]

    @initialize()
    def begin(self) -> None:
        service = next(_services)
        self.subjects = [Subject(store, service) for store in self.stores]
        self.next_number = 1
        self.take_over()

    def all_agree(self, question: Callable[[Subject], Awaitable[Any]]) -> Any:
        async def ask() -> list[Any]:
            return [await outcome(question(subject)) for subject in self.subjects]

        answers = self.run(ask())
        assert all(answer == answers[0] for answer in answers), answers
        return answers[0]

    @rule()
    def take_over(self) -> None:
        self.all_agree(lambda subject: subject.take_over())

    @rule(value=VALUES)
    def append_the_next(self, value: bytes) -> None:
        number = self.next_number
        answer = self.all_agree(lambda s: s.journal.append(number, value, epoch=s.term(0).epoch))
        self.next_number += answer is None

    @rule(number=NUMBERS, value=VALUES, back=TERMS)
    def append_anything(self, number: int, value: bytes, back: int) -> None:
        self.all_agree(lambda s: s.journal.append(number, value, epoch=s.term(back).epoch))

    @rule(after=st.integers(0, 9), max_bytes=st.sampled_from([1, 50, 4 << 20]))
    def read(self, after: int, max_bytes: int) -> None:
        self.all_agree(lambda s: s.journal.read(after, fence=s.term(0).epoch, max_bytes=max_bytes))

    @rule(segment=NUMBERS, index=st.integers(0, 2), data=VALUES, back=TERMS)
    def write_chunk(self, segment: int, index: int, data: bytes, back: int) -> None:
        self.all_agree(
            lambda s: s.journal.write_chunk(s.pointer(segment, back).id, index, data, epoch=s.term(back).epoch)
        )

    @rule(segment=NUMBERS, index=st.integers(0, 2), back=TERMS)
    def read_chunk(self, segment: int, index: int, back: int) -> None:
        self.all_agree(lambda s: s.journal.read_chunk(s.pointer(segment, back).id, index))

    @rule(segment=NUMBERS, back=TERMS)
    def publish(self, segment: int, back: int) -> None:
        self.all_agree(lambda s: s.journal.publish(s.pointer(segment, back), epoch=s.term(back).epoch))
        self.all_agree(_covered)

    @rule(back=TERMS)
    def delete_orphans(self, back: int) -> None:
        self.all_agree(lambda s: s.journal.delete_orphans(epoch=s.term(back).epoch))

    @rule(through=st.integers(0, 9), limit=st.integers(1, 4))
    def truncate(self, through: int, limit: int) -> None:
        self.all_agree(lambda s: s.journal.truncate(through, limit=limit))

    @rule(number=NUMBERS, data=VALUES, back=TERMS)
    def write_audit(self, number: int, data: bytes, back: int) -> None:
        self.all_agree(lambda s: s.journal.write_audit(number, data, epoch=s.term(back).epoch))

    @rule(after=st.integers(0, 9), limit=st.integers(1, 4))
    def read_audit(self, after: int, limit: int) -> None:
        self.all_agree(lambda s: s.journal.read_audit(after, limit=limit))

    @rule(through=st.integers(0, 9), back=TERMS)
    def trim_audit(self, through: int, back: int) -> None:
        self.all_agree(lambda s: s.journal.trim_audit(through, epoch=s.term(back).epoch))

    @rule(back=TERMS)
    def renew(self, back: int) -> None:
        self.all_agree(lambda s: s.election.renew(s.term(back)))

    @rule()
    def resign(self) -> None:
        self.all_agree(lambda s: s.election.resign(s.term(0)))

    @precondition(lambda self: len(self.subjects[0].terms) < 6)
    @rule()
    def raise_generation(self) -> None:
        self.all_agree(lambda s: s.election.raise_generation())

    def teardown(self) -> None:
        if hasattr(self, "subjects"):
            self.all_agree(lambda s: s.election.resign(s.term(0)))


async def _covered(subject: Subject) -> int:
    pointer = await subject.journal.pointer()
    return pointer.segment if pointer else 0


@pytest.fixture
def stores(etcd_server: EtcdServer, tmp_path: Path) -> Iterator[tuple[asyncio.Runner, list[Store]]]:
    clock = SystemClock()
    reach = EtcdSettings(endpoints=tuple(etcd_server.endpoints))
    with asyncio.Runner() as runner:
        every: list[Store] = [
            MemoryStore(clock=clock, ttl_ms=_TTL_MS),
            SqliteStore(tmp_path / "tercio.db", clock=clock, ttl_ms=_TTL_MS),
            EtcdStore(reach, clock=clock, ttl_ms=_TTL_MS, prefix="agreement"),
        ]
        yield runner, every
        for store in every:
            runner.run(store.close())


def test_every_store_gives_the_same_answers(stores: tuple[asyncio.Runner, list[Store]]) -> None:
    runner, every = stores

    class Bound(Agreement):
        run = staticmethod(runner.run)
        stores = every

    run_state_machine_as_test(
        Bound,
        settings=settings(
            max_examples=25,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
