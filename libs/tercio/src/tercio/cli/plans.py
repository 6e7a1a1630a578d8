"""`tercio plans`: graphs of tasks that are accepted together."""

from __future__ import annotations

import sys
from typing import IO, Annotated

import typer
from rich.markup import escape

from tercio.api.scheduler.v1 import plan_pb2, plan_service_pb2, task_pb2, task_service_pb2
from tercio.cli import connect, tasks, texts
from tercio.cli.connect import CALL_TIMEOUT_S, Address, Fleet, Limit, Output
from tercio.cli.exits import ExitCode
from tercio.cli.output import Column, Format, View, console, show_list, show_one
from tercio.cli.plan_files import parse_plan
from tercio.cli.usage import checked
from tercio.requests import new_request_id
from tercio.states import TaskState

app = typer.Typer(help="Submit graphs of tasks from a file and follow them.", no_args_is_help=True)

PlanId = Annotated[str, typer.Argument(metavar="ID", help="the plan")]
_COLOURS = {"SUCCEEDED": "green", "FAILED": "red", "RUNNING": "cyan"}


def _state(plan: plan_pb2.Plan) -> str:
    name = plan_pb2.Plan.State.Name(plan.state).removeprefix("STATE_")
    colour = _COLOURS.get(name)
    return f"[{colour}]{name}[/{colour}]" if colour else name


VIEW: View[plan_pb2.Plan] = View(
    name=lambda plan: plan.plan_id,
    nothing="no plans; `tercio plans apply -f plan.yaml` submits one",
    columns=(
        Column("PLAN", lambda plan: escape(plan.plan_id)),
        Column("STATE", _state),
        Column("TASKS", lambda plan: str(plan.task_count)),
        Column("SUCCEEDED", lambda plan: str(plan.succeeded_count)),
        Column("FAILED", lambda plan: str(plan.failed_count)),
        Column("AGE", lambda plan: texts.age(plan.create_time)),
        Column("ENDED", lambda plan: texts.clock_time(plan.end_time) or "-", wide=True),
    ),
)


@app.command(epilog="Example: tercio plans apply -f plan.yaml --wait")
def apply(
    file: Annotated[typer.FileText, typer.Option("--file", "-f", help="the plan in YAML; - is stdin")],
    wait: Annotated[bool, typer.Option("--wait", help="follow it to its end; exit 6 unless all tasks succeed")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="check everything and change nothing")] = False,
    output: Output = Format.TABLE,
    address: Address = None,
) -> None:
    """Submit a plan, all or nothing."""
    request = _request(file, dry_run=dry_run)

    async def work(fleet: Fleet) -> plan_pb2.Plan:
        answer = await fleet.plans.unary(lambda stub: stub.CreatePlan, request, timeout_s=CALL_TIMEOUT_S)
        if not wait or dry_run:
            return answer.plan
        await _follow(fleet, answer.plan.plan_id, quiet=output not in {Format.TABLE, Format.WIDE})
        return await _read(fleet, answer.plan.plan_id)

    plan = connect.run(address, work)
    show_one(plan, VIEW, output)
    if wait and not dry_run and plan.state != plan_pb2.Plan.STATE_SUCCEEDED:
        raise typer.Exit(ExitCode.TASK_FAILED)


@app.command(epilog="Example: tercio plans get nightly -o json")
def get(plan_id: PlanId, output: Output = Format.WIDE, address: Address = None) -> None:
    """Show one plan."""
    show_one(connect.run(address, lambda fleet: _read(fleet, plan_id)), VIEW, output)


@app.command("list", epilog="Example: tercio plans list -o name")
def list_(limit: Limit = 1000, output: Output = Format.TABLE, address: Address = None) -> None:
    """List plans, in the order of their ids."""
    connect.show_pages(address, _page, VIEW, limit=limit, output=output)


@app.command(epilog="Example: tercio plans describe nightly")
def describe(plan_id: PlanId, address: Address = None) -> None:
    """Show a plan and each of its tasks, for people."""

    async def work(fleet: Fleet) -> None:
        plan = await _read(fleet, plan_id)
        show_one(plan, VIEW, Format.WIDE)
        chosen = task_service_pb2.TaskFilter(plan_id=plan_id)
        found = await connect.pages(lambda token, size: tasks.page(fleet, chosen, token, size), limit=1000)
        console().print()
        show_list(found, tasks.VIEW, Format.TABLE)

    connect.run(address, work)


@app.command(epilog="Example: tercio plans watch nightly")
def watch(plan_id: PlanId, address: Address = None) -> None:
    """Print each end of a task until all of the plan have ended."""

    async def work(fleet: Fleet) -> plan_pb2.Plan:
        await _read(fleet, plan_id)
        await _follow(fleet, plan_id, quiet=False)
        return await _read(fleet, plan_id)

    show_one(connect.run(address, work), VIEW, Format.WIDE)


@app.command(epilog="Example: tercio plans cancel nightly --reason 'superseded'")
def cancel(
    plan_id: PlanId,
    reason: Annotated[str, typer.Option("--reason", help="why, for people")] = "",
    address: Address = None,
) -> None:
    """Cancel every task of a plan that has not ended."""

    async def work(fleet: Fleet) -> plan_pb2.Plan:
        request = plan_service_pb2.CancelPlanRequest(request_id=new_request_id(), plan_id=plan_id, reason=reason)
        answer = await fleet.plans.unary(lambda stub: stub.CancelPlan, request, timeout_s=CALL_TIMEOUT_S)
        return answer.plan

    show_one(connect.run(address, work), VIEW, Format.WIDE)


def _request(file: IO[str], *, dry_run: bool) -> plan_service_pb2.CreatePlanRequest:
    with checked():
        request = parse_plan(file.read())
    request.request_id = new_request_id()
    request.validate_only = dry_run
    return request


async def _follow(fleet: Fleet, plan_id: str, *, quiet: bool) -> None:
    """Return once every task of the plan has ended, printing each end."""
    plan = await _read(fleet, plan_id)
    waiting = set(plan.task_ids)
    async for task in fleet.client.watch(plan_id=plan_id, existing=True):
        if not tasks.ended(task) or task.task_id not in waiting:
            continue
        waiting.discard(task.task_id)
        if not quiet:
            done = plan.task_count - len(waiting)
            print(f"[{done}/{plan.task_count}] {task.task_id} {TaskState(task.state).name}{_why(task)}")
            sys.stdout.flush()
        if not waiting:
            return


def _why(task: task_pb2.Task) -> str:
    if task.state == task_pb2.Task.STATE_SUCCEEDED:
        return f" on {task.attempt.agent_id} in {texts.span(task.run_duration)}"
    return f": {' '.join(task.state_reason.split())}"


async def _read(fleet: Fleet, plan_id: str) -> plan_pb2.Plan:
    request = plan_service_pb2.GetPlanRequest(plan_id=plan_id)
    answer = await fleet.plans.unary(lambda stub: stub.GetPlan, request, timeout_s=CALL_TIMEOUT_S)
    return answer.plan


async def _page(fleet: Fleet, token: str, size: int) -> tuple[list[plan_pb2.Plan], str]:
    request = plan_service_pb2.ListPlansRequest(page_size=size, page_token=token)
    answer = await fleet.plans.unary(lambda stub: stub.ListPlans, request, timeout_s=CALL_TIMEOUT_S)
    return list(answer.plans), answer.next_page_token
