"""No change of an agent is lost or doubled: whoever folds a watch ends with what a list shows, whatever happened.

Real gRPC, real feed and journal, on time that the test moves. Readers with several filters go away and come back, from
within the ring and from before it, while leaders change.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence
from typing import Any

import grpc
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.registry_feed import SELECTIONS, Fleet, Outcome
from tercio.api.registry.v1 import audit_service_pb2
from tercio.api.registry.v1.audit_service_pb2_grpc import AuditServiceStub
from tercio_common.journal.requests import Requests
from tercio_registry.api import watching
from tercio_registry.cursors import Position, decode_position

Step = tuple[Any, ...]

agents = st.sampled_from(["a", "b", "c"])
readers = st.sampled_from(sorted(SELECTIONS))
results = st.sampled_from([Outcome.RESULT_SUCCEEDED, Outcome.RESULT_FAILED, Outcome.RESULT_EXPIRED])


def does(name: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Step]:
    return st.tuples(st.just(name), *arguments)


STEPS = st.one_of(
    does("register", agents, st.booleans(), st.sampled_from(["a", "b"])),
    does("beat", agents, st.booleans()),
    does("wait", st.integers(1, 4_000)),
    does("answer", results),
    does("configure", agents),
    does("cordon", agents, st.booleans()),
    does("drain", agents),
    does("deregister", agents),
    does("leave", agents),
    does("take_over"),
    does("pause", readers),
    does("resume", readers),
)


async def run(steps: Sequence[Step]) -> Fleet:
    """Do all of this, checking every watch after each step; readers that are away come back in the end."""
    async with Fleet() as fleet:
        for name, *arguments in [("register", "a", True, "b"), *steps]:
            await fleet.step(name, *arguments)
        fleet.paused.clear()
        await fleet.step("wait", 1)
        await every_change_was_audited_once(fleet)
        return fleet


async def every_change_was_audited_once(fleet: Fleet) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{fleet.registry.port}") as channel:
        stub, token, found = AuditServiceStub(channel), "", Counter[str]()
        while True:
            request = audit_service_pb2.ListAuditEventsRequest(page_size=100, page_token=token)
            page = await stub.ListAuditEvents(request)
            found.update(event.request_id for event in page.events if event.request_id.startswith("request-"))
            if not (token := page.next_page_token):
                break
    assert found == Counter(fleet.changed), "not audited once each"
    assert Counter(each for each in fleet.ledger.requests if each.startswith("request-")) == found


@pytest.mark.timeout(300)
@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(STEPS, max_size=25))
async def test_a_folded_watch_is_what_a_list_shows_and_each_change_is_audited_once(steps: list[Step]) -> None:
    await run(steps)


EVERYTHING: tuple[Step, ...] = (
    ("register", "b", True, "b"),
    ("pause", "zone b"),
    ("beat", "b", True),
    ("register", "b", True, "a"),
    ("wait", 3_500),
    ("take_over",),
    ("resume", "zone b"),
    ("register", "b", False, "b"),
    ("pause", "everybody"),
    ("cordon", "b", True),
    ("resume", "everybody"),
    ("leave", "b"),
    ("wait", 2_500),
    ("deregister", "a"),
    ("wait", 4_000),
    ("wait", 4_000),
)


async def test_a_run_that_has_all_of_it_holds_and_outlasts_the_ring() -> None:
    waits = [
        ("pause", "off duty"),
        *[("cordon", "a", bool(number % 2)) for number in range(20)],
        ("resume", "off duty"),
    ]
    fleet = await run([*EVERYTHING, ("register", "a", True, "a"), *waits])
    assert fleet.followers["off duty"].lists == 2, "it was told that its cursor is too old"
    assert fleet.followers["everybody"].lists == 1
    assert await fleet.store.journal("registry").pointer() is not None, "a snapshot was taken"


def off_by_one(decode: Any, by: int, text: str) -> Position:
    seq, offset = decode(text)
    return Position(max(0, seq + by), offset)


def show_only_matches(reader: Any, _agent_id: str, row: Any) -> bool:
    return row is not None and reader._matches(row)


@pytest.mark.parametrize(
    ("what", "instead", "complaint"),
    [
        pytest.param(
            (watching, "decode_position"),
            functools.partial(off_by_one, decode_position, -1),
            "or again",
            id="a cursor that is one too low",
        ),
        pytest.param(
            (watching._Reader, "_is_to_be_shown"),
            show_only_matches,
            "not what a list",
            id="who stops matching is not shown",
        ),
        pytest.param(
            (watching, "decode_position"),
            functools.partial(off_by_one, decode_position, 1),
            "left out",
            id="a cursor that is one too high",
        ),
        pytest.param((Requests, "find"), lambda *_, **__: None, "audited once", id="a retry is carried out again"),
    ],
)
async def test_a_watch_that_loses_or_doubles_a_change_would_be_found_out(
    monkeypatch: pytest.MonkeyPatch, what: tuple[Any, str], instead: Any, complaint: str
) -> None:
    monkeypatch.setattr(*what, instead)
    with pytest.raises(AssertionError, match=complaint):
        await run(EVERYTHING)
