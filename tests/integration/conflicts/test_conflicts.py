"""Conflicts over real gRPC: found, ended by strategies, by agents, by the scheduler and by people, and watched."""

from __future__ import annotations

import json

import grpc
import pytest

from support.conflicts import INTENT, running_conflicts
from support.disputes import ESCALATED, RESOLVED, RESOLVING, Disputes, disputes_of
from support.refusals import reason_of_call
from tercio.api.conflicts.v1 import conflict_pb2, severity_pb2
from tercio.api.conflicts.v1 import conflict_service_pb2 as pb
from tercio_common.journal.memory import MemoryStore
from tercio_common.testing.manual_clock import ManualClock
from tercio_conflicts.dispute_settings import DisputeSettings
from tercio_conflicts.settings import ConflictsSettings
from tercio_conflicts.state.resolutions.queue_access import QueueAccess

Work, Action = conflict_pb2.Work, conflict_pb2.Action
ASKS = ConflictsSettings(disputes=DisputeSettings(architects=("zoe",)))


async def disagree(disputes: Disputes) -> tuple[int, int]:
    """Let two agents contradict each other; return their decisions."""
    first = await disputes.decide("ada", "database", "Use PostgreSQL", "orders")
    second = await disputes.decide("bert", "database", "Use MongoDB", "orders")
    return first.decision_ids[0], second.decision_ids[0]


async def test_a_disagreement_is_quoted_and_classified(disputes: Disputes) -> None:
    await disagree(disputes)
    (conflict,) = await disputes.until(ESCALATED)
    analysis = conflict.conflict_analysis
    assert (analysis.type, list(analysis.agent_ids)) == ("technical_disagreement", ["ada", "bert"])
    assert analysis.severity == severity_pb2.SEVERITY_CRITICAL
    assert analysis.context["contradiction_type"] == "exclusive_choices"
    assert [each.choice for each in analysis.decisions] == ["Use PostgreSQL", "Use MongoDB"]
    assert conflict.conflict_id.startswith("technical_conflict_")
    assert [each.strategy for each in conflict.resolution_execution] == [
        "established_pattern",
        "architect_authority",
        "research_consultation",
    ]
    assert conflict.escalation.reason == "no strategy ended it"


async def test_an_architect_is_asked_and_the_answer_ends_it(store: MemoryStore, clock: ManualClock) -> None:
    async with running_conflicts(store, clock=clock, settings=ASKS) as claims, disputes_of(claims) as disputes:
        _, other = await disagree(disputes)
        (conflict,) = await disputes.until(RESOLVING)
        (task,) = await disputes.asked()
        assert (task.target_agent_id, task.kind) == ("zoe", "tercio.decide")
        assert json.loads(task.input)["conflict_id"] == conflict.conflict_id
        assert await disputes.answer(other, [task]) == []
        (ended,) = await disputes.until(RESOLVED)
        assert ended.resolution_strategy == "architect_authority"
        assert ended.resolution_validation == "it is not seen any more"
        assert ended.prevention_measures
        assert [each.standing for each in ended.conflict_analysis.decisions] == [2, 1]
        assert await disputes.answer(other, [task]) == [task.system_task_id]
        (pattern,) = (await disputes.conflicts.ListPatterns(pb.ListPatternsRequest())).patterns
        assert (pattern.resolution_strategy, pattern.success_rate) == ("architect_authority", 1)
        request = pb.ListPatternsRequest(conflict_id=conflict.conflict_id)
        (pattern,) = (await disputes.conflicts.ListPatterns(request)).patterns
        assert pattern.context_similarity == 1


async def test_the_scheduler_carries_out_what_is_asked_for(disputes: Disputes) -> None:
    low = Work(task_id="low", agent_id="ada", priority=1)
    high = Work(task_id="high", agent_id="bert", priority=8, waits_for=["low"], business_value=9)
    await disputes.work(low, high)
    await disputes.until(RESOLVING)
    (action,) = await disputes.actions()
    assert (action.kind, action.task_id, action.priority) == (Action.KIND_BOOST_PRIORITY, "low", 8)
    assert await disputes.report(action) == []
    assert await disputes.report(action) == [action.action_id]
    low.priority = 8
    await disputes.work(low, high)
    (conflict,) = await disputes.until(RESOLVED)
    assert conflict.resolution_strategy == "business_impact"


