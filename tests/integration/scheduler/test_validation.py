"""Every bound that the contract states is checked, and everything that is wrong is said at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import grpc
import pytest

from support.registry import fields_of, reason_of
from support.scheduler_service import FIRST, Attempt, Scheduler, columns
from tercio.api.scheduler.v1 import plan_service_pb2, task_pb2
from tercio.api.scheduler.v1 import task_service_pb2 as task_api
from tercio.api.scheduler.v1 import work_service_pb2 as work_api
from tercio_common.errors import Refusal
from tercio_scheduler.translate.submissions import submit_of_frame

A_DAY_S = 86_400
TOO_LONG = "x" * 129


async def refused(call: Any) -> tuple[str, list[str]]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return reason_of(caught.value), fields_of(caught.value)


@pytest.mark.parametrize(
    ("template", "field"),
    [
        ({"task_type": ""}, "task_type"),
        ({"task_type": "no spaces"}, "task_type"),
        ({"priority": 10}, "priority"),
        ({"required_capabilities": {"a": 0}}, "required_capabilities[a]"),
        ({"required_capabilities": {"a": 101}}, "required_capabilities[a]"),
        ({"required_capabilities": {str(number): 1 for number in range(33)}}, "required_capabilities"),
        ({"target_agent_id": "?"}, "target_agent_id"),
        ({"attempt_timeout": {"seconds": 0}}, "attempt_timeout"),
        ({"attempt_timeout": {"seconds": 31 * A_DAY_S}}, "attempt_timeout"),
        ({"attempt_timeout": {"seconds": 1, "nanos": -1}}, "attempt_timeout"),
        ({"deadline": {"seconds": -1}}, "deadline"),
        ({"deadline": {"seconds": 1 << 62}}, "deadline"),
        ({"deadline_in": {"seconds": 0}}, "deadline_in"),
        ({"deadline_in": {"seconds": 1}, "deadline": {"seconds": 1}}, "deadline_in"),
        ({"retry": {"max_attempts": 101}}, "retry.max_attempts"),
        ({"retry": {"initial_backoff": {"seconds": 3601}}}, "retry.initial_backoff"),
        ({"retry": {"initial_backoff": {"seconds": -1}}}, "retry.initial_backoff"),
        ({"retry": {"multiplier_permille": 999}}, "retry.multiplier_permille"),
        ({"retry": {"multiplier_permille": 10_001}}, "retry.multiplier_permille"),
        ({"retry": {"max_backoff": {"seconds": A_DAY_S + 1}}}, "retry.max_backoff"),
        ({"labels": {TOO_LONG: ""}}, f"labels[{TOO_LONG[:128]}…]"),
        ({"labels": {"": "x"}}, "labels[]"),
        ({"labels": {"a": TOO_LONG}}, "labels[a]"),
        ({"labels": {str(number): "" for number in range(17)}}, "labels"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_template_out_of_bounds_is_refused(
    scheduler: Scheduler, template: Mapping[str, Any], field: str
) -> None:
    assert await refused(scheduler.submit("t", **template)) == ("INVALID_ARGUMENT", [f"tasks[0].template.{field}"])


async def test_everything_that_is_wrong_is_said_at_once(scheduler: Scheduler) -> None:
    good = task_pb2.TaskTemplate(task_type="echo")
    tasks = [
        task_pb2.TaskSpec(task_id="a b", template=good, depends_on=["?"]),
        task_pb2.TaskSpec(task_id="t", template=task_pb2.TaskTemplate(priority=99), depends_on=["t"]),
        task_pb2.TaskSpec(task_id="t", template=good, payload=bytes(64 * 1024 + 1)),
    ]
    assert await refused(scheduler.tasks.SubmitTasks(task_api.SubmitTasksRequest(tasks=tasks))) == (
        "INVALID_ARGUMENT",
        [
            "tasks[0].task_id",
            "tasks[0].depends_on[0]",
            "tasks[1].template.task_type",
            "tasks[1].template.priority",
            "tasks[1].depends_on",
            "tasks",
            "tasks[2].payload",
        ],
    )


async def test_ids_of_system_tasks_are_the_fleets_own(scheduler: Scheduler) -> None:
    own = task_pb2.TaskSpec(task_id="tercio.registry-1-1-1-0", template=task_pb2.TaskTemplate(task_type="echo"))
    for call in (
        scheduler.tasks.SubmitTasks(task_api.SubmitTasksRequest(tasks=[own])),
        scheduler.plans.CreatePlan(plan_service_pb2.CreatePlanRequest(tasks=[own])),
    ):
        assert await refused(call) == ("INVALID_ARGUMENT", ["tasks[0].task_id"])
    frame = task_api.SubmitFrame(templates=[own.template], task_ids=["mine", own.task_id])
    with pytest.raises(Refusal) as caught:
        submit_of_frame(frame)
    assert [violation.field for violation in caught.value.violations] == ["frame.task_ids[1]"]


async def test_only_a_payload_that_is_too_large_has_its_own_reason(scheduler: Scheduler) -> None:
    assert await refused(scheduler.submit("t", payload=bytes(64 * 1024 + 1))) == (
        "PAYLOAD_TOO_LARGE",
        ["tasks[0].payload"],
    )
    await scheduler.submit("t", payload=bytes(64 * 1024))


async def test_more_than_a_commit_can_hold_is_refused(scheduler: Scheduler) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await scheduler.submit(*[f"t{number}" for number in range(10)], payload=bytes(60_000))
    assert reason_of(caught.value) == "REQUEST_TOO_LARGE"


@pytest.mark.parametrize("count", [0, 1001])
async def test_a_submission_has_one_to_a_thousand_tasks(scheduler: Scheduler, count: int) -> None:
    tasks = [task_pb2.TaskSpec(template=task_pb2.TaskTemplate(task_type="echo"))] * count
    for call in (
        scheduler.tasks.SubmitTasks(task_api.SubmitTasksRequest(tasks=tasks)),
        scheduler.plans.CreatePlan(plan_service_pb2.CreatePlanRequest(tasks=tasks)),
    ):
        assert await refused(call) == ("INVALID_ARGUMENT", ["tasks"])


@pytest.mark.parametrize(
    ("service", "method", "request_message", "fields"),
    [
        ("tasks", "GetTask", task_api.GetTaskRequest(), ["task_id"]),
        ("tasks", "ExplainTask", task_api.ExplainTaskRequest(task_id="?"), ["task_id"]),
        ("tasks", "RetryTask", task_api.RetryTaskRequest(task_id=TOO_LONG), ["task_id"]),
        ("tasks", "CancelTask", task_api.CancelTaskRequest(reason="x" * 1025), ["task_id", "reason"]),
        ("tasks", "CancelTask", task_api.CancelTaskRequest(task_id="t", request_id=TOO_LONG), ["request_id"]),
        (
            "tasks",
            "ListTasks",
            task_api.ListTasksRequest(
                page_size=1001,
                filter=task_api.TaskFilter(
                    states=[99],  # type: ignore[list-item]
                    task_type="?",
                    plan_id="/",
                    agent_id="/",
                    labels={"": ""},
                ),
            ),
            [
                "page_size",
                "filter.states[0]",
                "filter.task_type",
                "filter.plan_id",
                "filter.agent_id",
                "filter.labels[]",
            ],
        ),
        ("plans", "GetPlan", plan_service_pb2.GetPlanRequest(plan_id="/"), ["plan_id"]),
        ("plans", "ListPlans", plan_service_pb2.ListPlansRequest(page_size=1001), ["page_size"]),
        ("plans", "CancelPlan", plan_service_pb2.CancelPlanRequest(reason="x" * 1025), ["plan_id", "reason"]),
        ("plans", "CreatePlan", plan_service_pb2.CreatePlanRequest(plan_id="a/b"), ["plan_id", "tasks"]),
    ],
)
async def test_unary_requests_out_of_bounds_are_refused(
    scheduler: Scheduler, service: str, method: str, request_message: Any, fields: list[str]
) -> None:
    call = getattr(getattr(scheduler, service), method)(request_message)
    assert await refused(call) == ("INVALID_ARGUMENT", fields)


async def test_a_watch_with_a_malformed_filter_is_refused(scheduler: Scheduler) -> None:
    call = scheduler.tasks.WatchTasks(task_api.WatchTasksRequest(filter=task_api.TaskFilter(agent_id="?")))
    assert await refused(call.read()) == ("INVALID_ARGUMENT", ["filter.agent_id"])


ATTEMPT = Attempt("t", 1, (1, 1))
ONE, TWO = columns([ATTEMPT]), columns([ATTEMPT, ATTEMPT._replace(number=2)])
FAILED = work_api.OUTCOME_FAILED
FRAME, FAILURE = work_api.WorkFrame, work_api.WorkFrame.Failure


@pytest.mark.parametrize(
    ("hello", "fields"),
    [
        ({"agent_id": "?"}, ["hello.agent_id"]),
        ({"instance_id": b"short"}, ["hello.instance_id"]),
        ({"capabilities": {"a": 101}}, ["hello.capabilities[a]"]),
        ({"concurrency": 0}, ["hello.concurrency"]),
        ({"concurrency": 10_001}, ["hello.concurrency"]),
        ({"task_types": ["a", "?"]}, ["hello.task_types[1]"]),
        ({"session_id": "short"}, ["hello.session_id"]),
        ({"offered": work_api.AttemptColumns(task_ids=["t"])}, ["hello.offered.numbers", "hello.offered.epochs"]),
        ({"started": columns([ATTEMPT, ATTEMPT])}, ["hello.started.task_ids"]),
    ],
)
async def test_a_hello_out_of_bounds_is_refused(scheduler: Scheduler, hello: dict[str, Any], fields: list[str]) -> None:
    good = {"agent_id": "a", "instance_id": FIRST, "concurrency": 1, "session_id": "a-session-of-16-c"}
    call = scheduler.work.Work()
    await call.write(work_api.WorkRequest(hello=work_api.Hello(**{**good, **hello})))
    assert await refused(call.read()) == ("INVALID_ARGUMENT", fields)
    assert not scheduler.service.host.session.agents


@pytest.mark.parametrize(
    ("frame", "fields"),
    [
        pytest.param(FRAME(ended=ONE, outcomes=[9]), ["frame.outcomes[0]"], id="unknown outcome"),  # type: ignore[list-item]
        pytest.param(FRAME(ended=TWO, outcomes=[FAILED]), ["frame.outcomes"], id="outcomes"),
        pytest.param(FRAME(ended=TWO, results=[b""]), ["frame.results"], id="results"),
        pytest.param(FRAME(ended=TWO, run_micros=[1]), ["frame.run_micros"], id="run times"),
        pytest.param(FRAME(ended=ONE, run_micros=[1 << 63]), ["frame.run_micros[0]"], id="endless run"),
        pytest.param(FRAME(ended=columns([ATTEMPT] * 2)), ["frame.ended.task_ids"], id="an attempt twice"),
        pytest.param(
            FRAME(ended=ONE, outcomes=[FAILED], failures=[FAILURE(index=1, reason="A")]),
            ["frame.failures[0]"],
            id="index",
        ),
        pytest.param(
            FRAME(ended=ONE, outcomes=[FAILED], failures=[FAILURE(reason="A")] * 2),
            ["frame.failures"],
            id="failures twice",
        ),
        pytest.param(
            FRAME(ended=ONE, failures=[FAILURE(reason="A")]), ["frame.failures[0]"], id="failure of a success"
        ),
        pytest.param(
            FRAME(ended=ONE, outcomes=[FAILED], failures=[FAILURE(reason="a", message="x" * 4097)]),
            ["frame.failures[0].reason", "frame.failures[0].message"],
            id="failure",
        ),
        pytest.param(FRAME(checkpointed=ONE), ["frame.checkpoints"], id="no checkpoint"),
        pytest.param(
            FRAME(checkpointed=ONE, checkpoints=[FRAME.Checkpoint(index=1)]), ["frame.checkpoints[0]"], id="checkpoint"
        ),
        pytest.param(FRAME(started=work_api.AttemptColumns(numbers=[1])), ["frame.started.numbers"], id="columns"),
        pytest.param(FRAME(results=[bytes(60_000)] * 5), ["frame"], id="too large"),
    ],
)
async def test_a_malformed_report_never_reaches_the_journal(
    scheduler: Scheduler, frame: work_api.WorkFrame, fields: list[str]
) -> None:
    async with scheduler.agent() as agent:
        before = scheduler.service.host.tip_seq
        await agent.say(frame_number=1, frame=frame)
        error = await agent.ended()
        assert (reason_of(error), fields_of(error)) == ("INVALID_ARGUMENT", fields)
        assert scheduler.service.host.tip_seq == before


@pytest.mark.parametrize(
    "frame",
    [
        FRAME(ended=ONE, results=[bytes(64 * 1024 + 1)]),
        FRAME(checkpointed=ONE, checkpoints=[FRAME.Checkpoint(data=bytes(64 * 1024 + 1))]),
    ],
    ids=["result", "checkpoint"],
)
async def test_a_result_or_checkpoint_over_64_kb_has_its_own_reason(
    scheduler: Scheduler, frame: work_api.WorkFrame
) -> None:
    async with scheduler.agent() as agent:
        await agent.say(frame_number=1, frame=frame)
        assert reason_of(await agent.ended()) == "PAYLOAD_TOO_LARGE"


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"hello": work_api.Hello(agent_id="a")}, ["hello"]),
        ({"frame_number": 1}, ["frame_number"]),
        ({"frame": FRAME()}, ["frame_number"]),
        ({"credit": 100_001}, ["credit"]),
        ({"progress": work_api.ProgressFrame(attempts=ONE, percents=[101])}, ["progress.percents[0]"]),
        ({"progress": work_api.ProgressFrame(attempts=ONE)}, ["progress.percents"]),
    ],
)
async def test_a_message_out_of_bounds_ends_the_stream(
    scheduler: Scheduler, fields: dict[str, Any], named: list[str]
) -> None:
    async with scheduler.agent() as agent:
        await agent.say(**fields)
        error = await agent.ended()
        assert (reason_of(error), fields_of(error)) == ("INVALID_ARGUMENT", named)
