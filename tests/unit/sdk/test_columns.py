from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tercio.api.scheduler.v1.work_service_pb2 import Assignments
from tercio.attempts import Attempt, Epoch, FencingToken, columns_of, failure_of, keys_of, offers_of

EPOCHS = st.builds(Epoch, st.integers(1, 3), st.integers(1, 3))
ATTEMPTS = st.builds(Attempt, st.text("abc", min_size=1), st.integers(1, 5), EPOCHS)


@given(st.lists(ATTEMPTS))
def test_columns_name_the_same_attempts(attempts: list[Attempt]) -> None:
    assert keys_of(columns_of(attempts)) == [attempt.key for attempt in attempts]


@given(st.lists(ATTEMPTS, min_size=1))
def test_epochs_are_told_once_and_indexes_only_when_they_differ(attempts: list[Attempt]) -> None:
    columns = columns_of(attempts)
    epochs = {attempt.epoch for attempt in attempts}
    assert len(columns.epochs) == len(epochs)
    assert len(columns.epoch_indexes) == (len(attempts) if len(epochs) > 1 else 0)


def test_offers_fill_in_what_columns_leave_out() -> None:
    extra = Assignments.Extra(index=1, checkpoint=b"page 3", failures=2, deadline_unix_ms=9)
    columns = Assignments(task_ids=["a", "b"], numbers=[1, 4], task_types=["resize"], timeout_ms=[300], extras=[extra])
    first, second = offers_of(columns, Epoch(1, 5))
    assert (first.task_type, first.payload, first.timeout_ms, first.checkpoint) == ("resize", b"", 300, b"")
    assert (second.checkpoint, second.failures, second.deadline_unix_ms) == (b"page 3", 2, 9)


def test_offers_of_several_types_and_timeouts_are_told_apart() -> None:
    columns = Assignments(
        task_ids=["a", "b"],
        numbers=[1, 1],
        task_types=["resize", "crop"],
        type_indexes=[1, 0],
        payloads=[b"1", b"2"],
        timeout_ms=[10, 20],
    )
    offers = offers_of(columns, Epoch(1, 5))
    assert [(offer.task_type, offer.payload, offer.timeout_ms) for offer in offers] == [
        ("crop", b"1", 10),
        ("resize", b"2", 20),
    ]


def test_fencing_tokens_are_ordered_by_epoch_before_number() -> None:
    assert FencingToken(1, 9, 7) < FencingToken(1, 10, 1) < FencingToken(2, 1, 1)


def test_a_failure_is_brought_into_the_contract_s_bounds() -> None:
    assert failure_of("BAD_PICTURE", "why") == ("BAD_PICTURE", "why", False)
    assert failure_of("bad picture", "why", permanent=True) == ("HANDLER_ERROR", "bad picture: why", True)
    assert failure_of("X", "caf\udce9").message == "caf?"
    assert len(failure_of("X", "y" * 9_000).message) == 4_096
