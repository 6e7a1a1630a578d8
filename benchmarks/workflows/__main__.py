"""`python -m benchmarks.workflows`: plays a workflow and prints its makespan beside the lower bound."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from pathlib import Path

import uvloop

from benchmarks.workflows.bounds import bound
from benchmarks.workflows.plans import submission
from benchmarks.workflows.player import fleet, play
from benchmarks.workflows.report import Report, as_json, as_text, report
from benchmarks.workflows.shapes import SHAPES
from benchmarks.workflows.timeline import timeline
from benchmarks.workflows.wfformat import read
from benchmarks.workflows.workflow import Workflow, WorkflowError


def main() -> int:
    """Play; return the exit code: 2 when the workflow cannot be played."""
    arguments = _arguments()
    try:
        workflow = _workflow(arguments)
        best_s = bound(workflow, slots=arguments.agents).seconds
        if not best_s:
            raise WorkflowError(f"workflow {workflow.name!r} has no work: every runtime is 0")
    except WorkflowError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    scale = arguments.scale or arguments.seconds / best_s
    found = uvloop.run(_played(workflow, arguments, scale))
    print((as_json if arguments.json else as_text)(found))
    return 0


def _workflow(arguments: argparse.Namespace) -> Workflow:
    if arguments.shape:
        return SHAPES[arguments.shape](arguments.tasks, seed=arguments.seed)
    return read(arguments.file)


async def _played(workflow: Workflow, arguments: argparse.Namespace, scale: float) -> Report:
    async with fleet(slots=arguments.agents, in_memory=arguments.memory, folder=arguments.folder) as client:
        submitted = submission(workflow, scale=scale, prefix=os.urandom(6).hex())
        played = await play(client, submitted)
    measured = timeline(played, submitted.parents, slots=arguments.agents)
    return await asyncio.to_thread(report, workflow, submitted, measured, scale=scale)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.workflows", description=__doc__)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("file", nargs="?", type=Path, help="a workflow in WfFormat (WfCommons JSON)")
    what.add_argument("--shape", choices=sorted(SHAPES), help="generate a workflow instead")
    parser.add_argument("--tasks", type=_positive, default=1000, help="of the shape (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the shape (default: %(default)s)")
    parser.add_argument("--agents", type=_positive, default=16, help="slots (default: %(default)s)")
    parser.add_argument("--scale", type=_share, help="multiplies every runtime; overrides --seconds")
    parser.add_argument(
        "--seconds", type=_share, default=20.0, help="scale so that the lower bound is this long (default: %(default)s)"
    )
    parser.add_argument("--memory", action="store_true", help="everything in this process, without etcd")
    parser.add_argument("--json", action="store_true", help="everything that was measured, for programs")
    parser.add_argument("--folder", help="where etcd writes; a file system with a real fsync (default: the system's)")
    return parser.parse_args()


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def _share(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise argparse.ArgumentTypeError("must be above 0")
    return value


if __name__ == "__main__":
    sys.exit(main())