async def test_what_the_scheduler_refuses_leads_to_the_next_strategy(disputes: Disputes) -> None:
    works = [Work(task_id="t", agent_id=agent) for agent in ("ada", "bert")]
    await disputes.work(*works)
    (conflict,) = await disputes.until(RESOLVING)
    assert conflict.conflict_analysis.type == "agent_conflict"
    await disputes.report(*await disputes.actions(), done=False, message="it is done")
    (action,) = await disputes.actions()
    assert (action.kind, action.agent_id) == (Action.KIND_REVOKE, "ada")
    conflict = await disputes.get(conflict.conflict_id)
    assert [each.strategy for each in conflict.resolution_execution] == ["single_owner", "handover"]


async def test_two_who_mean_to_edit_one_file_are_put_in_order(disputes: Disputes) -> None:
    for owner in ("ada", "bert"):
        await disputes.claims.acquire(owner, "src/a.py", mode=INTENT)
    (conflict,) = await disputes.until(RESOLVING)
    (attempt,) = conflict.resolution_execution
    assert (attempt.strategy, list(attempt.access_order)) == ("queue_access", ["ada", "bert"])
    claim = next(each for each in await disputes.claims.listed() if each.owner == "bert")
    assert claim.asked_by == "ada"
    await disputes.claims.release(claim.claim_id)
    (ended,) = await disputes.until(RESOLVED)
    assert ended.resolution_strategy == "queue_access"


async def test_work_is_checked_before_it_is_assigned(disputes: Disputes) -> None:
    await disputes.work(Work(task_id="t1", agent_id="ada", files=["a.py"]))
    wanted = Work(task_id="t2", agent_id="bert", files=["a.py"])
    reply = await disputes.conflicts.CheckConflicts(pb.CheckConflictsRequest(work=[wanted]))
    (found,) = reply.conflicts
    assert list(found.conflict_analysis.agent_ids) == ["ada", "bert"]
    assert await disputes.listed() == []
    wanted.files[:] = ["b.py"]
    assert not (await disputes.conflicts.CheckConflicts(pb.CheckConflictsRequest(work=[wanted]))).conflicts


async def test_people_resolve_what_was_escalated(disputes: Disputes) -> None:
    one, _ = await disagree(disputes)
    (conflict,) = await disputes.until(ESCALATED)
    request = pb.ResolveConflictRequest(
        request_id="r", conflict_id=conflict.conflict_id, resolution="we know it well", prevailing_decision_id=one
    )
    reply = await disputes.conflicts.ResolveConflict(request)
    assert (reply.conflict.state, reply.conflict.resolution) == (RESOLVED, "we know it well")
    assert reply == await disputes.conflicts.ResolveConflict(request)
    request.request_id = "again"
    assert await reason_of_call(disputes.conflicts.ResolveConflict(request)) == "CONFLICT_STATE_CONFLICT"
    request.conflict_id = "another"
    assert await reason_of_call(disputes.conflicts.ResolveConflict(request)) == "CONFLICT_NOT_FOUND"


async def test_a_report_waits_for_the_end(store: MemoryStore, clock: ManualClock) -> None:
    async with running_conflicts(store, clock=clock, settings=ASKS) as claims, disputes_of(claims) as disputes:
        first = await disputes.decide("ada", "tone", "Write formally", "docs")
        second = await disputes.decide("bert", "tone", "As one speaks", "docs")
        request = pb.ReportConflictRequest(
            request_id="r",
            type="technical_disagreement",
            agent_ids=["ada", "bert"],
            decision_ids=[*first.decision_ids, *second.decision_ids],
        )
        request.wait_timeout.FromSeconds(600)
        call = disputes.conflicts.ReportConflict(request)
        await disputes.until(RESOLVING)
        await disputes.answer(first.decision_ids[0], await disputes.asked())
        conflict = (await call).conflict
        assert (conflict.state, conflict.resolution_strategy) == (RESOLVED, "architect_authority")
        assert conflict.conflict_analysis.reported_by


