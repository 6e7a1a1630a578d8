"""Finds the code that runs services, which the SDK must not import: by entry points of the group `tercio.hosting`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from typing import Any

from tercio.cli.failures import CommandError


def hosting(name: str) -> Any:
    """Return the function of that name.

    Raises:
        CommandError: the services are not installed here.
    """
    for found in entry_points(group="tercio.hosting", name=name):
        return found.load()
    raise CommandError("the services are not installed in this environment", hint="pip install 'tercio[dev]'")


@contextmanager
def hosted() -> Iterator[None]:
    """Report errors of the services, a tree of their own that this package cannot name, as ours."""
    try:
        yield
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "tercio_common":
            raise
        raise CommandError(str(error)) from None
