"""Writes at the release notes until it is told to finish: `draft.py FILE`, which appears when it is."""

from __future__ import annotations

import sys
import time
from pathlib import Path

_MOST_S = 100.0
"""Nobody waits for longer, should the demo end meanwhile."""
_LOOK_S = 0.05


def main() -> int:
    """Work until the file is there; exit code 1 when it never came."""
    told, began = Path(sys.argv[1]), time.monotonic()
    while not told.exists():
        if time.monotonic() - began > _MOST_S:
            return 1
        time.sleep(_LOOK_S)
    return 0


if __name__ == "__main__":
    sys.exit(main())
