"""`tercio store`: what an operator does to the store itself."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from tercio.cli.hosting import hosted, hosting

app = typer.Typer(help="Look after the store under the services.", no_args_is_help=True)


@app.callback()
def options() -> None:
    """Keep the group a group while it has one verb."""


@app.command(
    "new-generation",
    epilog="Example: TERCIO_STORE__ENDPOINTS='[\"etcd-0:2379\"]' tercio store new-generation --yes",
)
def new_generation(
    path: Annotated[Path | None, typer.Option("--path", help="a SQLite file instead of the configured store")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="do not ask")] = False,
) -> None:
    """Raise the store's generation, after it was restored from a backup or replaced.

    Revisions start again then, and every leader of before must count as older. Present leaders step down at once and
    are elected again; nothing is lost. TERCIO_STORE__KIND, __ENDPOINTS, __PREFIX and so on name the store.
    """
    raise_generation = hosting("new-generation")
    if not yes:
        typer.confirm("Every service will hold a new election. Was the store restored or replaced?", abort=True)
    with hosted():
        generation = asyncio.run(raise_generation(path=path))
    typer.echo(f"the store's generation is {generation} now")
