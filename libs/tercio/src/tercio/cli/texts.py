"""How times, durations and maps are written for people, and how people write them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from tercio.api.type.v1.resource_amount_pb2 import ResourceAmount

_UNITS_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[smhd])")


def parse_duration(text: str) -> timedelta:
    """Read `90s`, `1h30m` or `250ms`.

    Raises:
        ValueError: it is not written like that.
    """
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is not a duration: write for instance 90s, 5m or 1h30m")
    return timedelta(milliseconds=sum(float(number) * _UNITS_MS[unit] for number, unit in parts))


def parse_pairs(pairs: list[str], *, what: str) -> dict[str, str]:
    """Read `key=value` pairs.

    Raises:
        ValueError: one has no `=` or no key.
    """
    found = {}
    for pair in pairs:
        key, separator, value = pair.partition("=")
        if not (key and separator):
            raise ValueError(f"{pair!r} is not a {what}: write KEY=VALUE")
        found[key] = value
    return found


def parse_amounts(texts: list[str]) -> dict[str, int]:
    """Read `cpu_cores=2`.

    Raises:
        ValueError: it is something else.
    """
    found = {}
    for text in texts:
        name, _, amount = text.partition("=")
        if not name or not amount.isdigit():
            raise ValueError(f"{text!r} is not an amount: write DIMENSION=AMOUNT with a whole number")
        found[name] = int(amount)
    return found


def parse_capabilities(texts: list[str]) -> dict[str, int]:
    """Read `python` (which means level 1) or `python=50`.

    Raises:
        ValueError: a level is not a number from 1 to 100, or a name is empty.
    """
    found = {}
    for text in texts:
        name, separator, level = text.partition("=")
        if not name or (separator and not (level.isdigit() and 1 <= int(level) <= 100)):
            raise ValueError(f"{text!r} is not a capability: write NAME or NAME=LEVEL with a level from 1 to 100")
        found[name] = int(level) if separator else 1
    return found


def amounts(given: Iterable[ResourceAmount]) -> str:
    """Write `cpu 4000 millicores, tokens 10000`."""
    return ", ".join(f"{each.dimension} {each.amount} {each.unit}".rstrip() for each in given)


def pairs(values: Mapping[str, object]) -> str:
    """Write a map as `a=1,b=2`."""
    return ",".join(f"{key}={values[key]}" for key in sorted(values))


def clock_time(moment: Timestamp) -> str:
    """Write a time in full, local; empty when it is not set."""
    if not moment.ByteSize():
        return ""
    return moment.ToDatetime(UTC).astimezone().isoformat(sep=" ", timespec="milliseconds")


def age(moment: Timestamp, *, now: datetime | None = None) -> str:
    """Write how long ago a time was; `-` when it is not set."""
    if not moment.ByteSize():
        return "-"
    passed = (now or datetime.now(UTC)) - moment.ToDatetime(UTC)
    return span(max(passed, timedelta(0)))


def span(duration: timedelta | Duration) -> str:
    """Write a duration with the two units that matter: `340ms`, `4.2s`, `3m10s`, `5h2m`, `3d4h`."""
    passed = duration.ToTimedelta() if isinstance(duration, Duration) else duration
    seconds = passed.total_seconds()
    if seconds < 1:
        return f"{round(seconds * 1000)}ms"
    if seconds < 60:
        return f"{seconds:.1f}s"
    whole = int(seconds)
    for size, unit, smaller, smaller_unit in ((86400, "d", 3600, "h"), (3600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size}{unit}{f'{rest}{smaller_unit}' if rest else ''}"
    return f"{whole}s"


def readable(data: bytes, *, limit: int = 4096) -> str:
    """Write a payload or a result: as text where it is text, else its size; cut at that many characters."""
    if not data:
        return ""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return f"{len(data)} bytes of binary data"
    try:
        text = json.dumps(json.loads(text))
    except ValueError:
        text = text.rstrip()
    return text if len(text) <= limit else f"{text[:limit]}… ({len(data)} bytes)"
