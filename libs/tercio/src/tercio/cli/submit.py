"""`tercio submit`: one task from the command line."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from tercio.api.scheduler.v1 import task_pb2, task_service_pb2
from tercio.cli import connect, tasks, texts
from tercio.cli.connect import CALL_TIMEOUT_S, Address, Fleet, Output
from tercio.cli.output import Format, show_one
from tercio.cli.plan_files import COMMAND_TYPE
from tercio.cli.usage import checked
from tercio.requests import new_request_id
from tercio.things import TaskClaim, claim_spec

EPILOG: Final = "Example: tercio submit --capability python --wait -- python -c 'print(6 * 7)'"


def submit(
    command: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- COMMAND...]", help="run by an `agent exec --allow-commands`; instead of a payload"),
    ] = None,
    task_type: Annotated[str, typer.Option("--type", help="task type; `command` when a command is given")] = "",
    payload: Annotated[str, typer.Option("--payload", help="JSON; @FILE reads a file as it is, - reads stdin")] = "",
    task_id: Annotated[str, typer.Option("--id", help="the task's id; a second submission changes nothing")] = "",
    capability: Annotated[list[str] | None, typer.Option("--capability", help="NAME or NAME=LEVEL, repeated")] = None,
    priority: Annotated[int, typer.Option("--priority", min=0, max=9, help="9 goes first")] = 5,
    after: Annotated[list[str] | None, typer.Option("--after", help="a task that must succeed first")] = None,
    resource: Annotated[
        list[str] | None, typer.Option("--resource", help="DIMENSION=AMOUNT that it holds while it runs, repeated")
    ] = None,
    tenant: Annotated[str, typer.Option("--tenant", help="whose quota what it holds counts against")] = "",
    pool_label: Annotated[
        list[str] | None, typer.Option("--pool-label", help="KEY=VALUE that each pool must have, repeated")
    ] = None,
    label: Annotated[list[str] | None, typer.Option("--label", "-l", help="KEY=VALUE, repeated")] = None,
    claim: Annotated[list[str] | None, typer.Option("--claim", help="path or glob that it alone may edit")] = None,
    claim_shared: Annotated[list[str] | None, typer.Option("--claim-shared", help="the same, to read")] = None,
    claim_scope: Annotated[str, typer.Option("--claim-scope", help="of the paths, for instance a repository")] = "",
    target: Annotated[str, typer.Option("--target", help="only this agent may run it")] = "",
    timeout: Annotated[str, typer.Option("--timeout", help="longest run of one attempt, for instance 5m")] = "",
    deadline_in: Annotated[str, typer.Option("--deadline-in", help="fails unless finished by then")] = "",
    attempts: Annotated[int, typer.Option("--attempts", min=0, max=100, help="failures that it may have; 0: 3")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="check everything and change nothing")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="wait for the result; exit 6 unless it succeeds")] = False,
    output: Output = Format.NAME,
    address: Address = None,
) -> None:
    """Submit one task; print its id, or with --wait its result."""
    with checked():
        spec = task_pb2.TaskSpec(
            task_id=task_id,
            payload=_payload(command or [], payload),
            depends_on=after or [],
            template=task_pb2.TaskTemplate(
                task_type=_task_type(task_type, command or []),
                priority=priority,
                required_capabilities=texts.parse_capabilities(capability or []),
                target_agent_id=target,
                labels=texts.parse_pairs(label or [], what="label"),
                resources=texts.parse_amounts(resource or []),
                tenant=tenant,
                pool_labels=texts.parse_pairs(pool_label or [], what="pool label"),
                claims=[
                    *(claim_spec(TaskClaim(name, "exclusive", claim_scope)) for name in claim or []),
                    *(claim_spec(TaskClaim(name, "shared", claim_scope)) for name in claim_shared or []),
                ],
            ),
        )
        if timeout:
            spec.template.attempt_timeout.FromTimedelta(texts.parse_duration(timeout))
        if deadline_in:
            spec.template.deadline_in.FromTimedelta(texts.parse_duration(deadline_in))
    if attempts:
        spec.template.retry.max_attempts = attempts

    async def work(fleet: Fleet) -> task_pb2.Task | None:
        request = task_service_pb2.SubmitTasksRequest(request_id=new_request_id(), tasks=[spec], validate_only=dry_run)
        answer = await fleet.tasks.unary(lambda stub: stub.SubmitTasks, request, timeout_s=CALL_TIMEOUT_S)
        if dry_run:
            return None
        submitted = answer.task_ids[0]
        return await (tasks.wait_for(fleet, submitted) if wait else tasks.read(fleet, submitted))

    task = connect.run(address, work)
    if task is None:
        typer.echo("valid; nothing was submitted", err=True)
        return
    if output is not Format.NAME or not wait:
        show_one(task, tasks.VIEW, output)
    if wait and (output is Format.NAME or task.state != task_pb2.Task.STATE_SUCCEEDED):
        tasks.print_outcome(task)


def _task_type(given: str, command: list[str]) -> str:
    if not given and not command:
        raise ValueError("say what kind of task it is: --type NAME, or a command after --")
    return given or COMMAND_TYPE


def _payload(command: list[str], text: str) -> bytes:
    if command:
        if text:
            raise ValueError("give either a command or --payload, not both")
        return json.dumps({"argv": command}).encode()
    if text == "-":
        return sys.stdin.buffer.read()
    if text.startswith("@"):
        try:
            return Path(text[1:]).read_bytes()
        except OSError as error:
            raise ValueError(f"{text[1:]}: {error.strerror}") from None
    if text:
        try:
            json.loads(text)
        except ValueError as error:
            raise ValueError(f"--payload is not JSON ({error}); @FILE takes anything") from None
    return text.encode()
