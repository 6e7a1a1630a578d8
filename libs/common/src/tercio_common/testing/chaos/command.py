"""`tercio chaos`: does harm to a fleet on this machine and tells which promises held.

What it needs is imported when it runs: the command line loads this module to know the verb, whatever it was called for.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from tercio.cli.exits import ExitCode
from tercio.cli.failures import CommandError
from tercio.cli.output import Format, print_data

if TYPE_CHECKING:
    from tercio_common.testing.chaos.report import Report
    from tercio_common.testing.chaos.run import Plan

app = typer.Typer()

_LEAST_QUOTA_BYTES: Final = 64 << 20
_QUOTA_BYTES_A_TASK: Final = 8_000
"""Of etcd, which is filled on purpose: tasks take about 1 kB, a snapshot of them as much again, and history."""

EPILOG: Final = "Example: tercio chaos --seconds 60 --seed 7 --members 3 --faults kill,pause,slow-disk"


@app.command(epilog=EPILOG)
def chaos(
    seconds: Annotated[float, typer.Option("--seconds", min=1, max=3600, help="how long faults are injected")] = 60,
    seed: Annotated[int, typer.Option("--seed", help="of the faults and of the work")] = 1,
    tasks: Annotated[int, typer.Option("--tasks", min=0, help="how many are submitted; 0 is 50 a second")] = 0,
    members: Annotated[int, typer.Option("--members", help="of etcd, 1 or 3")] = 1,
    faults: Annotated[str, typer.Option("--faults", help="kinds or families, separated by commas; else all")] = "",
    etcd: Annotated[Path | None, typer.Option("--etcd", help="the program; else TERCIO_ETCD, else from PATH")] = None,
    keep: Annotated[Path | None, typer.Option("--keep", help="new directory for data, logs and recording")] = None,
    output: Annotated[Format, typer.Option("--output", "-o", help="how to print")] = Format.TABLE,
) -> None:
    """Do harm to a fleet of its own on this machine, and tell which promises held.

    Three replicas of the scheduler, two each of the registry, the resources, the conflicts and the scaling service, an
    etcd and some agents work on short tasks, and clients contend for a pool, for claims and for the number of agents,
    while processes are killed and stopped, the network is cut and the store goes away. Then everything is healed, and
    the history is checked: exit code 0 only if every promise held. A fleet that runs already is not touched.
    """
    from tercio_common.errors import TercioError
    from tercio_common.testing.chaos.etcd_cluster import EtcdNotReadyError, find_etcd
    from tercio_common.testing.chaos.faults.catalogue import chosen
    from tercio_common.testing.chaos.fleet import FleetPlan
    from tercio_common.testing.chaos.processes import ServerNotReadyError
    from tercio_common.testing.chaos.run import TASKS_A_SECOND, Plan

    if members not in {1, 3}:
        raise CommandError(f"--members is {members}; it must be 1 or 3", code=ExitCode.USAGE)
    names = tuple(name.strip() for name in faults.split(",") if name.strip())
    try:
        chosen(names)
        binary = find_etcd(etcd)
    except TercioError as error:
        raise CommandError(str(error), code=ExitCode.USAGE) from None
    count = tasks or round(seconds * TASKS_A_SECOND)
    fleet = FleetPlan(members=members, quota_bytes=max(_LEAST_QUOTA_BYTES, count * _QUOTA_BYTES_A_TASK))
    plan = Plan(seconds=seconds, seed=seed, tasks=count, faults=names, fleet=fleet)
    folder = _new_folder(keep)
    try:
        report = asyncio.run(_until_signal(plan, binary, folder))
    except (EtcdNotReadyError, ServerNotReadyError) as error:
        raise CommandError(str(error), hint=f"data and logs: {folder}") from None
    _print(report, output)
    if not report.holds:
        typer.echo(f"data, logs and recording: {folder}", err=True)
        raise typer.Exit(ExitCode.ERROR)
    if keep is None:
        shutil.rmtree(folder)


def _new_folder(keep: Path | None) -> Path:
    if keep is None:
        return Path(tempfile.mkdtemp(prefix="tercio-chaos-"))
    try:
        keep.mkdir(parents=True)
    except FileExistsError:
        raise CommandError(f"{keep} exists", code=ExitCode.USAGE, hint="--keep names a new directory") from None
    return keep.resolve()


async def _until_signal(plan: Plan, binary: Path, folder: Path) -> Report:
    """Run it; SIGTERM ends it as Ctrl-C does, with every process that it started."""
    from tercio_common.testing.chaos.run import run_chaos

    # That the scheduler is away now and then is what this is about.
    logging.getLogger("tercio").setLevel(logging.ERROR)
    begin = time.monotonic()

    def tell(name: str) -> None:
        typer.echo(f"{time.monotonic() - begin:6.1f} s  {name}", err=True)

    running = asyncio.ensure_future(run_chaos(plan, etcd=binary, folder=folder, on_fault=tell))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, running.cancel)
    try:
        return await running
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


def _print(report: Report, output: Format) -> None:
    if output in {Format.JSON, Format.YAML}:
        print_data(report.document(), output)
        return
    for one in report.promises:
        verdict = "BROKEN" if one.violations else "held"
        typer.echo(f"{one.promise:<5}{verdict:<8}{one.text:<42}{one.tried_on}")
    injected = ", ".join(f"{name} {count}" for name, count in sorted(report.faults.items()))
    ended = ", ".join(f"{count} {state.lower()}" for state, count in report.tried.ended.items())
    typer.echo(f"\n{sum(report.faults.values())} faults: {injected or 'none'}")
    typer.echo(f"{report.tried.acknowledged} tasks: {ended or 'none ended'}")
    for text in [*report.troubles, *(text for one in report.promises for text in one.violations)]:
        typer.echo(f"  {text}")
