"""Mutation of G8: no request and no frame is ever found to have been carried out before."""

from __future__ import annotations

from typing import Any

from support.launchers.launch import launch
from tercio_common.journal.requests import RequestRow, Requests
from tercio_common.machine.calls import Call


def _find_nothing(requests: Requests, call: Call, *, now: int) -> RequestRow | None:
    return None


def _is_new(requests: Requests, call: Call) -> bool:
    return False


if __name__ == "__main__":
    mutated: Any = Requests
    mutated.find = _find_nothing
    mutated.is_duplicate_frame = _is_new
    launch()
