"""A retried request or frame has no second effect."""

from __future__ import annotations

import pytest

from tercio_common.errors import Refusal
from tercio_common.journal.requests import Requests
from tercio_common.machine.calls import Call
from tercio_common.machine.table import TableStore

NOW = 999
"""All that was entered from 0 on is still remembered."""


def make(*, limit: int = 100) -> Requests:
    return Requests(TableStore(), window_ms=1000, retry_age_ms=600, limit=limit, session_window_ms=3000)


def call(request_id: str, *, digest: bytes = b"d", age: int = 0, principal: str = "ann") -> Call:
    return Call(principal, "/m", request_id=request_id, digest=digest, age_ms=age)


def frame(number: int, session: str = "s") -> Call:
    return Call("ann", "/m", session_id=session, frame_number=number)


def test_a_retry_finds_the_reply_of_the_first() -> None:
    requests = make()
    requests.remember(call("r"), reply=b"reply", now=10)
    found = requests.find(call("r", age=500), now=NOW)
    assert found is not None
    assert found.reply == b"reply"
    assert requests.find(call("r", principal="bob"), now=NOW) is None


def test_the_same_id_with_other_content_is_refused() -> None:
    requests = make()
    requests.remember(call("r"), reply=b"", now=10)
    with pytest.raises(Refusal, match="REQUEST_ID_REUSED"):
        requests.find(call("r", digest=b"other"), now=NOW)


def test_a_request_older_than_ids_are_honoured_is_refused() -> None:
    with pytest.raises(Refusal, match="REQUEST_TOO_OLD"):
        make().find(call("r", age=601), now=NOW)


def test_ids_are_forgotten_after_their_window_and_never_before() -> None:
    requests = make()
    requests.remember(call("r"), reply=b"x", now=0)
    requests.remember(call("s"), reply=b"y", now=999)
    assert requests.find(call("r"), now=NOW) is not None
    requests.remember(call("t"), reply=b"z", now=1000)
    assert requests.find(call("r"), now=NOW) is None
    assert requests.find(call("s"), now=NOW) is not None


def test_too_many_ids_refuse_new_ones_and_keep_the_old() -> None:
    requests = make(limit=1)
    requests.remember(call("r"), reply=b"x", now=0)
    with pytest.raises(Refusal, match="REQUEST_IDS_FULL"):
        requests.find(call("s"), now=NOW)
    assert requests.find(call("r"), now=NOW) is not None


def test_expired_ids_make_room_for_new_ones_though_nothing_else_is_recorded() -> None:
    requests = make(limit=1)
    requests.remember(call("r"), reply=b"x", now=0)
    assert requests.find(call("s"), now=1000) is None
    requests.remember(call("s"), reply=b"y", now=1000)
    with pytest.raises(Refusal, match="REQUEST_IDS_FULL"):
        requests.find(call("t"), now=1000)


def test_what_is_forgotten_depends_on_the_rows_alone_however_they_came() -> None:
    """A snapshot brings rows in another order than the calls did; both must forget the same from then on."""
    stores = TableStore(), TableStore()
    live, loaded = (
        Requests(store, window_ms=1000, retry_age_ms=600, limit=100, session_window_ms=1000) for store in stores
    )
    for number in range(40):
        live.remember(call(f"r{number * 7 % 40:02}"), reply=b"", now=0)
        live.remember(frame(1, f"s{number * 7 % 40:02}"), reply=b"", now=number // 10)
    for number in range(0, 40, 3):
        live.remember(frame(2, f"s{number:02}"), reply=b"", now=500 - number)
    for name, table in stores[0].tables.items():
        for row in reversed(list(table.values())):
            stores[1].tables[name].put(row)
    for now in range(1000, 1600, 7):
        for requests in (live, loaded):
            requests.remember(call(f"now{now}"), reply=b"", now=now)
        assert [set(table.values()) for table in stores[0].tables.values()] == [
            set(table.values()) for table in stores[1].tables.values()
        ]


def test_frames_follow_each_other() -> None:
    requests = make()
    assert requests.is_duplicate_frame(frame(1)) is False
    requests.remember(frame(1), reply=b"", now=0)
    assert requests.is_duplicate_frame(frame(1)) is True
    assert requests.is_duplicate_frame(frame(2)) is False
    with pytest.raises(Refusal, match="FRAME_OUT_OF_ORDER") as caught:
        requests.is_duplicate_frame(frame(3))
    assert caught.value.metadata == {"expectedFrame": "2"}


def test_a_session_is_its_principals_own() -> None:
    requests = make()
    for number in (1, 2):
        requests.remember(frame(number), reply=b"", now=0)
    stranger = frame(3)._replace(principal="bob")
    with pytest.raises(Refusal, match="SESSION_EXPIRED"):
        requests.is_duplicate_frame(stranger)
    assert requests.is_duplicate_frame(stranger._replace(frame_number=1)) is False
    assert requests.is_duplicate_frame(frame(3)) is False


def test_a_session_unseen_for_its_window_expires() -> None:
    requests = make()
    requests.remember(frame(1), reply=b"", now=0)
    requests.remember(frame(2), reply=b"", now=2000)
    requests.remember(frame(1, "t"), reply=b"", now=4000)
    assert requests.is_duplicate_frame(frame(2)) is True
    requests.remember(frame(2, "t"), reply=b"", now=7000)
    with pytest.raises(Refusal, match="SESSION_EXPIRED"):
        requests.is_duplicate_frame(frame(3))
