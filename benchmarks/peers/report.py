"""The comparison as tables for people and as JSON for programs."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from statistics import median

from benchmarks.peers.catalogue import PEERS, TERCIO
from benchmarks.peers.comparison import Sample, ratio, verdicts

Samples = Mapping[str, Sequence[Sample]]


def as_text(samples: Samples, absent: Mapping[str, str], load: tuple[float, float, float]) -> str:
    """Return a table of participants, one of bars, and what the numbers were measured with.

    Args:
        samples: of each participant, one a round.
        absent: why a participant is missing or incomplete, by name.
        load: the machine's load averages over 1, 5 and 15 minutes at the end.
    """
    loops = [one.calibration_ms for each in samples.values() for one in each]
    parts = [
        _participants(samples),
        _bars(samples),
        "\n".join(f"{name}: {why}" for name, why in absent.items()),
        f"calibration loop: {median(loops):.0f} ms, {min(loops):.0f} - {max(loops):.0f}" if loops else "",
        f"cores {os.cpu_count()}, load {' '.join(f'{one:.1f}' for one in load)}",
        ", ".join(f"{name} {version}" for name, version in versions(samples).items()),
    ]
    return "\n\n".join(part for part in parts if part)


def as_json(samples: Samples, absent: Mapping[str, str], load: tuple[float, float, float]) -> str:
    """Return everything that was measured."""
    return json.dumps(
        {
            "samples": {name: [asdict(one) for one in each] for name, each in samples.items()},
            "absent": dict(absent),
            "ratios": _ratios(samples),
            "bars": [asdict(one) for one in verdicts(samples, PEERS)],
            "load": load,
        },
        indent=2,
    )


def versions(samples: Samples) -> dict[str, str]:
    """Return the version of everything that took part."""
    return {name: version for each in samples.values() for one in each for name, version in one.versions.items()}


def _participants(samples: Samples) -> str:
    titles = {TERCIO: "**Tercio**"} | {peer.name: peer.title for peer in PEERS}
    ratios = _ratios(samples)
    rows = [
        f"| {titles[name]} | {median(rates):,.0f} | {min(rates):,.0f} - {max(rates):,.0f} | {_times(ratios.get(name))} "
        f"| {median(one.p50_ms for one in each):.1f} | {median(one.p99_ms for one in each):.1f} |"
        for name, each in samples.items()
        if (rates := [one.rate for one in each])
    ]
    count = max((len(each) for each in samples.values()), default=0)
    head = f"| | tasks/s, median of {count} | range | Tercio ÷ it | p50 ms | p99 ms |"
    return "\n".join([head, "|---|---|---|---|---|---|", *rows])


def _bars(samples: Samples) -> str:
    rows = [
        f"| {one.what} | {one.measured} | {one.bar} | {'pass' if one.passed else 'miss'} |"
        for one in verdicts(samples, PEERS)
    ]
    return "\n".join(["| bar | measured | wanted | |", "|---|---|---|---|", *rows]) if rows else ""


def _ratios(samples: Samples) -> dict[str, float]:
    ours = samples.get(TERCIO)
    if not ours:
        return {}
    return {name: ratio(ours, each) for name, each in samples.items() if name != TERCIO and each}


def _times(found: float | None) -> str:
    return "" if found is None else f"{found:.1f} ×"
