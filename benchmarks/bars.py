"""What was measured beside the bar that it must meet, as a table for people and as JSON for programs."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One measurement.

    Attributes:
        name: what was measured.
        value: what came of it.
        limit: the largest value that meets the bar; None where there is none.
        unit: of both.
        details: what the value was made of, and what helps to judge it.
    """

    name: str
    value: float
    limit: float | None = None
    unit: str = ""
    details: Mapping[str, float] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """True when the bar is met."""
        return self.limit is None or self.value <= self.limit


def as_json(bars: Sequence[Bar]) -> str:
    """Return everything that was measured, with the machine's load average over the last minute."""
    found = [{**asdict(bar), "holds": bar.holds} for bar in bars]
    return json.dumps({"load": os.getloadavg()[0], "cores": os.cpu_count(), "bars": found}, indent=2)


def as_table(bars: Sequence[Bar]) -> str:
    """Return a row a measurement."""
    rows = [f"| {bar.name} | {_number(bar.value)} {bar.unit} | {_verdict(bar)} | {_details(bar)} |" for bar in bars]
    load = f"load {os.getloadavg()[0]:.1f}, cores {os.cpu_count()}"
    return "\n".join(["| | measured | at most | |", "|---|---|---|---|", *rows, "", load])


def _verdict(bar: Bar) -> str:
    if bar.limit is None:
        return ""
    return f"{_number(bar.limit)} {bar.unit}" + ("" if bar.holds else " MISSED")


def _details(bar: Bar) -> str:
    return ", ".join(f"{name} {_number(value)}" for name, value in bar.details.items())


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"
