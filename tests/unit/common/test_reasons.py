"""The catalogue of reasons and the contract's enum are the same list."""

from __future__ import annotations

import grpc
import pytest

from tercio.api.type.v1.error_reason_pb2 import ErrorReason
from tercio_common.errors import Refusal
from tercio_common.reasons import REASONS, Reason
from tercio_common.rpc.interceptors.errors import status_of

_PREFIX = "ERROR_REASON_"
IN_CONTRACT = [name.removeprefix(_PREFIX) for name in ErrorReason.keys() if not name.endswith("_UNSPECIFIED")]  # noqa: SIM118
_PASSING = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.ABORTED,
}


def test_table_and_enum_have_the_same_reasons_in_the_same_order() -> None:
    assert list(REASONS) == IN_CONTRACT


@pytest.mark.parametrize(("name", "reason"), REASONS.items(), ids=REASONS)
def test_a_reason_is_described_and_only_what_passes_by_itself_is_retried(name: str, reason: Reason) -> None:
    assert reason.description.endswith(".")
    assert len(reason.description) <= 120
    assert not reason.retryable or reason.code in _PASSING
    assert reason.retryable or reason.code not in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED}


@pytest.mark.parametrize("name", REASONS)
def test_every_reason_becomes_a_status_with_its_code(name: str) -> None:
    assert status_of(Refusal(name, "why")).code == REASONS[name].code.value[0]
