"""What the spectator sees: a live table on a terminal, else a line for each event."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from examples.tickets.fleet import Fleet, Worker, now_ms
from examples.tickets.pools import Pools

if TYPE_CHECKING:
    from rich.console import RenderableType

_SHOWN_EVENTS = 6
_FRAMES_PER_S = 4


class Board:
    """Shows the run; without a terminal it only prints what is said."""

    def __init__(self, *, total: int) -> None:
        """Show that many tickets."""
        self._console = Console(highlight=False, soft_wrap=True)
        self._progress = Progress(
            TextColumn("tickets"), BarColumn(bar_width=40), MofNCompleteColumn(), TimeElapsedColumn()
        )
        self._bar = self._progress.add_task("tickets", total=total)
        self._events: list[str] = []
        self._done_by: dict[str, int] = {}
        self._fleet: Fleet | None = None
        self._live: Live | None = None
        self._pools = Pools()

    @contextlib.contextmanager
    def shown(self, fleet: Fleet, pools: Pools) -> Iterator[None]:
        """Show the fleet and its pools live while the block runs."""
        self._fleet, self._pools = fleet, pools
        if not self._console.is_terminal:
            yield
            return
        self._live = Live(
            get_renderable=self._rendered, console=self._console, refresh_per_second=_FRAMES_PER_S, transient=True
        )
        with self._live:
            yield
        self._live = None

    def say(self, text: str) -> None:
        """Tell an event."""
        self._events.append(text)
        if self._live is None:
            self._console.print(text, markup=False)
            sys.stdout.flush()

    def count(self, agent: str) -> None:
        """Count a ticket that an agent solved."""
        self._done_by[agent] = self._done_by.get(agent, 0) + 1
        self._progress.advance(self._bar)

    def table(self, rows: Sequence[tuple[str, str]]) -> None:
        """Print names and values."""
        width = max(len(name) for name, _ in rows)
        for name, value in rows:
            self._console.print(f"  {name:<{width}}  {value}", markup=False)

    def _rendered(self) -> RenderableType:
        agents = Table(box=None, padding=(0, 3, 0, 0), header_style="bold")
        for title in ("AGENT", "GOOD AT", "SOLVED", "WORKS ON"):
            agents.add_column(title, no_wrap=True)
        for worker in self._fleet.present.values() if self._fleet else ():
            good_at = " ".join(f"{name}={level}" for name, level in worker.member.capabilities.items())
            name = worker.member.name
            agents.add_row(name, f"[dim]{good_at}[/dim]", str(self._done_by.get(name, 0)), _work(worker))
        if self._fleet is not None:
            deaf = self._fleet.deaf
            state = "[red]deaf, relieved[/red]" if deaf.left_ms else ""
            agents.add_row(deaf.member.name, "", "0", state)
        events = [f"[dim]{event}[/dim]" for event in self._events[-_SHOWN_EVENTS:]]
        return Group(self._progress, agents, self._rendered_pools(), *events)

    def _rendered_pools(self) -> RenderableType:
        pools = Table(box=None, padding=(0, 3, 0, 0), show_header=False)
        for name, text in self._pools.lines:
            pools.add_row(f"[bold]{name}[/bold]", text)
        return Padding(pools, (1, 0))


def _work(worker: Worker) -> str:
    if worker.left_ms:
        return "[red]killed[/red]"
    now = now_ms()
    return ", ".join(f"[cyan]{one.ticket}[/cyan] {(now - one.started) / 1000:.1f} s" for one in worker.running)
