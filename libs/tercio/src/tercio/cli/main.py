"""The command `tercio`: puts the verb groups together, ours and those that services add."""

from __future__ import annotations

import platform
from importlib.metadata import entry_points, version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from tercio.cli import (
    agent,
    agents,
    audit,
    claim,
    claims,
    dev,
    doctor,
    git_hook,
    plans,
    queues,
    rollouts,
    store,
    submit,
    tasks,
)
from tercio.cli.failures import reported

_EPILOG = (
    "Exit codes: 0 done, 1 error, 2 usage, 3 not found, 4 refused, 5 unavailable, 6 a task failed, 130 interrupted. "
    "Environment: TERCIO_ADDRESS, TERCIO_<SERVICE>_ADDRESS, NO_COLOR."
)


class _Reporting(TyperGroup):
    """Reports every error in one line and gives it its exit code."""

    def invoke(self, ctx: Any) -> Any:
        with reported():
            return super().invoke(ctx)


app = typer.Typer(
    cls=_Reporting,
    help="The control plane for a fleet of agents.",
    epilog=_EPILOG,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tercio {version('tercio')} (Python {platform.python_version()}, grpcio {version('grpcio')})")
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="print the version and leave")
    ] = False,
) -> None:
    """Take the options that come before the verb."""


app.command("dev", epilog=dev.EPILOG)(dev.dev)
app.command("submit", epilog=submit.EPILOG)(submit.submit)
app.add_typer(tasks.app, name="tasks")
app.add_typer(plans.app, name="plans")
app.add_typer(queues.app, name="queues")
app.add_typer(agents.app, name="agents")
app.add_typer(rollouts.app, name="rollout")
app.add_typer(agent.app, name="agent")
app.command("claim", cls=claim.WithCommand, epilog=claim.EPILOG)(claim.claim)
app.add_typer(claims.app, name="claims")
app.add_typer(git_hook.app, name="git-hook")
app.add_typer(audit.app, name="audit")
app.add_typer(store.app, name="store")
app.command("doctor", epilog=doctor.EPILOG)(doctor.doctor)


def _add(verbs: typer.Typer, *, name: str) -> None:
    is_single = len(verbs.registered_commands) == 1 and verbs.registered_callback is None
    # Without a name, Typer adds the command itself and not a group that holds it.
    app.add_typer(verbs, name=None if is_single else name)


def _add_verbs_of_services() -> None:
    """Add what services bring; one that is broken must not take the others' verbs with it."""
    for found in sorted(entry_points(group="tercio.cli"), key=lambda found: found.name):
        try:
            _add(found.load(), name=found.name)
        except Exception as error:
            typer.echo(f"warning: the verbs of `tercio {found.name}` are missing: {error}", err=True)


_add_verbs_of_services()
