"""The labelled pairs of decisions, and the fixed rule by which they are parted into two halves."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Final, NamedTuple

import yaml

FILE: Final = Path(__file__).with_name("decision_pairs.yaml")
HALVES: Final = ("development", "held out")


class Text(NamedTuple):
    """What an agent wrote."""

    subject: str
    choice: str
    scope: str


class Pair(NamedTuple):
    """Two decisions, and whether they contradict each other."""

    contradicts: bool
    first: Text
    second: Text
    half: str


def half_of(texts: list[list[str]]) -> str:
    """Return the half of a pair: by a digest of its text, in which nobody has a say."""
    return HALVES[hashlib.sha256(json.dumps(texts).encode()).digest()[0] % 2]


def unprepared_pairs() -> list[tuple[Text, Text]]:
    """Return contradictions in words that nothing was prepared for when they were written."""
    rows = yaml.safe_load(FILE.with_name("decision_pairs_unprepared.yaml").read_text(encoding="utf-8"))
    return [(Text(*first), Text(*second)) for first, second in rows]


def pairs(half: str | None = None) -> list[Pair]:
    """Return the pairs of a half, or all."""
    rows = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    found = [Pair(label, Text(*first), Text(*second), half_of([first, second])) for label, first, second in rows]
    return [pair for pair in found if half in {None, pair.half}]
