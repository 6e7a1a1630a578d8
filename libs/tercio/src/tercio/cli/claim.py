"""`tercio claim`: runs a command while its claims are held."""

from __future__ import annotations

import asyncio
import os
import time
from typing import Annotated, Any, Final, Literal, TypedDict

import typer
from typer.core import TyperCommand

from tercio.claims import HeldClaim
from tercio.cli import texts
from tercio.cli.claim_names import Named, named
from tercio.cli.connect import Address
from tercio.cli.exits import ExitCode
from tercio.cli.failures import CommandError
from tercio.cli.foreground import taken
from tercio.cli.usage import checked
from tercio.client import Client
from tercio.things import ClaimMode, text_of

_COMMAND: Final = "tercio.command"
_MOST_PURPOSE: Final = 256

EPILOG = "Example: tercio claim --wait 5m 'src/**/*.py' tests/ -- ./refactor.sh"

Scope = Annotated[
    str | None, typer.Option("--scope", help="where the names mean something; by default the git repository here")
]
Kind = Annotated[
    Literal["path", "file", "glob", "worktree", "branch", "service", "topic", "other"],
    typer.Option("--kind", help="what is named; a path is a file, a folder or a glob"),
]


class WithCommand(TyperCommand):
    """Takes what stands behind the first `--` for a command, untouched."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Set the command aside."""
        at = args.index("--") if "--" in args else len(args)
        ctx.meta[_COMMAND] = args[at + 1 :]
        return super().parse_args(ctx, args[:at])


def claim(
    ctx: typer.Context,
    names: Annotated[
        list[str], typer.Argument(metavar="NAME... -- COMMAND...", help="what to claim, and what to run meanwhile")
    ],
    mode: Annotated[ClaimMode, typer.Option("--mode", help="to edit, to read, or to edit later")] = "exclusive",
    kind: Kind = "path",
    scope: Scope = None,
    ttl: Annotated[str, typer.Option("--ttl", help="how long the claims outlive this process")] = "60s",
    wait: Annotated[str, typer.Option("--wait", help="how long to wait for them; else refused at once")] = "0s",
    priority: Annotated[int, typer.Option("--priority", "-p", min=0, max=9, help="of those who wait")] = 0,
    preempt: Annotated[bool, typer.Option("--preempt", help="ask holders of lower priorities to release")] = False,
    owner: Annotated[str, typer.Option("--owner", help="who holds them; by default a new name")] = "",
    purpose: Annotated[str, typer.Option("--purpose", help="for people; by default the command")] = "",
    address: Address = None,
) -> None:
    """Run a command while its claims are held: all of them, or it does not run.

    The exit code is the command's. Claims are renewed while it runs and released when it has ended, however it ends.
    When they are lost the command is stopped before anybody else can have them, and the exit code is 4. Signals are
    passed on. The command finds TERCIO_CLAIM_TOKEN, the fencing token to give to whatever it writes to, and
    TERCIO_CLAIM_OWNER, TERCIO_CLAIM_TOKENS and TERCIO_CLAIM_SCOPE, which the hook of `tercio git-hook` reads.
    """
    command = ctx.meta[_COMMAND]
    with checked():
        if not command:
            raise ValueError("give the command after --")
        wanted = named(names, kind=kind, scope=scope)
        options = _Options(
            mode=mode,
            ttl_s=texts.parse_duration(ttl).total_seconds(),
            wait_s=texts.parse_duration(wait).total_seconds(),
            priority=priority,
            preempt=preempt,
            owner=owner,
            purpose=purpose or " ".join(command)[:_MOST_PURPOSE],
        )
    raise typer.Exit(asyncio.run(_run(command, wanted, options, address)))


class _Options(TypedDict):
    mode: ClaimMode
    ttl_s: float
    wait_s: float
    priority: int
    preempt: bool
    owner: str
    purpose: str


async def _run(command: list[str], wanted: Named, options: _Options, address: str | None) -> int:
    async with taken() as place, Client(address=address) as client:
        try:
            async with client.claims.hold(*wanted.things, cancel_when_lost=False, **options) as held:
                telling = asyncio.create_task(_tell_requests(held))
                environment = {**_joined(held.environment), "TERCIO_CLAIM_SCOPE": wanted.scope}
                code = await place.run(
                    command,
                    environment=environment,
                    until=held.lost,
                    # Half of what is left to end by itself, the other half to be ended.
                    grace_s=lambda: held.left_s / 2,
                )
                telling.cancel()
                was_lost = held.lost.is_set()
        except asyncio.CancelledError:
            return ExitCode.INTERRUPTED
    if was_lost:
        names = ", ".join(text_of(each) for each in wanted.things)
        raise CommandError(
            f"the claims on {names} were lost, so the command was stopped",
            code=ExitCode.REFUSED,
            hint="`tercio claims list` shows who has them now",
        )
    return code


def _joined(ours: dict[str, str]) -> dict[str, str]:
    """Add the tokens of the command around this one, if it works for the same owner."""
    if os.environ.get("TERCIO_CLAIM_OWNER") != ours["TERCIO_CLAIM_OWNER"]:
        return ours
    return {**ours, "TERCIO_CLAIM_TOKENS": f"{os.environ.get('TERCIO_CLAIM_TOKENS', '')} {ours['TERCIO_CLAIM_TOKENS']}"}


async def _tell_requests(held: HeldClaim) -> None:
    await held.asked.wait()
    if held.request is not None:
        who, why, ends_s = held.request
        until = time.strftime("%H:%M:%S", time.localtime(ends_s))
        typer.echo(f"tercio: {who} asks for it{f': {why}' if why else ''}; it is released at {until}", err=True)
