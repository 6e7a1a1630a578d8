"""`tercio agent`: takes part in the fleet, without writing code."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Annotated

import typer

from tercio.agent import Agent
from tercio.cli import texts
from tercio.cli.connect import Address
from tercio.cli.exec_configure import ExecConfigure, parse_command
from tercio.cli.exec_decide import ExecDecide
from tercio.cli.exec_handler import ExecHandler, log_json, log_text
from tercio.cli.plan_files import COMMAND_TYPE
from tercio.cli.usage import checked

app = typer.Typer(help="Take part in the fleet as an agent.", no_args_is_help=True)


@app.callback()
def options() -> None:
    """Keep the group a group while it has one verb."""


@app.command("exec", epilog="Example: tercio agent exec --capability python=50 --concurrency 4 -- ./handler.sh")
def exec_(
    command: Annotated[list[str] | None, typer.Argument(metavar="[-- COMMAND...]", help="the handler")] = None,
    capability: Annotated[list[str] | None, typer.Option("--capability", help="NAME or NAME=LEVEL, repeated")] = None,
    concurrency: Annotated[int, typer.Option("--concurrency", min=1, max=1000, help="attempts at once")] = 1,
    task_type: Annotated[list[str] | None, typer.Option("--task-type", help="only these types, repeated")] = None,
    directory: Annotated[
        list[Path] | None,
        typer.Option("--directory", exists=True, file_okay=False, help="one for each slot, repeated; else this one"),
    ] = None,
    worktree: Annotated[
        bool, typer.Option("--worktree", help="run what holds git worktrees in its first one; else in the directory")
    ] = False,
    allow_commands: Annotated[
        bool, typer.Option("--allow-commands", help="run what the payload says; only where you trust every submitter")
    ] = False,
    on_configure: Annotated[
        str, typer.Option("--on-configure", metavar="COMMAND", help="takes the agent's configuration on stdin")
    ] = "",
    on_decide: Annotated[
        str, typer.Option("--on-decide", help="command that says which decision prevails, as JSON")
    ] = "",
    kill_grace: Annotated[str, typer.Option("--kill-grace", help="from SIGTERM to SIGKILL when cancelled")] = "4s",
    agent_id: Annotated[str, typer.Option("--agent-id", help="else TERCIO_AGENT_ID, else made up")] = "",
    label: Annotated[list[str] | None, typer.Option("--label", "-l", help="KEY=VALUE, repeated")] = None,
    pool: Annotated[str, typer.Option("--pool", help="agent pool that it belongs to, else TERCIO_POOL")] = "",
    require: Annotated[
        list[str] | None, typer.Option("--require", help="DIMENSION=AMOUNT reserved for the agent, repeated")
    ] = None,
    json_log: Annotated[bool, typer.Option("--json-log", help="starts and ends as JSON, one a line")] = False,
    address: Address = None,
) -> None:
    """Turn a command into an agent.

    Each attempt runs the command once: the payload is its stdin, its stdout (at most 64 kB) the result. Exit code 0 is
    success; any other fails the attempt, with the last of stderr as the message. TERCIO_TASK_ID, TERCIO_ATTEMPT,
    TERCIO_FENCING_TOKEN and TERCIO_SLOT say which attempt it is. Cancelling sends SIGTERM to its process group, and
    SIGKILL after a grace. When the agent dies, so does the command. SIGTERM and Ctrl-C let what runs finish.

    What the command measures of its attempt, it appends to the file that TERCIO_MEASURES names, in lines like
    quality_score 0.9. The fleet keeps averages of it, see tercio agents describe.

    An attempt that holds git worktrees finds the first in TERCIO_WORKTREE, and all in TERCIO_WORKTREES, separated as in
    PATH. They are on the machine of the resources service, so the agent belongs there.

    The command of --on-configure runs for each configuration that the fleet sends (tercio agents config set): the JSON
    document is its stdin, {} for the agent's own defaults. Exit code 0 takes it; any other refuses it, and the one that
    was in force before is sent again.

    The command of --on-decide runs when the agent is asked which of several decisions prevails: the question is its
    stdin, as JSON, and it prints {"decision_id": NUMBER, "reason": "..."}. Another exit code than 0 is no opinion.

    An attempt that claims files finds its claims in TERCIO_CLAIM_TOKENS, which the git hook reads (tercio git-hook).
    """
    log = log_json if json_log else log_text
    with checked():
        _check(command, allow_commands, directory, concurrency)
        handler = ExecHandler(
            argv=command or None,
            concurrency=concurrency,
            directories=[path.resolve() for path in directory or []],
            in_worktree=worktree,
            kill_grace_s=texts.parse_duration(kill_grace).total_seconds(),
            log=log,
        )
        agent = Agent(
            agent_id=agent_id,
            agent_type="exec",
            capabilities=texts.parse_capabilities(capability or []),
            labels=texts.parse_pairs(label or [], what="label"),
            pool=pool,
            concurrency=concurrency,
            resource_requirements=texts.parse_amounts(require or []),
            address=address,
        )
        if on_configure:
            argv = parse_command(on_configure)
            agent.on_configure(ExecConfigure(argv=argv, log=log, kill_grace_s=handler.kill_grace_s))
        if on_decide:
            argv = parse_command(on_decide)
            agent.on_decide(ExecDecide(argv=argv, log=log, kill_grace_s=handler.kill_grace_s))
    for name in task_type or ["*" if command else COMMAND_TYPE]:
        agent.task(name)(handler)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S")
    # Not on uvloop, which forks this process with its gRPC threads for every command; asyncio uses vfork.
    asyncio.run(_run(agent, handler))


async def _run(agent: Agent, handler: ExecHandler) -> None:
    serving = asyncio.ensure_future(agent.run())
    ready = asyncio.ensure_future(agent.ready())
    try:
        await asyncio.wait([serving, ready], return_when=asyncio.FIRST_COMPLETED)
        if ready.done():
            handler.log("connected", agent_id=agent.agent_id, slots=handler.concurrency)
        await serving
    finally:
        ready.cancel()


def _check(command: list[str] | None, allow_commands: bool, directory: list[Path] | None, concurrency: int) -> None:
    if not command and not allow_commands:
        raise ValueError("give the handler after --, or --allow-commands to run what payloads say")
    if command and allow_commands:
        raise ValueError("give either a handler or --allow-commands, not both")
    if directory and len(directory) != concurrency:
        raise ValueError(f"{concurrency} slots need {concurrency} directories, one each; {len(directory)} are given")
