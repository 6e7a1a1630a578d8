"""Counts what Python executes, for tests of how a cost grows: unlike time, it does not depend on the machine."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import FrameType
from typing import Any


@dataclass(slots=True)
class Steps:
    """How many bytecode instructions were executed so far."""

    total: int = 0


@contextlib.contextmanager
def counted_steps() -> Iterator[Steps]:
    """Count every instruction of every function that is called inside."""
    steps = Steps()

    def trace(frame: FrameType, event: str, _: Any) -> Any:
        frame.f_trace_opcodes = True
        steps.total += event == "opcode"
        return trace

    former = sys.gettrace()
    sys.settrace(trace)
    try:
        yield steps
    finally:
        sys.settrace(former)
