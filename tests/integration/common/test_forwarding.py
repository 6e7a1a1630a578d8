"""Any replica answers: what a follower does with a call, over real gRPC between two or three servers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue

from support.edge import CARDINALITIES, ECHO, METHODS, TOKEN, Context, Edge, failure_of, running_edge
from tercio_common.clock import SystemClock
from tercio_common.errors import Refusal
from tercio_common.rpc import incoming, principal
from tercio_common.rpc.interceptors.deadlines import remaining_ms
from tercio_common.rpc.metadata import text_values
from tercio_common.testing.eventually import eventually

STREAMS = [method for method in METHODS if method != "One"]


@dataclass(frozen=True, slots=True)
class Pair:
    leader: Edge
    follower: Edge


@pytest.fixture(params=["", TOKEN], ids=["loopback", "token"])
async def pair(request: pytest.FixtureRequest) -> AsyncIterator[Pair]:
    async with running_edge(replica_token=request.param) as leader, running_edge(
        replica_token=request.param
    ) as follower:  # fmt: skip
        follower.host.follow(leader.address)
        yield Pair(leader, follower)


@pytest.mark.parametrize("method", METHODS)
async def test_a_follower_gives_the_leaders_answer_and_its_address(pair: Pair, method: str) -> None:
    async def shout(text: str, context: Context) -> str:
        return text.upper()

    pair.leader.echo.answer = shout
    call = pair.follower.client.start(method, "a")
    replies = [one async for one in call] if CARDINALITIES[method].endswith("stream") else [await call]
    assert replies[0].value == "A"
    assert dict(await call.initial_metadata())["tercio-leader"] == pair.leader.address
    assert pair.follower.echo.contexts == []


async def test_both_directions_of_a_stream_are_passed_on_as_they_come(pair: Pair) -> None:
    stub = pair.follower.client.channel.stream_stream(
        f"/{ECHO}/Chat", StringValue.SerializeToString, StringValue.FromString
    )
    call = stub()
    for text in ("one", "two", "three"):
        await call.write(StringValue(value=text))
        assert (await call.read()).value == text
    await call.done_writing()
    assert await call.read() is grpc.aio.EOF


async def test_a_client_that_leaves_ends_the_stream_at_the_leader_too(pair: Pair) -> None:
    ended = asyncio.Event()

    async def wait(text: str, context: Context) -> str:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return text

    pair.leader.echo.answer = wait
    call = pair.follower.client.start("Many", "x")
    await eventually(lambda: pair.leader.echo.contexts)
    call.cancel()
    await asyncio.wait_for(ended.wait(), 5)


@pytest.mark.parametrize("method", METHODS)
async def test_the_leaders_refusal_comes_back_unchanged(pair: Pair, method: str) -> None:
    async def refuse(text: str, context: Context) -> str:
        raise Refusal("TASK_NOT_FOUND", "no such task", {"task": "t"}, retry_after_ms=70)

    pair.leader.echo.answer = refuse
    direct = await failure_of(pair.leader.client.ask(method, "x"))
    forwarded = await failure_of(pair.follower.client.ask(method, "x"))
    assert (forwarded.code, forwarded.message) == (direct.code, direct.message)
    assert forwarded.trailing["grpc-status-details-bin"] == direct.trailing["grpc-status-details-bin"]
    assert set(forwarded.trailing) == set(direct.trailing)


async def test_trailing_metadata_of_the_leader_comes_back(pair: Pair) -> None:
    async def mark(text: str, context: Context) -> str:
        context.set_trailing_metadata((("tercio-mark", text),))
        return text

    pair.leader.echo.answer = mark
    call = pair.follower.client.start("One", "x")
    await call
    trailing = list(await call.trailing_metadata())
    assert dict(trailing)["tercio-mark"] == "x"
    assert sorted(key for key, _ in trailing) == ["tercio-duration-ms", "tercio-mark", "tercio-request-id"]


@pytest.mark.parametrize("method", METHODS)
async def test_the_leader_sees_caller_age_request_id_and_deadline(pair: Pair, method: str) -> None:
    seen: list[tuple[str, str, str, str]] = []
    left: list[int] = []

    async def look(text: str, context: Context) -> str:
        values = text_values(context.invocation_metadata())
        seen.append((principal.current(), values["tercio-hop"], values["tercio-age-ms"], incoming.current().request_id))
        left.append(remaining_ms(SystemClock()) or 0)
        return text

    pair.leader.echo.answer = look
    given = (("tercio-age-ms", "5"), ("tercio-request-id", "my-call"))
    await pair.follower.client.ask(method, "x", metadata=given, timeout=5)
    assert seen[0] == ("local", "1", "5", "my-call")
    assert 3_000 < left[0] <= 5_000  # gRPC rounds each hop up, by 10 ms from one second on


@pytest.mark.parametrize("method", STREAMS)
async def test_a_client_that_follows_the_leader_gets_its_address_instead_of_a_stream(pair: Pair, method: str) -> None:
    failed = await failure_of(pair.follower.client.ask(method, "x", metadata=(("tercio-follow", "1"),)))
    assert (failed.code, failed.reason) == (grpc.StatusCode.UNAVAILABLE, "NOT_LEADER")
    assert failed.metadata == {"leader": pair.leader.address}


async def test_its_unary_calls_are_forwarded_all_the_same(pair: Pair) -> None:
    assert await pair.follower.client.ask("One", "x", metadata=(("tercio-follow", "1"),)) == ["x"]


@pytest.mark.parametrize("method", METHODS)
async def test_a_call_is_not_forwarded_twice(pair: Pair, method: str) -> None:
    pair.leader.host.follow(pair.follower.address)
    failed = await failure_of(pair.follower.client.ask(method, "x"))
    assert (failed.code, failed.reason) == (grpc.StatusCode.UNAVAILABLE, "FORWARDING_LOOP")


@pytest.mark.parametrize("method", METHODS)
async def test_without_a_leader_the_client_is_told_when_to_try_again(edge: Edge, method: str) -> None:
    edge.host.lose_leader()
    failed = await failure_of(edge.client.ask(method, "x", metadata=(("tercio-follow", "1"),)))
    assert (failed.code, failed.reason) == (grpc.StatusCode.UNAVAILABLE, "NO_LEADER")
    assert failed.retry_after_ms == 500


async def test_a_replica_that_was_elected_but_does_not_lead_yet_has_no_leader(edge: Edge) -> None:
    edge.host.follow(edge.address)
    assert (await failure_of(edge.client.ask("One", "x"))).reason == "NO_LEADER"


@pytest.mark.parametrize("method", METHODS)
async def test_a_leader_that_does_not_answer_is_an_unknown_outcome(edge: Edge, method: str) -> None:
    edge.host.follow("127.0.0.1:1")
    failed = await failure_of(edge.client.ask(method, "x"))
    assert (failed.code, failed.reason) == (grpc.StatusCode.UNAVAILABLE, "OUTCOME_UNKNOWN")
    assert "127.0.0.1:1" in failed.message


async def test_a_late_leader_is_reported_before_the_callers_deadline(pair: Pair) -> None:
    async def wait(text: str, context: Context) -> str:
        await asyncio.Event().wait()
        return text

    pair.leader.echo.answer = wait
    # The reserve is 20 ms, which a busy test machine can eat: then the client's own timer is first.
    failed = await failure_of(pair.follower.client.ask("One", "x", timeout=0.4))
    assert failed.reason in {"OUTCOME_UNKNOWN", ""}


async def test_bytes_that_are_no_message_are_refused_by_the_leader(pair: Pair) -> None:
    failed = await failure_of(pair.follower.client.ask("One", b"\xff\xff"))
    assert (failed.code, failed.reason) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_ARGUMENT")


async def test_after_a_change_of_leader_calls_go_to_the_new_one(pair: Pair) -> None:
    async def name_new(text: str, context: Context) -> str:
        return "new"

    assert await pair.follower.client.ask("One", "old") == ["old"]
    pair.leader.host.follow(pair.follower.address)
    pair.follower.host.leading = True
    pair.follower.echo.answer = name_new
    assert await pair.follower.client.ask("One", "old") == ["new"]
    assert await pair.leader.client.ask("One", "old") == ["new"]


@pytest.mark.parametrize("method", METHODS)
async def test_a_call_that_a_stopped_leader_holds_ends_when_another_one_leads(pair: Pair, method: str) -> None:
    asked = asyncio.Event()

    async def wait(text: str, context: Context) -> str:
        asked.set()
        await asyncio.Event().wait()
        return text

    pair.leader.echo.answer = wait
    failing = asyncio.ensure_future(failure_of(pair.follower.client.ask(method, "x", timeout=60)))
    await asked.wait()
    pair.follower.host.follow("127.0.0.1:1")
    failed = await asyncio.wait_for(failing, 10)
    assert (failed.code, failed.reason) == (grpc.StatusCode.UNAVAILABLE, "OUTCOME_UNKNOWN")
