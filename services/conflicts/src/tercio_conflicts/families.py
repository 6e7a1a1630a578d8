"""Reads families of choices: those of the package, and those of settings."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from tercio_conflicts.state.contradictions.vocabulary import Family, Option
from tercio_conflicts.state.severity import Severity


@cache
def packaged_families() -> tuple[Family, ...]:
    """Return the families that the package brings."""
    text = files(__package__).joinpath("families.toml").read_text(encoding="utf-8")
    return tuple(family_of(name, table) for name, table in tomllib.loads(text).items())


def family_of(name: str, table: Mapping[str, Any]) -> Family:
    """Return a family as a table of `families.toml` has it."""
    options = [Option(option, tuple(names)) for option, names in table.get("options", {}).items()]
    kinds = [
        Option(kind, tuple(given.get("names", ())), tuple(given["options"]))
        for kind, given in table.get("kinds", {}).items()
    ]
    return Family(
        name=name,
        subjects=tuple(table.get("subjects", ())),
        severity=Severity[table.get("severity", "medium").upper()],
        options=(*options, *kinds),
        general=tuple(table.get("general", ())),
        common_words=tuple(table.get("common_words", ())),
    )
