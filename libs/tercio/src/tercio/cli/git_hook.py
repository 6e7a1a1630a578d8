"""`tercio git-hook`: lets git refuse what claims forbid."""

from __future__ import annotations

import asyncio
import os
from typing import Final

import typer

from tercio import git_hooks
from tercio.cli.connect import fleet
from tercio.cli.exits import ExitCode
from tercio.cli.failures import CommandError
from tercio.commit_check import Committer, objections
from tercio.errors import DeadlineExceededError, UnavailableError
from tercio.repository import Repository, RepositoryError

app = typer.Typer(help="Let git refuse commits to what others hold.", no_args_is_help=True)

_MOST_SHOWN: Final = 20
_PAST_IT: Final = "git commit --no-verify commits all the same"


@app.command(epilog="Example: tercio git-hook install")
def install() -> None:
    """Install the hooks for all working trees of this repository; a hook that is there already runs first.

    A commit is refused when somebody else holds a path that it changes, or when it is made under a claim that was lost.
    Settings of git: tercio.requireClaim=true refuses paths that the committer does not hold itself;
    tercio.whenDown=allow lets commits pass while nobody answers; tercio.address says where the fleet is, unless
    TERCIO_ADDRESS does; tercio.scope gives clones a common name.
    """
    for hook in git_hooks.install(_here()):
        typer.echo(f"installed {hook}")


@app.command(epilog="Example: tercio git-hook uninstall")
def uninstall() -> None:
    """Remove the hooks, and put back those that were there before."""
    removed = git_hooks.uninstall(_here())
    for hook in removed:
        typer.echo(f"removed {hook}")
    if not removed:
        typer.echo("not installed")


@app.command(epilog="Example: tercio git-hook run")
def run() -> None:
    """Check what is staged, as the hooks do."""
    repository = _here()
    found = asyncio.run(_objections(repository))
    if not found:
        return
    shown = found[:_MOST_SHOWN]
    if len(found) > len(shown):
        shown.append(f"and {len(found) - len(shown)} more")
    hint = (
        f"hint: `tercio claims list` shows who holds what, `tercio claim --wait 10m NAME -- COMMAND` waits; {_PAST_IT}"
    )
    for line in ("tercio: this commit is refused:", *(f"  {each}" for each in shown), hint):
        typer.echo(line, err=True)
    raise typer.Exit(ExitCode.REFUSED)


async def _objections(repository: Repository) -> list[str]:
    address = None if os.environ.get("TERCIO_ADDRESS") else repository.setting("tercio.address") or None
    try:
        async with fleet(address) as services:
            return await objections(
                services.claims,
                repository.staged(),
                scope=repository.scope,
                committer=Committer.of(os.environ),
                must_claim=repository.setting("tercio.requireClaim") == "true",
            )
    except (UnavailableError, DeadlineExceededError) as error:
        if repository.setting("tercio.whenDown") == "allow":
            typer.echo(f"tercio: nobody could tell whether others hold what is committed: {error}", err=True)
            return []
        raise CommandError(
            f"nobody can tell whether others hold what is committed: {error}",
            code=ExitCode.UNAVAILABLE,
            hint=f"{_PAST_IT}; git config tercio.whenDown allow does so whenever nobody answers",
        ) from None


def _here() -> Repository:
    try:
        return Repository()
    except RepositoryError as error:
        raise CommandError(str(error), code=ExitCode.USAGE, hint="stand in a working tree of git") from None
