"""The result as a table for people and as JSON for programs."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from statistics import median

from benchmarks.measurements import Latency, Round

_DISTRIBUTIONS = ("tercio", "grpcio", "protobuf", "uvloop")


def environment(etcd: Path) -> dict[str, str]:
    """Return what the numbers were measured with."""
    told = subprocess.run([etcd, "--version"], capture_output=True, text=True, check=True).stdout
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in _DISTRIBUTIONS},
        "etcd": told.split("etcd Version:")[1].split()[0],
        "cores": str(os.cpu_count()),
    }


def as_json(rounds: Sequence[Round], paced: Latency, found: dict[str, str]) -> str:
    """Return everything that was measured."""
    return json.dumps(
        {
            "environment": found,
            "rounds": [{**asdict(one), "rate": one.rate} for one in rounds],
            "latency": asdict(paced),
            "median": {"rate": _rate(rounds), "cpu_micros": _cpu(rounds), "account": _account(rounds)},
        },
        indent=2,
    )


def as_table(rounds: Sequence[Round], paced: Latency, found: dict[str, str]) -> str:
    """Return the medians, with the range of the rounds."""
    rates = [one.rate for one in rounds]
    speeds = [one.calibration_ms for one in rounds]
    cpu, account = _cpu(rounds), _account(rounds)
    rows = [
        ("durable no-op tasks, end to end", f"{_rate(rounds):,.0f} tasks/s", f"{min(rates):,.0f} - {max(rates):,.0f}"),
        ("scheduler", f"{cpu['scheduler']:.1f} µs CPU a task", ""),
        ("etcd / agents / client", " / ".join(f"{cpu[name]:.1f}" for name in ("etcd", "agents", "client")) + " µs", ""),
        ("of all cores a task", f"{account['all']:.1f} µs", f"{len(cpu)} processes {sum(cpu.values()):.1f} µs"),
        ("idle / other programs", f"{account['idle']:.1f} / {account['other']:.1f} µs", ""),
        ("the scheduler's share of its core", f"{account['share']:.0%}", ""),
        ("commits", f"{account['commits']:.0f} a second", f"{account['batch']:,.0f} tasks each"),
        ("latency at 50 tasks/s, p50", f"{paced.p50_ms:.1f} ms", f"{paced.tasks} tasks"),
        ("latency at 50 tasks/s, p99", f"{paced.p99_ms:.1f} ms", ""),
        ("calibration loop", f"{median(speeds):.0f} ms", f"{min(speeds):.0f} - {max(speeds):.0f}"),
    ]
    lines = [f"| {name} | {value} | {spread} |" for name, value, spread in rows]
    head = [f"| | median of {len(rounds)} | range |", "|---|---|---|"]
    return "\n".join([*head, *lines, "", ", ".join(f"{name} {value}" for name, value in found.items())])


def _rate(rounds: Sequence[Round]) -> float:
    return median(one.rate for one in rounds)


def _cpu(rounds: Sequence[Round]) -> dict[str, float]:
    return {name: median(one.cpu_micros[name] for one in rounds) for name in rounds[0].cpu_micros}


def _account(rounds: Sequence[Round]) -> dict[str, float]:
    """Return where the cores' time went, in µs a task, and how the scheduler worked."""
    cores, cpu = os.cpu_count() or 1, _cpu(rounds)
    everything = cores * 1e6 / _rate(rounds)
    idle = median(one.idle_micros for one in rounds)
    return {
        "all": everything,
        "idle": idle,
        "other": max(0.0, everything - idle - sum(cpu.values())),
        "share": cpu["scheduler"] * _rate(rounds) / 1e6,
        "commits": median(one.commits / one.seconds for one in rounds),
        "batch": median(one.tasks / max(one.commits, 1) for one in rounds),
    }
