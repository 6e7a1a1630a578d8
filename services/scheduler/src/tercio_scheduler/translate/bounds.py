"""The bounds that the contract states, and a collector that reports every field that breaks one.

Columns are checked in bulk: a whole column passes by a few calls into C, and only one that fails is walked entry by
entry to name what is wrong with it.
"""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from tercio_common.errors import FieldViolation, Refusal
from tercio_common.rpc.violations import MAX_TEXT, Violations

TASK_ID: Final = re.compile(r"[A-Za-z0-9._:/-]{1,128}")
PLAN_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}")
REASON: Final = re.compile(r"[A-Z][A-Z0-9_]{0,127}")
SESSION_ID: Final = re.compile(r"[A-Za-z0-9._:-]{16,64}")

MAX_ID: Final = 128
MAX_BODY: Final = 64 * 1024
"""Bytes of a payload, a result or a checkpoint: a commit is 512 kB, and one task shall not fill it."""
MAX_FRAME: Final = 256 * 1024
"""Bytes of a frame: two fit into one commit."""
MAX_SUBMISSION: Final = 1000
MAX_PARENTS: Final = 256
MAX_REASON_TEXT: Final = 1024
MAX_MESSAGE: Final = 4096
YEARS_MS: Final = 10 * 365 * 86_400_000
"""Ten years, the longest time that is taken for meant."""

_ID_BYTES: Final = (string.ascii_letters + string.digits + "._:/-").encode()
_LAST_SECOND: Final = 253_402_300_799  # the end of the year 9999, which is also protobuf's
_REPORTED: Final = 16
"""Entries of one column that are named; a column that is wrong throughout says nothing more by the next ones."""


class Bounds(Violations):
    """The violations of one request; bodies that are too large have a reason of their own."""

    def __init__(self) -> None:
        """Start with none."""
        super().__init__()
        self._too_large: list[FieldViolation] = []

    def __len__(self) -> int:
        """Return how many were found."""
        return len(self._found) + len(self._too_large)

    def check_body(self, field: str, body: bytes) -> None:
        """Require at most 64 kB."""
        if len(body) > MAX_BODY:
            self._too_large.append(
                FieldViolation(field, f"has {len(body)} bytes, at most {MAX_BODY}: pass a reference to it instead")
            )

    def check_bodies(self, field: str, bodies: Sequence[bytes]) -> None:
        """Require at most 64 kB of each."""
        if bodies and max(map(len, bodies)) > MAX_BODY:
            for index, body in enumerate(bodies):
                self.check_body(f"{field}[{index}]", body)

    def check_task_ids(self, field: str, task_ids: Sequence[str]) -> None:
        """Require the ids of tasks to be well-formed."""
        if not task_ids:
            return
        joined = "".join(task_ids)
        if joined.isascii() and not joined.encode().translate(None, _ID_BYTES):
            lengths = list(map(len, task_ids))
            if min(lengths) > 0 and max(lengths) <= MAX_ID:
                return
        wrong = [index for index, task_id in enumerate(task_ids) if TASK_ID.fullmatch(task_id) is None]
        for index in wrong[:_REPORTED]:
            self.add(f"{field}[{index}]", f"must match {TASK_ID.pattern}")
        if len(wrong) > _REPORTED:
            self.add(field, f"has {len(wrong) - _REPORTED} more malformed ids")

    def check_unique(self, field: str, values: Sequence[str] | Sequence[int]) -> bool:
        """Require every value to occur once."""
        distinct = set(values)
        if len(distinct) == len(values):
            return True
        seen: set[str | int] = set()
        twice = [value for value in values if value in seen or seen.add(value)]  # type: ignore[func-returns-value]
        shown = ", ".join(repr(value) for value in list(dict.fromkeys(twice))[:_REPORTED])
        self.add(field, f"must not name anything twice, repeats {shown}")
        return False

    def check_column(self, field: str, column: Sequence[object], *, count: int, of: str, optional: bool = True) -> bool:
        """Require one entry for each of `of`, or none at all when `optional`."""
        if len(column) == count or (optional and not column):
            return True
        alternative = " or none" if optional else ""
        self.add(field, f"must have one entry for each of {of}{alternative}: has {len(column)}, {of} has {count}")
        return False

    def check_indexes(self, field: str, indexes: Sequence[int], *, count: int, of: str) -> bool:
        """Require every index to point into a column of `count` entries."""
        if not indexes or max(indexes) < count:
            return True
        wrong = next(index for index, value in enumerate(indexes) if value >= count)
        self.add(f"{field}[{wrong}]", f"must be less than the {count} entries of {of}, is {indexes[wrong]}")
        return False

    def check_levels(self, field: str, levels: Mapping[str, int], *, most: int) -> None:
        """Require at most `most` capabilities with names of 1 to 128 characters and levels of 1 to 100."""
        self.check_length(field, levels, most=most, unit="capabilities")
        self.check_capabilities(field, dict(list(levels.items())[:most]))

    def check_few_labels(self, field: str, labels: Mapping[str, str], *, most: int) -> None:
        """Require at most `most` labels with keys of 1 to 128 and values of at most 128 characters."""
        self.check_length(field, labels, most=most, unit="labels")
        self.check_labels(field, dict(list(labels.items())[:most]))

    def check_timestamp(self, field: str, value: Timestamp) -> None:
        """Require a time from 1970 to 9999."""
        valid = 0 <= value.seconds <= _LAST_SECOND and 0 <= value.nanos <= 999_999_999
        self.check(field, valid, "must be a time from 1970 to 9999, with nanos under one second")

    def check_text(self, field: str, value: str, *, most: int = MAX_TEXT) -> None:
        """Require at most `most` characters."""
        self.check_length(field, value, most=most)

    def raise_if_any(self) -> None:
        """Return if nothing is wrong.

        Raises:
            Refusal: PAYLOAD_TOO_LARGE if that is all that is wrong, else INVALID_ARGUMENT; with every violation.
        """
        if not self._too_large:
            super().raise_if_any()
            return
        if not self._found:
            first = self._too_large[0]
            raise Refusal(
                "PAYLOAD_TOO_LARGE", f"{first.field} {first.description}", violations=tuple(self._too_large)
            )  # fmt: skip
        self._found += self._too_large
        super().raise_if_any()
