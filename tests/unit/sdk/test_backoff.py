from __future__ import annotations

import random

import grpc
import pytest

from tercio.rpc.backoff import RETRYABLE_REASONS, Backoff, is_retryable
from tercio.rpc.channels import Channels, Reconnect, Route
from tercio.rpc.errors import CallError, UnavailableError, call_error


def unavailable(reason: str = "", **metadata: str) -> CallError:
    return call_error("", code=grpc.StatusCode.UNAVAILABLE, reason=reason, metadata=metadata)


def route(*addresses: str) -> Route:
    return Route(Channels(), addresses)


def test_waits_double_up_to_their_maximum_and_are_jittered(seed: int) -> None:
    backoff = Backoff(initial_ms=100, maximum_ms=1_000, source=random.Random(seed))
    for bound in (100, 200, 400, 800, 1_000, 1_000):
        assert bound / 2 <= backoff.next_ms() <= bound
    backoff.reset()
    assert backoff.next_ms() <= 100


def test_a_server_that_says_when_to_come_back_is_obeyed() -> None:
    assert Backoff(initial_ms=10).next_ms(at_least_ms=5_000) == 5_000


@pytest.mark.parametrize("reason", sorted(RETRYABLE_REASONS))
def test_reasons_of_the_table_are_retried(reason: str) -> None:
    assert is_retryable(unavailable(reason))


@pytest.mark.parametrize("reason", ["INVALID_ARGUMENT", "TASK_ID_REUSED", "REQUEST_TOO_OLD", "QUEUE_FULL", "INTERNAL"])
def test_other_reasons_are_not_retried(reason: str) -> None:
    assert not is_retryable(unavailable(reason))


def test_a_lost_connection_is_retried_and_a_plain_internal_error_is_not() -> None:
    assert is_retryable(unavailable())
    assert not is_retryable(call_error("", code=grpc.StatusCode.INTERNAL))


def test_a_named_leader_is_followed_at_once_and_left_when_it_fails() -> None:
    here = route("a:1", "b:1")
    assert here.advance(unavailable("NOT_LEADER", leader="c:1"), tried="a:1")
    assert here.address == "c:1"
    assert not here.advance(unavailable(), tried="c:1")
    assert here.address == "a:1"


def test_addresses_are_tried_in_turn() -> None:
    here = route("a:1", "b:1")
    tried = []
    for _ in range(3):
        tried.append(here.address)
        here.advance(unavailable(), tried=here.address)
    assert tried == ["a:1", "b:1", "a:1"]


def test_calls_that_fail_together_move_the_route_once() -> None:
    here = route("a:1", "b:1", "c:1")
    for _ in range(5):
        here.advance(unavailable(), tried="a:1")
    assert here.address == "b:1"


def test_the_replica_that_ended_a_session_is_asked_again() -> None:
    here = route("a:1", "b:1")
    assert not here.advance(unavailable("SESSION_EXPIRED"), tried="a:1")
    assert here.address == "a:1"


def test_replicas_that_name_each_other_are_not_followed_in_circles_without_a_wait() -> None:
    here = route("a:1")
    reconnect = Reconnect(here, Backoff(initial_ms=100))
    assert reconnect.wait_ms(unavailable("NOT_LEADER", leader="b:1")) == 0
    assert reconnect.wait_ms(unavailable("NOT_LEADER", leader="a:1")) >= 50
    assert reconnect.wait_ms(unavailable("NOT_LEADER", leader="b:1")) == 0


def test_the_class_follows_the_status() -> None:
    assert isinstance(unavailable(), UnavailableError)
