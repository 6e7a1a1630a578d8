"""`tercio rollout`: bring a change of configuration to many agents, a few at a time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Annotated

import typer
from rich.markup import escape

from tercio.api.registry.v1 import config_service_pb2 as pb
from tercio.api.registry.v1.rollout_pb2 import Rollout
from tercio.cli import connect, texts
from tercio.cli.configs import read
from tercio.cli.connect import CALL_TIMEOUT_S, Address, Fleet, Output
from tercio.cli.output import Column, Format, View, show_change, show_list, show_one
from tercio.cli.usage import checked
from tercio.requests import new_request_id

app = typer.Typer(help="Change the configuration of many agents, a few at a time.", no_args_is_help=True)

_POLL_S = 0.5
_OVER = frozenset({Rollout.STATE_SUCCEEDED, Rollout.STATE_FAILED, Rollout.STATE_ROLLED_BACK, Rollout.STATE_CANCELLED})

RolloutId = Annotated[str, typer.Argument(metavar="ID", help="the roll-out")]

VIEW: View[Rollout] = View(
    name=lambda rollout: rollout.rollout_id,
    nothing="there are no roll-outs",
    columns=(
        Column("ID", lambda rollout: escape(rollout.rollout_id)),
        Column("STATE", lambda rollout: Rollout.State.Name(rollout.state).removeprefix("STATE_")),
        Column("SUCCEEDED", lambda rollout: str(rollout.succeeded_count)),
        Column("FAILED", lambda rollout: str(rollout.failed_count)),
        Column("UNDONE", lambda rollout: str(rollout.restored_count)),
        Column("AGE", lambda rollout: texts.age(rollout.create_time)),
        Column("FILTER", lambda rollout: escape(rollout.filter) or "-", wide=True),
    ),
)
ONE = replace(
    VIEW,
    columns=(
        *VIEW.columns,
        Column("STEP", lambda rollout: escape(",".join(rollout.step_agent_ids)) or "-"),
        Column("FAILURES", lambda rollout: _failures(rollout), wide=True),
    ),
)


def _failures(rollout: Rollout) -> str:
    return escape(", ".join(f"{each.agent_id} {each.reason}" for each in rollout.failures)) or "-"


@app.command(
    epilog="Example: tercio rollout start -f config.json --filter 'type = \"web\"' --step 10% --max-failures 1"
)
def start(
    file: Annotated[str, typer.Option("--file", "-f", help="a file with JSON; - is the standard input")],
    filter_: Annotated[str, typer.Option("--filter", help="which agents, in the language of AIP-160")] = "",
    merge: Annotated[bool, typer.Option("--merge", help="the file is a merge patch (RFC 7396)")] = False,
    step: Annotated[str, typer.Option("--step", help="agents a step, as 5 or 10%")] = "1",
    pause_: Annotated[str, typer.Option("--pause", help="between two steps: 30s, 5m")] = "0s",
    observe: Annotated[str, typer.Option("--observe", help="how long each agent is observed")] = "30s",
    max_failures: Annotated[int, typer.Option("--max-failures", min=0, help="more agents than this may not fail")] = 0,
    rollback: Annotated[bool, typer.Option("--rollback", help="undo what was changed when too many fail")] = False,
    rollout_id: Annotated[str, typer.Option("--id", help="its name; else the registry chooses")] = "",
    output: Output = Format.TABLE,
    address: Address = None,
) -> None:
    """Start a roll-out."""
    request = pb.StartRolloutRequest(
        request_id=new_request_id(),
        rollout_id=rollout_id,
        filter=filter_,
        max_failures=max_failures,
        rollback_on_failure=rollback,
    )
    setattr(request, "merge_patch" if merge else "document", read(file))
    with checked():
        number = step.removesuffix("%")
        if not number.isdigit():
            raise ValueError(f"{step!r} is not a step: write for instance 5 or 10%")
        setattr(request, "step_percent" if step.endswith("%") else "step_size", int(number))
        request.pause.FromTimedelta(texts.parse_duration(pause_))
        request.observe_duration.FromTimedelta(texts.parse_duration(observe))

    async def work(fleet: Fleet) -> Rollout:
        answer = await fleet.configs.unary(lambda stub: stub.StartRollout, request, timeout_s=CALL_TIMEOUT_S)
        return answer.rollout

    show_one(connect.run(address, work), ONE, output)


@app.command(epilog="Example: tercio rollout get spring-cleaning -o wide")
def get(rollout_id: RolloutId, output: Output = Format.TABLE, address: Address = None) -> None:
    """Print a roll-out."""

    async def work(fleet: Fleet) -> Rollout:
        return await _get(fleet, rollout_id)

    show_one(connect.run(address, work), ONE, output)


@app.command("list", epilog="Example: tercio rollout list")
def list_(output: Output = Format.TABLE, address: Address = None) -> None:
    """List the roll-outs that are kept, the newest first."""

    async def work(fleet: Fleet) -> pb.ListRolloutsResponse:
        request = pb.ListRolloutsRequest()
        return await fleet.configs.unary(lambda stub: stub.ListRollouts, request, timeout_s=CALL_TIMEOUT_S)

    show_list(list(connect.run(address, work).rollouts), VIEW, output)


@app.command(epilog="Example: tercio rollout watch spring-cleaning")
def watch(rollout_id: RolloutId, output: Output = Format.TABLE, address: Address = None) -> None:
    """Print a roll-out whenever it got further, until it is over."""

    async def work(fleet: Fleet) -> None:
        shown = Rollout()
        while shown.state not in _OVER:
            found = await _get(fleet, rollout_id)
            if found != shown:
                show_change(found, ONE, output)
                shown = found
            else:
                await asyncio.sleep(_POLL_S)

    connect.run(address, work)


@app.command(epilog="Example: tercio rollout pause spring-cleaning")
def pause(
    rollout_id: RolloutId,
    resume: Annotated[bool, typer.Option("--resume", help="go on")] = False,
    address: Address = None,
) -> None:
    """Let no further step begin, or go on."""
    request = pb.PauseRolloutRequest(request_id=new_request_id(), rollout_id=rollout_id, paused=not resume)

    async def work(fleet: Fleet) -> None:
        await fleet.configs.unary(lambda stub: stub.PauseRollout, request, timeout_s=CALL_TIMEOUT_S)

    connect.run(address, work)
    typer.echo(f"{rollout_id} {'goes on' if resume else 'begins no further step'}")


@app.command(epilog="Example: tercio rollout cancel spring-cleaning")
def cancel(rollout_id: RolloutId, address: Address = None) -> None:
    """End a roll-out; what was changed stays."""
    request = pb.CancelRolloutRequest(request_id=new_request_id(), rollout_id=rollout_id)

    async def work(fleet: Fleet) -> None:
        await fleet.configs.unary(lambda stub: stub.CancelRollout, request, timeout_s=CALL_TIMEOUT_S)

    connect.run(address, work)
    typer.echo(f"{rollout_id} is cancelled")


async def _get(fleet: Fleet, rollout_id: str) -> Rollout:
    request = pb.GetRolloutRequest(rollout_id=rollout_id)
    answer = await fleet.configs.unary(lambda stub: stub.GetRollout, request, timeout_s=CALL_TIMEOUT_S)
    return answer.rollout
