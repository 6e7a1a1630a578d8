"""What is seen of a pool at one moment: integers, so that a decision can be recorded with what it was drawn from."""

from __future__ import annotations

from typing import NamedTuple


class Observation(NamedTuple):
    """Demand and fleet of one pool. Times in ms.

    Attributes:
        waiting: tasks that its agents could run and that nobody runs.
        oldest_wait: how long the first of them has waited.
        running: attempts on agents that stay.
        mean_run: how long an attempt runs; 0 while unknown.
        response: how long waiting and running took of what ended lately; 0 while unknown.
        response_before: the same a window earlier.
        ready: agents that take work.
        starting: agents that were asked for and are not there yet.
        leaving: agents that are cordoned or drain; they count as gone.
        failed: agents that were lost and not replaced.
        foreseen: slots that will be busy once an agent that is asked for now has started; -1 while not foreseen.
    """

    waiting: int = 0
    oldest_wait: int = 0
    running: int = 0
    mean_run: int = 0
    response: int = 0
    response_before: int = 0
    ready: int = 0
    starting: int = 0
    leaving: int = 0
    failed: int = 0
    foreseen: int = -1

    @property
    def agents(self) -> int:
        """Agents that are there to stay, or will be."""
        return self.ready + self.starting
