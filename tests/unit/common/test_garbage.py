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

_SET_ASIDE = """
import asyncio, gc, weakref
from tercio_common.garbage import search_now_and_then, set_rows_aside, tune_for_many_rows
from tercio_common.testing.manual_clock import ManualClock

class Node:
    def __init__(self):
        self.itself = self

gc.unfreeze()
set_rows_aside()
print(gc.get_freeze_count())
tune_for_many_rows()
dead = weakref.ref(Node())
set_rows_aside()
gc.collect()
print(dead() is None)

async def search():
    clock = ManualClock()
    searching = asyncio.create_task(search_now_and_then(clock))
    await asyncio.sleep(0)
    await clock.advance(3_600_000)
    searching.cancel()

asyncio.run(search())
print(dead() is None, gc.get_freeze_count() > 0)
"""


def test_a_young_cycle_is_freed_without_a_full_search() -> None:
    done = subprocess.run([sys.executable, "-c", _SCRIPT], capture_output=True, text=True, check=True)
    assert done.stdout == "True True\n"


def test_what_was_set_aside_is_searched_once_an_hour_and_only_in_a_server() -> None:
    done = subprocess.run([sys.executable, "-c", _SET_ASIDE], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["0", "False", "True", "True"]
