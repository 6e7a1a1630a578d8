"""Cycles are still found when searches are rare; in an interpreter of its own, for the settings are its."""

from __future__ import annotations

import subprocess
import sys

_SCRIPT = """
import gc, weakref
from tercio_common.garbage import tune_for_many_rows

class Node:
    def __init__(self):
        self.itself = self

tune_for_many_rows()
full_searches = gc.get_stats()[2]["collections"]
dead = weakref.ref(Node())
kept = [[] for _ in range(50_000)]
print(dead() is None, gc.get_stats()[2]["collections"] == full_searches)
"""


def test_a_young_cycle_is_freed_without_a_full_search() -> None:
    done = subprocess.run([sys.executable, "-c", _SCRIPT], capture_output=True, text=True, check=True)
    assert done.stdout == "True True\n"
