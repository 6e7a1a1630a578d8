"""Runs one participant for one round, in a folder and a process group of its own, so that nothing of it is left."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.calibration import calibrate
from benchmarks.fleet import ROOT
from benchmarks.peers.catalogue import Peer
from benchmarks.peers.comparison import Sample
from benchmarks.peers.environments import Environment

PROGRAMS = Path(__file__).with_name("programs")
# Beyond what is measured: starting, warming up, and the tasks that are under way when the time is over.
_SPARE_S = 120.0
# Of the caller's environment: neither his virtual environment nor his settings of a peer may show through.
_HIDDEN = ("PYTHON", "VIRTUAL_ENV", "RAY_", "DASK_", "dramatiq_")


class ProgramError(Exception):
    """A participant failed; the message has the end of its output."""


def run_peer(
    peer: Peer, environment: Environment, *, seconds: float, paced_seconds: float, folder: str | None
) -> Sample:
    """Run a peer's program.

    Raises:
        ProgramError: it failed.
    """
    calibration = calibrate()
    with tempfile.TemporaryDirectory(prefix="peer-", dir=folder, ignore_cleanup_errors=True) as place:
        found = _told(
            [
                str(environment.python),
                str(PROGRAMS / peer.program),
                f"--seconds={seconds}",
                f"--paced-seconds={paced_seconds}",
                f"--folder={place}",
                f"--server={environment.server}",
                *peer.arguments,
            ],
            Path(place),
            within_s=seconds + paced_seconds + _SPARE_S,
        )
    return Sample(
        rate=found["tasks"] / found["seconds"],
        p50_ms=found["p50_ms"],
        p99_ms=found["p99_ms"],
        calibration_ms=calibration,
        versions=found["versions"],
    )


def run_tercio(*, seconds: float, folder: str | None) -> Sample:
    """Run Tercio's own benchmark, `python -m benchmarks`, for one round.

    Raises:
        ProgramError: it failed.
    """
    command = [sys.executable, "-m", "benchmarks", "--json", "--rounds=1", f"--seconds={seconds}"]
    with tempfile.TemporaryDirectory(prefix="peer-", dir=folder, ignore_cleanup_errors=True) as place:
        found = _told([*command, f"--folder={place}"], Path(place), within_s=2 * seconds + _SPARE_S)
    return tercio_sample(found)


def tercio_sample(found: Mapping[str, Any]) -> Sample:
    """Return what `python -m benchmarks --json` printed as a sample."""
    return Sample(
        rate=found["median"]["rate"],
        p50_ms=found["latency"]["p50_ms"],
        p99_ms=found["latency"]["p99_ms"],
        calibration_ms=found["rounds"][0]["calibration_ms"],
        scheduler_micros=found["median"]["cpu_micros"]["scheduler"],
        versions={name: found["environment"][name] for name in ("tercio", "grpcio", "etcd", "python")},
    )


def _told(command: Sequence[str], folder: Path, *, within_s: float) -> dict[str, Any]:
    """Return what the command printed, as JSON; its whole process group is killed at the end."""
    output = folder / "output.json"
    errors = folder / "errors.log"
    with output.open("wb") as out, errors.open("wb") as err:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            cwd=ROOT,
            env=_environment(),
            start_new_session=True,
        )
        try:
            code = process.wait(timeout=within_s)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if code != 0:
        why = "took too long" if code is None else f"ended with {code}"
        logs = "\n".join(log.read_text(errors="replace")[-2000:] for log in sorted(folder.glob("*.log")))
        raise ProgramError(f"{' '.join(command[:3])} {why}:\n{logs}")
    found: dict[str, Any] = json.loads(output.read_text())
    return found


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(_HIDDEN)}
