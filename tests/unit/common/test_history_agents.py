"""The checks on agents pass what a leader may show, and name what it may not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tercio_common.epochs import Epoch
from tercio_common.journal.port import Segment
from tercio_common.machine.calls import Call
from tercio_common.machine.protocol import Moment
from tercio_common.machine.records import Encoded, encode_record, join_segment
from tercio_common.testing import history
from tercio_common.testing.history import BEAT, CUT_OFF, RECONNECTED, SEEN, Observation

_TTL_MS = 3_000
_FIRST, _SECOND = Epoch(1, 10), Epoch(1, 20)


def _beats(*times: int, agent: str = "a", epoch: Epoch = _FIRST) -> list[Observation]:
    return [
        Observation(BEAT, agent, asked_ms=at, answered_ms=at + 10, generation=epoch[0], revision=epoch[1])
        for at in times
    ]


def _read(state: str, at: int) -> Observation:
    return Observation(SEEN, "a", state, asked_ms=at, answered_ms=at + 10)


def _watched(state: str, seq: int) -> Observation:
    return Observation(SEEN, "a", state, seq)


def _broken(*observations: Observation, records: dict[int, Epoch] | None = None) -> set[str]:
    """Judge observations over records at these wall times."""
    segments = []
    for number, (wall, epoch) in enumerate((records or {}).items(), start=1):
        record = encode_record(Moment(number, number, wall, epoch, ""), Call("alice", "test"), reply=b"", events=[])
        segments.append(Segment(number, join_segment([Encoded(number, record)])))
    recording = history.Recording(tuple(segments), observations)
    checks = history.liveness_checks(ttl_ms=_TTL_MS)
    verdict = history.judge_recording(recording, decode=lambda data: data, by=checks)
    assert verdict.broken() <= {"G7"}
    return {violation.check for violation in verdict.violations}


_NEIGHBOUR = _beats(6_000, agent="b", epoch=_SECOND)

_GOOD = {
    "a healthy agent beats": [*_beats(1_000, 2_000), _read("HEALTHY", 2_500)],
    "it is shown until its lease ends": [*_beats(1_000), _read("HEALTHY", 4_000)],
    "the answer is on its way": [replace(_beats(1_000)[0], answered_ms=0), _read("HEALTHY", 1_100)],
    "an unconfirmed agent is not shown healthy": [*_beats(1_000), *_NEIGHBOUR, _read("UNCONFIRMED", 6_500)],
    "it has renewed with the next leader": [*_beats(5_900, epoch=_SECOND), *_NEIGHBOUR, _read("HEALTHY", 6_500)],
    "a silent agent is gone": [*_beats(1_000), _watched("GONE", 1)],
    "an agent that was cut off is gone": [
        *_beats(*range(1_000, 9_000, 500)),
        Observation(CUT_OFF, "a", asked_ms=2_000),
        Observation(RECONNECTED, "a", asked_ms=8_000),
        _watched("GONE", 1),
    ],
}


@pytest.mark.parametrize("observations", _GOOD.values(), ids=_GOOD.keys())
def test_what_a_leader_may_show_passes(observations: list[Observation]) -> None:
    assert not _broken(*observations, records={6_000: _FIRST})


_BAD = {
    "its lease ended": ([*_beats(1_000), _read("HEALTHY", 5_000)], {}, "HealthyHasRenewed"),
    "it never beat": ([_read("HEALTHY", 5_000)], {}, "HealthyHasRenewed"),
    "only the former leader heard it, says a read": (
        [*_beats(5_500), *_NEIGHBOUR, _read("HEALTHY", 6_500)],
        {},
        "HealthyHasRenewed",
    ),
    "only the former leader heard it, says a watch": (
        [*_beats(5_500), _watched("HEALTHY", 1)],
        {6_000: _SECOND},
        "HealthyHasRenewed",
    ),
    "it went on beating": (
        [*_beats(*range(1_000, 7_000, 1_000)), _watched("GONE", 1)],
        {6_000: _FIRST},
        "LiveNeverGone",
    ),
    "it was cut off later": (
        [
            *_beats(*range(1_000, 9_000, 1_000)),
            Observation(CUT_OFF, "a", asked_ms=7_000),
            _watched("GONE", 1),
        ],
        {6_000: _FIRST},
        "LiveNeverGone",
    ),
}


@pytest.mark.parametrize(("observations", "records", "check"), _BAD.values(), ids=_BAD.keys())
def test_what_a_leader_may_not_show_is_named(
    observations: list[Observation], records: dict[int, Epoch], check: str
) -> None:
    assert _broken(*observations, records=records) == {check}
