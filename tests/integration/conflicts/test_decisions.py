"""Decisions over real gRPC: recorded once, compared, superseded, withdrawn, and judged by families that are added."""

from __future__ import annotations

import pytest

from support.disputes import ESCALATED, RESOLVED, Disputes
from support.refusals import reason_of_call
from tercio.api.conflicts.v1 import decision_pb2
from tercio.api.conflicts.v1 import decision_service_pb2 as pb


async def test_who_posts_is_told_at_once_what_contradicts_it(disputes: Disputes) -> None:
    first = await disputes.decide("ada", "database", "Use PostgreSQL", "orders", rationale="transactions")
    assert list(first.contradictions) == []
    second = await disputes.decide("bert", "database", "Go with MongoDB", "orders")
    (found,) = second.contradictions
    assert (found.one.agent_id, found.other.agent_id, found.family) == ("ada", "bert", "database")
    assert found.type == decision_pb2.Contradiction.TYPE_EXCLUSIVE_CHOICES
    assert found.one.rationale == "transactions"


async def test_a_retry_records_nothing_twice(disputes: Disputes) -> None:
    decision = decision_pb2.Decision(agent_id="ada", subject="x", choice="y", confidence=1)
    request = pb.PostDecisionsRequest(request_id="same", decisions=[decision])
    replies = [await disputes.decisions.PostDecisions(request) for _ in range(2)]
    assert replies[0] == replies[1]
    assert len((await disputes.decisions.ListDecisions(pb.ListDecisionsRequest())).decisions) == 1


async def test_a_dry_run_records_nothing(disputes: Disputes) -> None:
    await disputes.decide("ada", "language", "Go", "api")
    decision = decision_pb2.Decision(agent_id="bert", subject="language", choice="Rust", scope="api", confidence=1)
    reply = await disputes.decisions.CheckDecision(pb.CheckDecisionRequest(decision=decision))
    assert len(reply.contradictions) == 1
    assert len((await disputes.decisions.ListDecisions(pb.ListDecisionsRequest())).decisions) == 1


async def test_a_change_of_mind_supersedes_and_ends_the_disagreement(disputes: Disputes) -> None:
    await disputes.decide("ada", "language", "Go", "api")
    await disputes.decide("bert", "language", "Rust", "api")
    await disputes.until(ESCALATED)
    await disputes.decide("bert", "language", "Go is fine", "api")
    reply = await disputes.decisions.ListDecisions(pb.ListDecisionsRequest(expression='agent_id = "bert"'))
    (decision,) = reply.decisions
    assert decision.supersedes
    (conflict,) = await disputes.until(RESOLVED)
    assert conflict.resolution == "it ended by itself"


async def test_only_its_own_agent_takes_a_decision_back(disputes: Disputes) -> None:
    (number,) = (await disputes.decide("ada", "language", "Go")).decision_ids

    async def withdraw(decision_id: int, agent_id: str) -> None:
        request = pb.WithdrawDecisionRequest(
            request_id=disputes.request_id(), decision_id=decision_id, agent_id=agent_id
        )
        await disputes.decisions.WithdrawDecision(request)

    assert await reason_of_call(withdraw(number, "bert")) == "DECISION_OF_ANOTHER"
    await withdraw(number, "ada")
    assert await reason_of_call(withdraw(number, "ada")) == "DECISION_NOT_FOUND"
    get = disputes.decisions.GetDecision(pb.GetDecisionRequest(decision_id=number))
    assert await reason_of_call(get) == "DECISION_NOT_FOUND"


async def test_a_family_that_is_added_makes_contradictions_of_what_was_said_before(disputes: Disputes) -> None:
    await disputes.decide("ada", "optics", "Build it on a refractor", "scope")
    await disputes.decide("bert", "optics", "We take a reflector for this", "scope")
    assert await disputes.listed() == []
    family = decision_pb2.Family(
        name="telescope",
        subjects=["optics"],
        options=[{"name": "refractor"}, {"name": "reflector", "names": ["mirror"]}],
    )
    request = pb.SetFamilyRequest(request_id=disputes.request_id(), family=family)
    await disputes.decisions.SetFamily(request)
    assert [each.name for each in (await disputes.decisions.ListFamilies(pb.ListFamiliesRequest())).families] == [
        "telescope"
    ]
    decision = decision_pb2.Decision(agent_id="carl", subject="optics", choice="mirror", scope="scope", confidence=1)
    reply = await disputes.decisions.CheckDecision(pb.CheckDecisionRequest(decision=decision))
    assert [(each.one.agent_id, each.other.agent_id) for each in reply.contradictions] == [("carl", "ada")]
    delete = pb.DeleteFamilyRequest(request_id=disputes.request_id(), name="telescope")
    await disputes.decisions.DeleteFamily(delete)
    delete = pb.DeleteFamilyRequest(request_id=disputes.request_id(), name="telescope")
    assert await reason_of_call(disputes.decisions.DeleteFamily(delete)) == "FAMILY_NOT_FOUND"


async def test_precedents_are_set_listed_and_given_up(disputes: Disputes) -> None:
    precedent = decision_pb2.Precedent(precedent_id="p", subject="database", choice="PostgreSQL", confidence=0.5)
    await disputes.decisions.SetPrecedent(pb.SetPrecedentRequest(request_id=disputes.request_id(), precedent=precedent))
    (shown,) = (await disputes.decisions.ListPrecedents(pb.ListPrecedentsRequest())).precedents
    assert (shown.choice, shown.confidence) == ("PostgreSQL", 0.5)
    delete = pb.DeletePrecedentRequest(request_id=disputes.request_id(), precedent_id="p")
    await disputes.decisions.DeletePrecedent(delete)
    delete.request_id = disputes.request_id()
    assert await reason_of_call(disputes.decisions.DeletePrecedent(delete)) == "PRECEDENT_NOT_FOUND"


@pytest.mark.parametrize(
    "decision",
    [
        pytest.param({"agent_id": "", "choice": "x"}, id="no agent"),
        pytest.param({"agent_id": "a", "choice": ""}, id="no choice"),
        pytest.param({"agent_id": "a", "choice": "x" * 2_001}, id="a long choice"),
        pytest.param({"agent_id": "a", "choice": "x", "confidence": 1.5}, id="too sure"),
        pytest.param({"agent_id": "a", "choice": "x", "confidence": float("nan")}, id="no number"),
    ],
)
async def test_what_is_no_decision_is_refused(disputes: Disputes, decision: dict[str, object]) -> None:
    message = decision_pb2.Decision(subject="s", **decision)
    request = pb.PostDecisionsRequest(request_id="r", decisions=[message])
    assert await reason_of_call(disputes.decisions.PostDecisions(request)) == "INVALID_ARGUMENT"
