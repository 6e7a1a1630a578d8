"""Configurations as JSON documents: canonical text, merge patches, differences."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any, Final, NamedTuple

MAX_BYTES: Final = 60_000
"""With what is sent beside it, it stays under the 64 kB of a system task."""
MAX_DEPTH: Final = 32
_MOST_PATH: Final = 256
"""Characters of a path under which members are told one by one: else a long name above thousands of them is repeated
for each, and 60 kB make an answer of 90 MB."""
EMPTY: Final = "{}"
"""What an agent is told that has no configuration: it uses its own defaults."""


class DocumentError(ValueError):
    """A text is not a document; the message says why, for people."""


class Difference(NamedTuple):
    """One value that differs, as JSON; empty where there is none."""

    path: str
    before: str
    after: str


def parse(text: str, *, most_bytes: int = MAX_BYTES) -> dict[str, Any]:
    """Read a JSON object; later values of a name win.

    Raises:
        DocumentError: it is something else, too long or too deep.
    """
    if len(text.encode(errors="replace")) > most_bytes:
        raise DocumentError(f"must have at most {most_bytes} bytes")
    try:
        value = json.loads(text, parse_constant=_refused)
        canonical(value).encode()  # a lone surrogate can be neither stored nor sent
    except RecursionError:
        raise DocumentError(f"must be at most {MAX_DEPTH} levels deep") from None
    except ValueError as error:
        raise DocumentError(f"is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise DocumentError("must be a JSON object")
    if _depth(value) > MAX_DEPTH:
        raise DocumentError(f"must be at most {MAX_DEPTH} levels deep")
    return value


def canonical(value: Any) -> str:
    """Write JSON with sorted keys and without blanks."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, sort_keys=True, separators=(",", ":"))


def digest(document: str) -> str:
    """Return the hexadecimal SHA-256 of a canonical document, by which an agent says what it runs."""
    return sha256(document.encode()).hexdigest()


def merged(target: Any, patch: Any) -> Any:
    """Apply a JSON merge patch (RFC 7396)."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def differences(before: Any, after: Any, path: str = "") -> Iterator[Difference]:
    """Give what differs, by JSON pointer (RFC 6901); lists, and what has a long path, are compared as a whole."""
    if isinstance(before, Mapping) and isinstance(after, Mapping) and len(path) < _MOST_PATH:
        for name in sorted({*before, *after}):
            inner = f"{path}/{name.replace('~', '~0').replace('/', '~1')}"
            if name not in before:
                yield Difference(inner, "", canonical(after[name]))
            elif name not in after:
                yield Difference(inner, canonical(before[name]), "")
            else:
                yield from differences(before[name], after[name], inner)
    elif canonical(before) != canonical(after):  # to Python, 1 equals both 1.0 and true
        yield Difference(path, canonical(before), canonical(after))


def _depth(value: Any) -> int:
    """Return how many objects and lists are nested; stops counting where it is certainly too deep."""
    level, found = [value], 0
    while level and found <= MAX_DEPTH:
        found += 1
        level = [
            inner
            for each in level
            for inner in (each.values() if isinstance(each, dict) else each)
            if isinstance(inner, dict | list)
        ]
    return found


def _refused(constant: str) -> Any:
    raise ValueError(f"{constant} is not a number of JSON")
