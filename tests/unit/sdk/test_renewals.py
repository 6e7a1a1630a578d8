"""Leases of a client: renewed together, and given up before they can end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Mapping

import grpc
import pytest

from tercio.renewals import Renewals, margin_s
from tercio.rpc.errors import UnavailableError
from tercio_common.testing.eventually import eventually


class Service:
    """Notes who is renewed, and answers as it is told."""

    def __init__(self) -> None:
        self.calls: list[dict[str, int]] = []
        self.unknown: set[str] = set()
        self.answers = True

    async def renew(self, owners: Mapping[str, int], timeout_s: float) -> Collection[str]:
        self.calls.append(dict(owners))
        if not self.answers:
            raise UnavailableError("nobody answers", code=grpc.StatusCode.UNAVAILABLE)
        return self.unknown


@pytest.fixture
def service() -> Service:
    return Service()


async def test_all_leases_are_renewed_by_one_call_while_there_are_any(service: Service) -> None:
    renewals = Renewals(service.renew)
    leases = [renewals.begin(owner, ttl_s=0.3, since=time.monotonic()) for owner in ("b", "a", "b")]
    await eventually(lambda: len(service.calls) >= 5)
    assert service.calls[0] == {"a": 1, "b": 2}
    assert not any(lease.lost.is_set() for lease in leases)
    for lease in leases:
        await renewals.end(lease)
    assert len(asyncio.all_tasks()) == 1


async def test_a_lease_that_nobody_renews_is_lost_a_margin_before_its_end(service: Service) -> None:
    service.answers = False
    renewals = Renewals(service.renew)
    began = time.monotonic()
    lease = renewals.begin("a", ttl_s=0.5, since=began)
    await lease.lost.wait()
    assert time.monotonic() - began >= 0.5 - margin_s(0.5)
    assert len(service.calls) > 1
    await renewals.end(lease)


async def test_an_owner_that_holds_nothing_has_lost_its_lease_and_others_have_not(service: Service) -> None:
    service.unknown = {"a"}
    renewals = Renewals(service.renew)
    lost, kept = (renewals.begin(owner, ttl_s=0.2, since=time.monotonic()) for owner in ("a", "b"))
    await lost.lost.wait()
    await eventually(lambda: service.calls[-1] == {"b": 1})
    assert not kept.lost.is_set()
    for lease in (lost, kept):
        await renewals.end(lease)


async def test_an_answer_that_came_too_late_brings_a_lease_that_is_lost_already(service: Service) -> None:
    renewals = Renewals(service.renew)
    lease = renewals.begin("a", ttl_s=1, since=time.monotonic() - 0.9)
    assert lease.lost.is_set()
    lease.confirm(time.monotonic())
    assert lease.lost.is_set()
    await renewals.end(lease)


async def test_a_shorter_lease_that_comes_later_is_renewed_in_its_own_time(service: Service) -> None:
    renewals = Renewals(service.renew)
    long = renewals.begin("long", ttl_s=3600, since=time.monotonic())
    await asyncio.sleep(0)
    short = renewals.begin("short", ttl_s=0.15, since=time.monotonic())
    await eventually(lambda: len(service.calls) >= 2)
    assert service.calls[0] == {"long": 1, "short": 1}
    for lease in (long, short):
        await renewals.end(lease)


async def test_a_limit_ends_a_lease_however_it_is_renewed(service: Service) -> None:
    renewals = Renewals(service.renew)
    lease = renewals.begin("a", ttl_s=3600, since=time.monotonic())
    assert lease.left_s > 3000
    lease.limit(0.2)
    lease.confirm(time.monotonic())
    await lease.lost.wait()
    assert lease.left_s < 0.2
    await renewals.end(lease)