async def test_a_resolution_that_fails_unexpectedly_says_so(
    disputes: Disputes, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tercio_conflicts.state.resolutions.priority_boost import PriorityBoost
    from tercio_conflicts.state.resolutions.resource_splitting import ResourceSplitting

    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    for strategy in (QueueAccess, ResourceSplitting, PriorityBoost):
        monkeypatch.setattr(strategy, "plan", broken)
    request = pb.ReportConflictRequest(request_id="r", type="resource_contention", agent_ids=["ada"])
    request.wait_timeout.FromSeconds(600)
    assert await reason_of_call(disputes.conflicts.ReportConflict(request)) == "CONFLICT_RESOLUTION_EXCEPTION"
    (conflict,) = await disputes.until(ESCALATED)
    assert "a bug" in conflict.resolution_execution[0].message


async def test_a_watch_shows_every_step_and_resumes(disputes: Disputes) -> None:
    watch = disputes.conflicts.WatchConflicts(pb.WatchConflictsRequest())
    events = aiter(watch)
    cursor = (await anext(events)).cursor
    await disagree(disputes)
    states: list[int] = []
    while ESCALATED not in states:
        states += [each.state for each in (await anext(events)).conflicts]
    watch.cancel()
    again = aiter(disputes.conflicts.WatchConflicts(pb.WatchConflictsRequest(cursor=cursor)))
    replayed: list[int] = []
    while ESCALATED not in replayed:
        replayed += [each.state for each in (await anext(again)).conflicts]
    assert replayed == states


async def test_a_conflict_is_escalated_by_hand(disputes: Disputes) -> None:
    works = [Work(task_id="t", agent_id=agent) for agent in ("ada", "bert")]
    await disputes.work(*works)
    (conflict,) = await disputes.until(RESOLVING)
    request = pb.EscalateConflictRequest(request_id="r", conflict_id=conflict.conflict_id, reason="I want to see it")
    reply = await disputes.conflicts.EscalateConflict(request)
    assert reply.conflict.escalation.reason == "I want to see it"
    assert len(await disputes.listed("state = ESCALATED")) == 1
    assert await disputes.listed('type = "nothing"') == []


async def test_nothing_is_lost_in_a_take_over(store: MemoryStore, clock: ManualClock) -> None:
    async with running_conflicts(store, clock=clock, settings=ASKS) as claims, disputes_of(claims) as disputes:
        _, other = await disagree(disputes)
        await disputes.until(RESOLVING)
    async with running_conflicts(store, clock=clock, settings=ASKS) as claims, disputes_of(claims) as disputes:
        await disputes.answer(other, await disputes.asked())
        (ended,) = await disputes.until(RESOLVED)
        assert ended.resolution_strategy == "architect_authority"


@pytest.mark.parametrize(
    "request_",
    [
        pytest.param(pb.ReportWorkRequest(), id="nobody reports"),
        pytest.param(pb.ReportWorkRequest(reporter="r", work=[Work(task_id="t", priority=10)]), id="priority"),
        pytest.param(pb.ReportWorkRequest(reporter="r", work=[Work()]), id="no task"),
        pytest.param(pb.ReportWorkRequest(reporter="r", capacities={"cpu": -1}), id="less than nothing"),
    ],
)
async def test_what_is_no_report_is_refused(disputes: Disputes, request_: pb.ReportWorkRequest) -> None:
    assert await reason_of_call(disputes.conflicts.ReportWork(request_)) == "INVALID_ARGUMENT"


async def test_all_that_is_wrong_with_a_report_is_told_at_once(disputes: Disputes) -> None:
    request = pb.ReportConflictRequest(request_id="r", type="no type", claim_ids=range(101))
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await disputes.conflicts.ReportConflict(request)
    assert "2 more" in str(caught.value.details())
