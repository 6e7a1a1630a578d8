"""`tercio tasks`: what became of the work."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated

import typer
from rich.markup import escape

from tercio.api.scheduler.v1 import task_pb2, task_service_pb2
from tercio.cli import connect, texts
from tercio.cli.connect import CALL_TIMEOUT_S, Address, Fleet, Limit, Output
from tercio.cli.exits import ExitCode
from tercio.cli.output import (
    Column,
    Format,
    View,
    console,
    document,
    print_data,
    print_facts,
    print_table,
    show_change,
    show_one,
)
from tercio.cli.usage import checked, choices
from tercio.requests import new_request_id
from tercio.states import TERMINAL, TaskState

app = typer.Typer(help="See what became of tasks, explain why they wait, cancel and retry them.", no_args_is_help=True)

_COLOURS = {
    TaskState.SUCCEEDED: "green",
    TaskState.RUNNING: "cyan",
    TaskState.BACKOFF: "yellow",
    TaskState.CANCELLING: "yellow",
    TaskState.FAILED: "red",
    TaskState.DEAD_LETTER: "red",
}

TaskId = Annotated[str, typer.Argument(metavar="ID", help="the task")]
States = Annotated[list[str] | None, typer.Option("--state", help="only this state; may be repeated")]
Type = Annotated[str, typer.Option("--type", help="only this task type")]
Plan = Annotated[str, typer.Option("--plan", help="only tasks of this plan")]
Agent = Annotated[str, typer.Option("--agent", help="only tasks whose last attempt is of this agent")]
Labels = Annotated[list[str] | None, typer.Option("--label", "-l", help="only with this KEY=VALUE; may be repeated")]


def ended(task: task_pb2.Task) -> bool:
    """Tell whether nothing changes any more by itself."""
    return TaskState(task.state) in TERMINAL


def _state(task: task_pb2.Task) -> str:
    state = TaskState(task.state)
    colour = _COLOURS.get(state)
    return f"[{colour}]{state.name}[/{colour}]" if colour else state.name


def _attempt(task: task_pb2.Task) -> str:
    return str(task.attempt.number) if task.HasField("attempt") else "-"


def _age(task: task_pb2.Task) -> str:
    return texts.age(task.submit_time)


def _why(task: task_pb2.Task) -> str:
    return escape(" ".join(task.state_reason.split())[:120]) or "-"


VIEW: View[task_pb2.Task] = View(
    name=lambda task: task.task_id,
    nothing="no tasks; `tercio submit --help` shows how to submit one",
    columns=(
        Column("TASK", lambda task: escape(task.task_id)),
        Column("STATE", _state),
        Column("TYPE", lambda task: escape(task.template.task_type)),
        Column("PRIORITY", lambda task: str(task.template.priority) if task.template.HasField("priority") else "5"),
        Column("AGENT", lambda task: escape(task.attempt.agent_id) or "-"),
        Column("ATTEMPT", _attempt),
        Column("RAN", lambda task: texts.span(task.run_duration) if task.HasField("run_duration") else "-"),
        Column("AGE", _age),
        Column("PLAN", lambda task: escape(task.plan_id) or "-", wide=True),
        Column("NEEDS", lambda task: escape(texts.pairs(task.template.required_capabilities)) or "-", wide=True),
        Column("LABELS", lambda task: escape(texts.pairs(task.template.labels)) or "-", wide=True),
        Column("WHY", _why, wide=True),
    ),
)

_CANDIDATES: View[task_service_pb2.ExplainTaskResponse.Candidate] = View(
    name=lambda candidate: candidate.agent_id,
    nothing="",
    columns=(
        Column("AGENT", lambda candidate: escape(candidate.agent_id)),
        Column("COULD RUN IT", lambda candidate: "now" if candidate.eligible else "no"),
        Column("IN THE WAY", lambda candidate: ", ".join(candidate.obstacles) or "-"),
        Column("MISSING", lambda candidate: escape(texts.pairs(candidate.missing_capabilities)) or "-"),
    ),
)


@app.command("list", epilog="Example: tercio tasks list --state running --state ready --plan nightly")
def list_(
    state: States = None,
    task_type: Type = "",
    plan: Plan = "",
    agent: Agent = "",
    label: Labels = None,
    limit: Limit = 1000,
    output: Output = Format.TABLE,
    address: Address = None,
) -> None:
    """List tasks, in the order of their acceptance."""
    chosen = _filter(state, task_type, plan, agent, label)
    connect.show_pages(
        address, lambda fleet, token, size: page(fleet, chosen, token, size), VIEW, limit=limit, output=output
    )


@app.command(epilog="Example: tercio tasks get build-42 -o json | jq -r .result | base64 -d")
def get(
    task_id: TaskId,
    payload: Annotated[bool, typer.Option("--payload", help="give the payload too (json and yaml)")] = False,
    output: Output = Format.WIDE,
    address: Address = None,
) -> None:
    """Show one task."""
    show_one(connect.run(address, lambda fleet: read(fleet, task_id, payload=payload)), VIEW, output)


@app.command(epilog="Example: tercio tasks describe build-42")
def describe(task_id: TaskId, address: Address = None) -> None:
    """Tell all that is known of one task, for people: times, errors, and what it waits for."""

    async def work(fleet: Fleet) -> None:
        task = await read(fleet, task_id, payload=True)
        print_facts(_facts(task))
        for error in task.errors:
            console().print(
                f"  attempt {error.number} on {escape(error.agent_id)}: [red]{escape(error.reason)}[/red] "
                f"{escape(' '.join(error.message.split()))}"
            )
        if not ended(task):
            console().print()
            _print_explanation(await _explain(fleet, task_id))

    connect.run(address, work)


@app.command(epilog="Example: tercio tasks watch --plan nightly -o json")
def watch(
    state: States = None,
    task_type: Type = "",
    plan: Plan = "",
    agent: Agent = "",
    label: Labels = None,
    output: Output = Format.TABLE,
    address: Address = None,
) -> None:
    """Print the tasks and then every change, until Ctrl-C."""
    chosen = _filter(state, task_type, plan, agent, label)

    async def work(fleet: Fleet) -> None:
        await page(fleet, chosen, "", 1)
        watch = fleet.client.watch(
            states=[TaskState(number) for number in chosen.states],
            task_type=task_type,
            plan_id=plan,
            agent_id=agent,
            labels=chosen.labels,
            existing=True,
        )
        async for task in watch:
            show_change(task, VIEW, output)

    connect.run(address, work)


@app.command(epilog="Example: tercio tasks cancel build-42 --reason 'no longer needed'")
def cancel(
    task_id: TaskId,
    reason: Annotated[str, typer.Option("--reason", help="why, for people")] = "",
    address: Address = None,
) -> None:
    """Cancel a task; one that runs is asked to stop first."""

    async def work(fleet: Fleet) -> task_pb2.Task:
        request = task_service_pb2.CancelTaskRequest(request_id=new_request_id(), task_id=task_id, reason=reason)
        answer = await fleet.tasks.unary(lambda stub: stub.CancelTask, request, timeout_s=CALL_TIMEOUT_S)
        return answer.task

    console().print(f"{escape(task_id)} is {_state(connect.run(address, work))}")


@app.command(epilog="Example: tercio tasks retry build-42")
def retry(task_id: TaskId, address: Address = None) -> None:
    """Give a dead letter, a failed or a cancelled task a new start."""

    async def work(fleet: Fleet) -> task_pb2.Task:
        request = task_service_pb2.RetryTaskRequest(request_id=new_request_id(), task_id=task_id)
        answer = await fleet.tasks.unary(lambda stub: stub.RetryTask, request, timeout_s=CALL_TIMEOUT_S)
        return answer.task

    console().print(f"{escape(task_id)} is {_state(connect.run(address, work))}")


@app.command(epilog="Example: tercio tasks explain build-42")
def explain(task_id: TaskId, output: Output = Format.TABLE, address: Address = None) -> None:
    """Say why a task stands where it stands, and what would change it."""
    explanation = connect.run(address, lambda fleet: _explain(fleet, task_id))
    if output in {Format.JSON, Format.YAML}:
        print_data(document(explanation), output)
    else:
        _print_explanation(explanation)


async def read(fleet: Fleet, task_id: str, *, payload: bool = False) -> task_pb2.Task:
    """Return one task."""
    request = task_service_pb2.GetTaskRequest(task_id=task_id, include_payload=payload)
    answer = await fleet.tasks.unary(lambda stub: stub.GetTask, request, timeout_s=CALL_TIMEOUT_S)
    return answer.task


async def page(
    fleet: Fleet, chosen: task_service_pb2.TaskFilter, token: str, size: int
) -> tuple[list[task_pb2.Task], str]:
    """Return a page of tasks and the next page's token."""
    request = task_service_pb2.ListTasksRequest(page_size=size, page_token=token, filter=chosen)
    answer = await fleet.tasks.unary(lambda stub: stub.ListTasks, request, timeout_s=CALL_TIMEOUT_S)
    return list(answer.tasks), answer.next_page_token


