"""Collects everything that is wrong with a request, so that the caller learns it all at once."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sized

from google.protobuf.duration_pb2 import Duration

from tercio_common.errors import FieldViolation, Refusal

ID_PATTERN = re.compile(r"[A-Za-z0-9._-]{1,128}")
"""Ids that people and programs choose."""
MAX_TEXT = 128
"""Characters of a name, key or request id."""
_MAX_CAPABILITIES = 128
_MAX_LEVEL = 100
_MAX_LABELS = 64


class Violations:
    """The violations of one request, in the order in which they were found."""

    def __init__(self) -> None:
        """Start with none."""
        self._found: list[FieldViolation] = []

    def add(self, field: str, description: str) -> None:
        """Note that `field`, a path as `tasks[3].labels`, is wrong."""
        self._found.append(FieldViolation(field, description))

    def check(self, field: str, holds: bool, description: str) -> bool:
        """Note `description` unless `holds`; return `holds`."""
        if not holds:
            self.add(field, description)
        return holds

    def check_length(self, field: str, value: Sized, *, least: int = 0, most: int, unit: str = "characters") -> bool:
        """Require `least` to `most` characters, bytes or entries."""
        count = len(value)
        bounds = f"{least} to {most}" if least else f"at most {most}"
        return self.check(field, least <= count <= most, f"must have {bounds} {unit}, has {count}")

    def check_pattern(self, field: str, value: str, pattern: re.Pattern[str]) -> bool:
        """Require the whole value to match."""
        return self.check(field, pattern.fullmatch(value) is not None, f"must match {pattern.pattern}")

    def check_id(self, field: str, value: str, *, optional: bool = False) -> bool:
        """Require 1 to 128 characters of [A-Za-z0-9._-]; an `optional` one may be empty."""
        return (optional and not value) or self.check_pattern(field, value, ID_PATTERN)

    def check_range(self, field: str, value: float, *, least: float, most: float) -> bool:
        """Require `least` to `most`, both included."""
        return self.check(field, least <= value <= most, f"must be {least:g} to {most:g}, is {value:g}")

    def check_one_of(self, field: str, value: int, allowed: Collection[int]) -> bool:
        """Require a known value of an enum; proto3 lets unknown numbers through."""
        return self.check(field, value in allowed, f"{value} is not a value that this server knows")

    def check_duration(self, field: str, value: Duration, *, least_ms: int, most_ms: int) -> int:
        """Require `least_ms` to `most_ms` milliseconds; return them, or `least_ms` when the value is wrong."""
        milliseconds = value.seconds * 1000 + value.nanos // 1_000_000
        if abs(value.nanos) > 999_999_999 or (
            value.nanos and (value.nanos < 0) != (value.seconds < 0) and value.seconds
        ):
            self.add(field, "is not a valid duration: nanos must be under one second and have the sign of seconds")
            return least_ms
        holds = least_ms <= milliseconds <= most_ms
        self.check(field, holds, f"must be {least_ms} to {most_ms} ms, is {milliseconds} ms")
        return milliseconds if holds else least_ms

    def check_capabilities(self, field: str, value: Mapping[str, int]) -> None:
        """Require at most 128 capabilities with names of 1 to 128 characters and levels of 1 to 100."""
        self.check_length(field, value, most=_MAX_CAPABILITIES, unit="capabilities")
        for name, level in value.items():
            self.check_length(f"{field}[{_shown(name)}]", name, least=1, most=MAX_TEXT)
            self.check_range(f"{field}[{_shown(name)}]", level, least=1, most=_MAX_LEVEL)

    def check_labels(self, field: str, value: Mapping[str, str]) -> None:
        """Require at most 64 labels with keys of 1 to 128 and values of at most 128 characters."""
        self.check_length(field, value, most=_MAX_LABELS, unit="labels")
        for key, text in value.items():
            self.check_length(f"{field}[{_shown(key)}]", key, least=1, most=MAX_TEXT)
            self.check_length(f"{field}[{_shown(key)}]", text, most=MAX_TEXT)

    def raise_if_any(self) -> None:
        """Return if nothing is wrong.

        Raises:
            Refusal: INVALID_ARGUMENT with every violation.
        """
        if not self._found:
            return
        first = self._found[0]
        more = f" (and {len(self._found) - 1} more)" if len(self._found) > 1 else ""
        raise Refusal("INVALID_ARGUMENT", f"{first.field}: {first.description}{more}", violations=tuple(self._found))


def _shown(key: str) -> str:
    return key if len(key) <= MAX_TEXT else key[:MAX_TEXT] + "…"
