"""Checks what was typed: a wrong value ends as a usage error that names what would be right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer

from tercio.errors import SettingsError


@contextmanager
def checked() -> Iterator[None]:
    """Turn an error about something typed into a usage error."""
    try:
        yield
    except (ValueError, SettingsError) as error:
        raise typer.BadParameter(str(error)) from None


def choices(names: Sequence[str], kind: Any, *, prefix: str) -> list[Any]:
    """Return the values of an enum of the contracts by their short names, in either case.

    Raises:
        ValueError: there is no such name; the message lists those that exist.
    """
    known = {name.removeprefix(prefix): number for name, number in kind.items() if number}
    wrong = [name for name in names if name.upper() not in known]
    if wrong:
        raise ValueError(f"{', '.join(wrong)}: choose from {', '.join(known).lower()}")
    return [known[name.upper()] for name in names]