async def wait_for(fleet: Fleet, task_id: str) -> task_pb2.Task:
    """Return a task once it has ended.

    It asks over and over, because a watch selects by plan or label and not by id; at most once a second.
    """
    wait_s = 0.05
    while not ended(task := await read(fleet, task_id)):
        await asyncio.sleep(wait_s)
        wait_s = min(wait_s * 1.5, 1.0)
    return task


def print_outcome(task: task_pb2.Task) -> None:
    """Print the result of a task that ended, or fail with why it did not succeed."""
    if task.state == task_pb2.Task.STATE_SUCCEEDED:
        typer.echo(texts.readable(task.result, limit=1 << 20))
        return
    last = task.errors[-1].message if task.errors else task.state_reason
    typer.echo(f"error: task {task.task_id} ended {TaskState(task.state).name}: {last}", err=True)
    typer.echo(f"hint: `tercio tasks describe {task.task_id}` shows every attempt", err=True)
    raise typer.Exit(ExitCode.TASK_FAILED)


def _filter(
    state: list[str] | None, task_type: str, plan: str, agent: str, label: list[str] | None
) -> task_service_pb2.TaskFilter:
    with checked():
        return task_service_pb2.TaskFilter(
            states=choices(state or [], task_pb2.Task.State, prefix="STATE_"),
            task_type=task_type,
            plan_id=plan,
            agent_id=agent,
            labels=texts.parse_pairs(label or [], what="label"),
        )


