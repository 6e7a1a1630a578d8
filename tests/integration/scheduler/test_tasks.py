"""TaskService's unary calls."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from support.registry import info_of, reason_of
from support.scheduler_service import Scheduler
from tercio.api.scheduler.v1 import task_pb2
from tercio.api.scheduler.v1 import task_service_pb2 as api
from tercio_common.testing.eventually import eventually


async def refused(call: Any) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value


async def test_a_task_is_read_as_it_was_submitted(scheduler: Scheduler) -> None:
    template = task_pb2.TaskTemplate(
        task_type="paint",
        priority=0,
        required_capabilities={"brush": 3},
        target_agent_id="bob",
        attempt_timeout={"seconds": 9, "nanos": 500_000_000},
        deadline_in={"seconds": 100},
        retry={
            "max_attempts": 7,
            "initial_backoff": {"seconds": 2},
            "multiplier_permille": 1500,
            "max_backoff": {"seconds": 8},
        },
        labels={"colour": "blue"},
    )
    await scheduler.tasks.SubmitTasks(
        api.SubmitTasksRequest(tasks=[task_pb2.TaskSpec(task_id="t", template=template, payload=b"wall")])
    )
    task = await scheduler.get("t", include_payload=True)
    assert task.template == template
    assert task.payload == b"wall"
    assert task.state == task_pb2.Task.STATE_READY
    assert task.submitter == "local"
    now = scheduler.clock.wall_ms()
    assert task.submit_time.ToMilliseconds() == now
    assert task.ready_time.ToMilliseconds() == now
    assert task.deadline.ToMilliseconds() == now + 100_000
    assert not task.HasField("attempt")
    assert not task.HasField("end_time")
    assert (await scheduler.get("t")).payload == b""


async def test_defaults_of_the_contract_are_filled_in(scheduler: Scheduler) -> None:
    await scheduler.submit("t")
    template = (await scheduler.get("t")).template
    assert template.priority == 5
    assert template.attempt_timeout.seconds == 300
    assert (template.retry.max_attempts, template.retry.multiplier_permille) == (3, 2000)


async def test_the_scheduler_chooses_ids_where_the_caller_did_not(scheduler: Scheduler) -> None:
    reply = await scheduler.tasks.SubmitTasks(
        api.SubmitTasksRequest(
            tasks=[
                task_pb2.TaskSpec(template={"task_type": "echo"}),
                task_pb2.TaskSpec(task_id="mine", template={"task_type": "other"}),
            ]
        )
    )
    chosen, mine = reply.task_ids
    assert mine == "mine"
    assert (await scheduler.get(chosen)).template.task_type == "echo"


async def test_a_retried_request_is_answered_the_same_and_submits_once(scheduler: Scheduler) -> None:
    request = api.SubmitTasksRequest(request_id="r", tasks=[task_pb2.TaskSpec(template={"task_type": "echo"})])
    first, second = await scheduler.tasks.SubmitTasks(request), await scheduler.tasks.SubmitTasks(request)
    assert first == second
    assert await scheduler.pages() == [list(first.task_ids)]


async def test_the_same_task_again_is_no_second_task(scheduler: Scheduler) -> None:
    await scheduler.submit("t")
    await scheduler.submit("t")
    assert reason_of(await refused(scheduler.submit("t", payload=b"other"))) == "TASK_ID_REUSED"
    assert await scheduler.pages() == [["t"]]


async def test_validate_only_changes_nothing(scheduler: Scheduler) -> None:
    await scheduler.tasks.SubmitTasks(
        api.SubmitTasksRequest(
            tasks=[task_pb2.TaskSpec(task_id="t", template={"task_type": "echo"})], validate_only=True
        )
    )
    assert await scheduler.pages() == [[]]


async def test_a_cycle_is_refused_and_named(scheduler: Scheduler) -> None:
    tasks = [
        task_pb2.TaskSpec(task_id=task_id, template={"task_type": "echo"}, depends_on=[parent])
        for task_id, parent in (("a", "b"), ("b", "c"), ("c", "a"))
    ]
    error = await refused(scheduler.tasks.SubmitTasks(api.SubmitTasksRequest(tasks=tasks)))
    assert reason_of(error) == "DEPENDENCY_CYCLE"
    assert all(task_id in info_of(error).metadata["cycle"] for task_id in "abc")
    assert await scheduler.pages() == [[]]


async def test_a_task_that_no_agent_could_run_can_be_refused(scheduler: Scheduler) -> None:
    error = await refused(scheduler.submit("t", required_capabilities={"python": 5}, require_capable_agent=True))
    assert reason_of(error) == "INSUFFICIENT_AGENT_CAPABILITY"


async def test_a_child_waits_for_its_parents(scheduler: Scheduler) -> None:
    await scheduler.submit("parent")
    await scheduler.tasks.SubmitTasks(
        api.SubmitTasksRequest(
            tasks=[task_pb2.TaskSpec(task_id="child", template={"task_type": "echo"}, depends_on=["parent"])]
        )
    )
    async with scheduler.agent() as agent:
        (attempt,) = await agent.has(1)
        assert attempt.task_id == "parent"
        assert await scheduler.state("child") == "BLOCKED"
        await agent.succeed(attempt)
        assert (await agent.has(2))[1].task_id == "child"


async def test_lists_are_in_the_order_of_acceptance_page_by_page(scheduler: Scheduler) -> None:
    ids = [f"t{number}" for number in (5, 3, 4, 1, 2)]
    for task_id in ids:
        await scheduler.submit(task_id)
    assert await scheduler.pages(page_size=2) == [ids[:2], ids[2:4], ids[4:]]


async def test_filters_choose_tasks(scheduler: Scheduler) -> None:
    await scheduler.submit("a", task_type="paint", labels={"colour": "red", "size": "s"})
    await scheduler.submit("b", task_type="paint")
    await scheduler.submit("c", labels={"colour": "red"})
    await scheduler.tasks.CancelTask(api.CancelTaskRequest(task_id="b"))
    for task_filter, expected in (
        ({"task_type": "paint"}, ["a", "b"]),
        ({"labels": {"colour": "red"}}, ["a", "c"]),
        ({"states": [task_pb2.Task.STATE_CANCELLED]}, ["b"]),
        ({"plan_id": "none"}, []),
        ({"agent_id": "none"}, []),
    ):
        assert await scheduler.pages(filter=api.TaskFilter(**task_filter)) == [expected], task_filter


async def test_a_page_token_is_good_for_its_filter_only(scheduler: Scheduler) -> None:
    await scheduler.submit("a")
    await scheduler.submit("b")
    token = (await scheduler.tasks.ListTasks(api.ListTasksRequest(page_size=1))).next_page_token
    other = api.ListTasksRequest(page_token=token, filter=api.TaskFilter(task_type="paint"))
    for request in (other, api.ListTasksRequest(page_token="nonsense"), api.ListTasksRequest(page_token="ä")):
        assert reason_of(await refused(scheduler.tasks.ListTasks(request))) == "CURSOR_INVALID"


async def test_a_page_of_large_results_fits_into_a_message(scheduler: Scheduler) -> None:
    ids = [f"t{number:02}" for number in range(70)]
    await scheduler.submit(*ids)
    async with scheduler.agent(concurrency=100) as agent:
        await agent.has(70)
        for attempt in agent.attempts:
            await agent.succeed(attempt, result=bytes(64 * 1024))
    pages = await scheduler.pages(page_size=100)
    assert len(pages) > 2
    assert [task_id for page in pages for task_id in page] == ids


async def test_cancelling_before_an_attempt_ends_the_task_at_once(scheduler: Scheduler) -> None:
    await scheduler.submit("t")
    reply = await scheduler.tasks.CancelTask(api.CancelTaskRequest(task_id="t", reason="not needed"))
    assert reply.task.state == task_pb2.Task.STATE_CANCELLED
    assert "not needed" in reply.task.state_reason
    again = await scheduler.tasks.CancelTask(api.CancelTaskRequest(task_id="t"))
    assert again.task.state == task_pb2.Task.STATE_CANCELLED


async def test_a_cancelled_task_can_be_given_a_new_start(scheduler: Scheduler) -> None:
    await scheduler.submit("t")
    await scheduler.tasks.CancelTask(api.CancelTaskRequest(task_id="t"))
    reply = await scheduler.tasks.RetryTask(api.RetryTaskRequest(task_id="t"))
    assert reply.task.state == task_pb2.Task.STATE_READY
    assert (
        reason_of(await refused(scheduler.tasks.RetryTask(api.RetryTaskRequest(task_id="t")))) == "TASK_STATE_CONFLICT"
    )


@pytest.mark.parametrize(
    ("method", "request_of"),
    [
        ("GetTask", api.GetTaskRequest),
        ("CancelTask", api.CancelTaskRequest),
        ("RetryTask", api.RetryTaskRequest),
        ("ExplainTask", api.ExplainTaskRequest),
    ],
)
async def test_an_unknown_task_is_not_found(scheduler: Scheduler, method: str, request_of: Any) -> None:
    error = await refused(getattr(scheduler.tasks, method)(request_of(task_id="nobody")))
    assert reason_of(error) == "TASK_NOT_FOUND"
    assert error.code() is grpc.StatusCode.NOT_FOUND


async def test_an_explanation_names_what_is_missing_and_who_could_run_it(scheduler: Scheduler) -> None:
    await scheduler.submit("t", required_capabilities={"python": 50})
    async with scheduler.agent("weak", capabilities={"python": 20}):
        reply = await scheduler.tasks.ExplainTask(api.ExplainTaskRequest(task_id="t"))
        assert dict(reply.missing_capabilities) == {"python": 50}
        (candidate,) = reply.candidates
        assert (candidate.agent_id, candidate.eligible, list(candidate.obstacles)) == (
            "weak",
            False,
            ["MISSING_CAPABILITY"],
        )
        assert "python 50" in reply.summary
        assert reply.remedies


async def test_what_an_agent_does_shows_in_explanations(scheduler: Scheduler) -> None:
    await scheduler.submit("t")
    async with scheduler.agent("bob") as agent:
        await agent.start((await agent.has(1))[0])
        reply = await scheduler.tasks.ExplainTask(api.ExplainTaskRequest(task_id="t"))
        assert "bob" in reply.summary
        await eventually(lambda: agent.committed)
