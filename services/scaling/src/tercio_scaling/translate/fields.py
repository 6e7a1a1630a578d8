"""Parts that the messages of several nouns share."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from tercio_common.rpc.violations import MAX_TEXT, Violations

DAY_MS: Final = 86_400_000
HOUR_MS: Final = 3_600_000
MOST_AGENTS: Final = 10_000
MOST_MONEY: Final = 10**15
"""Millionths of the currency."""
MOST_TEXT: Final = 1_024
MOST_SPEC: Final = 65_536


def reason_of(reason: str, found: Violations) -> str:
    """Return why somebody asks for something, and note when it is missing."""
    found.check_length("reason", reason, least=1, most=MOST_TEXT)
    return reason


def object_of(field: str, text: str, found: Violations) -> dict[str, Any]:
    """Return a JSON object, and note when it is none."""
    found.check_length(field, text.encode(), most=MOST_SPEC, unit="bytes")
    try:
        value = json.loads(text or "{}")
    except ValueError as error:
        found.add(field, f"is not JSON: {error}")
        return {}
    found.check(field, isinstance(value, dict), "must be a JSON object")
    return value if isinstance(value, dict) else {}


def text_of(value: Mapping[str, Any]) -> str:
    """Return a JSON object as text that is the same for the same object."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def texts_of(field: str, given: Mapping[str, str], found: Violations, *, most: int) -> dict[str, str]:
    """Return names and texts, and note what is wrong with them."""
    found.check_length(field, given, most=64, unit="entries")
    for name, text in given.items():
        found.check_length(f"{field}[{name[:MAX_TEXT]}]", name, least=1, most=MAX_TEXT)
        found.check_length(f"{field}[{name[:MAX_TEXT]}]", text, most=most)
    return dict(given)