async def _explain(fleet: Fleet, task_id: str) -> task_service_pb2.ExplainTaskResponse:
    request = task_service_pb2.ExplainTaskRequest(task_id=task_id)
    return await fleet.tasks.unary(lambda stub: stub.ExplainTask, request, timeout_s=CALL_TIMEOUT_S)


def _print_explanation(explanation: task_service_pb2.ExplainTaskResponse) -> None:
    console().print(escape(explanation.summary))
    for remedy in explanation.remedies:
        console().print(f"  - {escape(remedy)}")
    print_facts(
        {
            "Waits for": escape(", ".join(explanation.waiting_for)),
            "Before it": f"{explanation.tasks_ahead} tasks" if explanation.tasks_ahead else "",
            "Nobody has": escape(texts.pairs(explanation.missing_capabilities)),
        }
    )
    if explanation.candidates:
        console().print()
        print_table(explanation.candidates, _CANDIDATES, wide=True)


def _facts(task: task_pb2.Task) -> dict[str, str]:
    template = task.template
    attempt = f"{task.attempt.number} on {task.attempt.agent_id}" if task.HasField("attempt") else ""
    return {
        "Task": escape(task.task_id),
        "State": _state(task),
        "Why": escape(task.state_reason),
        "Type": escape(template.task_type),
        "Plan": escape(task.plan_id),
        "Priority": str(template.priority) if template.HasField("priority") else "5",
        "Needs": escape(texts.pairs(template.required_capabilities)),
        "Depends on": escape(", ".join(task.depends_on)),
        "Labels": escape(texts.pairs(template.labels)),
        "Submitted": f"{texts.clock_time(task.submit_time)} by {escape(task.submitter)}",
        "Ready": texts.clock_time(task.ready_time),
        "Offered": texts.clock_time(task.offer_time),
        "Ended": texts.clock_time(task.end_time),
        "Deadline": texts.clock_time(task.deadline),
        "Ran": texts.span(task.run_duration) if task.HasField("run_duration") else "",
        "Attempt": escape(attempt),
        "Failures": str(task.failures) if task.failures else "",
        "Payload": escape(texts.readable(task.payload, limit=200)),
        "Result": escape(json.dumps(texts.readable(task.result, limit=200))) if task.result else "",
    }
