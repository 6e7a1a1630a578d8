"""A handler's own reason is one that the scheduler takes."""

from __future__ import annotations

import pytest

from tercio import HandlerError, PermanentError


@pytest.mark.parametrize("reason", ["", "quota", "QUOTA-LOW", "_QUOTA", "Q" * 129])
def test_a_reason_that_would_spoil_the_report_is_refused_at_once(reason: str) -> None:
    with pytest.raises(ValueError, match="UPPER_SNAKE"):
        PermanentError("no", reason=reason)


def test_a_good_reason_is_kept() -> None:
    assert HandlerError("no", reason="QUOTA_LOW").reason == "QUOTA_LOW"
    assert HandlerError("no").reason == "HANDLER_ERROR"
