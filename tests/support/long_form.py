"""Whether tests take their long form: every place where something may go wrong, instead of one of each kind."""

from __future__ import annotations

import os
from collections.abc import Sequence

IS_LONG = bool(os.environ.get("TERCIO_TEST_LONG"))
"""`make test-promises` sets it."""


def places(every: Sequence[str], *, short: str) -> Sequence[str]:
    """Return every place in the long form, and otherwise the one that is the most telling."""
    assert short in every
    return every if IS_LONG else (short,)
