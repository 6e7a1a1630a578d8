"""The history checker: records a run and judges it in one pass.

A recording holds every commit of one journal from the first on, and what clients observed meanwhile. The journal's
order is a total order, so each promise is one pass over it. A recording with a gap gets no verdict.

    async with recorded(journal, path) as recorder:
        ...                                    # the run, with its faults
        recorder.observe(Observation(ACKNOWLEDGED, task_id))
    judge(path).demand()
"""

from __future__ import annotations

from tercio_common.testing.history.agents import liveness_checks
from tercio_common.testing.history.allocations import allocation_checks
from tercio_common.testing.history.claims import claim_checks
from tercio_common.testing.history.recording import (
    ACKNOWLEDGED,
    BEAT,
    CUT_OFF,
    DRIVEN,
    FENCED,
    HELD,
    LISTED,
    RECONNECTED,
    RELEASED,
    RESOLVED,
    SEEN,
    TOLD_TO_END,
    WATCHED,
    WORKED,
    IncompleteRecordingError,
    Observation,
    Recorder,
    Recording,
    load,
    recorded,
)
from tercio_common.testing.history.scaling import STORE, scaling_checks
from tercio_common.testing.history.verdict import Verdict, Violation, judge, judge_recording, standard_checks

__all__ = [
    "ACKNOWLEDGED",
    "BEAT",
    "CUT_OFF",
    "DRIVEN",
    "FENCED",
    "HELD",
    "LISTED",
    "RECONNECTED",
    "RELEASED",
    "RESOLVED",
    "SEEN",
    "STORE",
    "TOLD_TO_END",
    "WATCHED",
    "WORKED",
    "IncompleteRecordingError",
    "Observation",
    "Recorder",
    "Recording",
    "Verdict",
    "Violation",
    "allocation_checks",
    "claim_checks",
    "judge",
    "judge_recording",
    "liveness_checks",
    "load",
    "recorded",
    "scaling_checks",
    "standard_checks",
]
