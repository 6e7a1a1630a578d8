"""How much processes use: processor time and memory of this one, and of sessions of processes that it started.

One look at a few sessions costs about a millisecond. What a platform does not tell, or a process that has just ended,
counts as nothing.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Mapping
from typing import NamedTuple, Protocol

import psutil

OWN = 0
"""Stands for this process."""


class Reading(NamedTuple):
    """What a session has used: milliseconds of processor time so far, and bytes of memory now."""

    cpu_ms: int = 0
    memory_bytes: int = 0


class Meter(Protocol):
    """Reads what sessions use."""

    def read(self, sessions: Collection[int]) -> Mapping[int, Reading]:
        """Return a reading of each session that still has a process; `OWN` is this process alone."""
        ...


class ProcessMeter:
    """Reads it from the operating system."""

    def __init__(self) -> None:
        """Know this process."""
        self._own = psutil.Process()

    def read(self, sessions: Collection[int]) -> Mapping[int, Reading]:
        found: dict[int, Reading] = {}
        if OWN in sessions:
            found[OWN] = _reading(self._own, with_children=False)
        if wanted := {each for each in sessions if each != OWN}:
            for pid, session in _members(wanted):
                before = found.get(session, Reading())
                with contextlib.suppress(psutil.Error):
                    more = _reading(psutil.Process(pid), with_children=True)
                    found[session] = Reading(before.cpu_ms + more.cpu_ms, before.memory_bytes + more.memory_bytes)
        return found


def _members(sessions: Collection[int]) -> list[tuple[int, int]]:
    """Return every process of these sessions with its session: one look at all processes, however many sessions."""
    found = []
    for pid in psutil.pids():
        with contextlib.suppress(OSError):
            if (session := os.getsid(pid)) in sessions:
                found.append((pid, session))
    return found


def _reading(process: psutil.Process, *, with_children: bool) -> Reading:
    times = process.cpu_times()
    seconds = times.user + times.system
    if with_children:  # those that have ended already
        seconds += getattr(times, "children_user", 0.0) + getattr(times, "children_system", 0.0)
    return Reading(round(seconds * 1000), process.memory_info().rss)
