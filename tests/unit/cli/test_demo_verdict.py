"""The demo succeeds only if everything happened that it is there to show."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from examples.tickets.disputes import Disputes
from examples.tickets.growth import Growth
from examples.tickets.pools import Return
from examples.tickets.regression import Regression
from examples.tickets.relief import Relief
from examples.tickets.strike import Recovery
from examples.tickets.verdict import Verdict, result_of, why_failed
from tercio.api.conflicts.v1 import conflict_pb2
from tercio.api.scaling.v1.scaling_event_pb2 import Limit, ScalingEvent

GOOD = Verdict(
    solved=42,
    total=42,
    recovery=Recovery(agent="a", ticket="t", elsewhere="b", ready_after_ms=1, started_after_ms=2),
    relief=Relief(agent="a", ticket="t", elsewhere="b", found_after_ms=1, relieved_after_ms=2),
    disputes=Disputes(),
    returned=Return("a", "/trees/git_worktrees-1", 3),
    growth=Growth(first=2, most=9, last=2),
    whole=True,
    spent=1,
    regression=Regression(agent="a", revision=2, why="it fails", given_up_after_ms=1, works_after_ms=2),
)


def test_a_run_that_showed_everything_succeeds() -> None:
    assert (GOOD.exit_code, GOOD.shortfalls) == (0, [])


@pytest.mark.parametrize(
    ("lack", "said"),
    [
        ({"solved": 41}, "1 tickets were not solved"),
        ({"recovery": None}, "no agent was struck in the middle of a ticket that another then solved"),
        ({"relief": None}, "the deaf agent was not found and relieved of its ticket"),
        ({"regression": None}, "the bad configuration was not rolled back by itself"),
        ({"disputes": None}, "agents that disagree, and tickets that collide, were not settled"),
        (
            {"growth": Growth(first=2, most=2, last=2)},
            "the pools of agents did not grow under the tickets and shrink after them: "
            "2 agents, at most 2, 2 in the end; 0 decisions upwards and 0 downwards",
        ),
        ({"returned": None}, "what the killed agent held did not come back"),
        ({"whole": False}, "something is held in the end, or a worktree is not ready"),
        ({"spent": 0}, "no tokens were spent"),
    ],
    ids=[
        "a ticket",
        "the recovery",
        "the relief",
        "the rollback",
        "a conflict",
        "growth",
        "a grant",
        "a clean worktree",
        "tokens",
    ],
)
def test_whatever_is_missing_is_said_and_fails_the_demo(lack: dict[str, Any], said: str) -> None:
    verdict = replace(GOOD, **lack)
    assert (verdict.exit_code, verdict.shortfalls) == (1, [said])


async def test_what_failed_or_did_not_end_has_no_result() -> None:
    async def fail() -> str:
        raise ValueError("the revision is active")

    async def end() -> str:
        return "done"

    following = [asyncio.ensure_future(each) for each in (fail(), end(), asyncio.sleep(60, "late"))]
    await asyncio.wait(following[:2])
    following[2].cancel()
    await asyncio.gather(*following, return_exceptions=True)
    assert [result_of(each) for each in following] == [None, "done", None]
    assert why_failed(following) == ["ValueError: the revision is active"]


def conflict(kind: str, *, state: conflict_pb2.Conflict.State.ValueType) -> conflict_pb2.Conflict:
    analysis = conflict_pb2.Conflict.Analysis(type=kind, agent_ids=["a", "b"])
    return conflict_pb2.Conflict(
        conflict_id=kind, state=state, conflict_analysis=analysis, resolution_strategy="s", resolution="a goes first"
    )


def test_conflicts_are_told_when_they_are_found_and_when_they_end_and_once_each() -> None:
    seen, open_, resolved = Disputes(), conflict_pb2.Conflict.STATE_OPEN, conflict_pb2.Conflict.STATE_RESOLVED
    for kind in ("technical_disagreement", "priority_conflict"):
        assert not seen.is_settled
        assert seen.note(conflict(kind, state=open_)) == f"conflict found: {kind} between a and b"
        assert seen.note(conflict(kind, state=open_)) == ""
        assert seen.note(conflict(kind, state=resolved)).endswith("by s: a goes first")
        assert seen.note(conflict(kind, state=resolved)) == ""
    assert seen.is_settled
    assert str(seen) == "2 of 2: technical_disagreement by s, priority_conflict by s"


def test_events_of_scaling_are_told_once_with_the_reason_and_what_limited_them() -> None:
    growth = Growth(first=2, most=5, last=2)
    up = ScalingEvent(
        event_id="coders/2",
        pool_id="coders",
        kind=ScalingEvent.KIND_SCALED_UP,
        before_count=1,
        after_count=4,
        rule="queue_depth",
        reason="8 tasks wait",
        limits=[Limit(name="step", agent_count=4)],
    )
    told = "coders scaled up from 1 to 4 by queue_depth: 8 tasks wait; limited by step"
    assert growth.note(up) == told
    assert growth.note(up) == ""
    assert growth.note(ScalingEvent(event_id="coders/1", kind=ScalingEvent.KIND_APPLIED)) == ""
    assert growth.is_shown
    assert str(growth) == "2 agents, at most 5, 2 in the end; 1 decisions upwards and 0 downwards"
    growth.note(ScalingEvent(event_id="coders/3", pool_id="coders", kind=ScalingEvent.KIND_WRONG_AGENT_LEFT))
    assert not growth.is_shown
