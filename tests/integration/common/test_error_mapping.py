"""What a client sees when a call fails, over real gRPC, in every cardinality."""

from __future__ import annotations

import logging
from collections.abc import Callable

import grpc
import pytest
from structlog.testing import capture_logs

from support.edge import METHODS, Context, Edge, failure_of
from tercio_common.errors import FieldViolation, Refusal
from tercio_common.rpc.violations import Violations

SECRET = "a text that stays inside"


def raising(make: Callable[[], Exception]) -> Callable[[str, Context], object]:
    async def answer(text: str, context: Context) -> str:
        raise make()

    return answer


@pytest.mark.parametrize("method", METHODS)
async def test_a_refusal_becomes_its_code_with_reason_metadata_and_time_to_retry(edge: Edge, method: str) -> None:
    edge.echo.answer = raising(lambda: Refusal("QUEUE_FULL", "wait", {"limit": "7"}, retry_after_ms=1500))
    failed = await failure_of(edge.client.ask(method, "x"))
    assert failed.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert failed.message == "wait"
    assert (failed.reason, failed.domain) == ("QUEUE_FULL", "tercio.dev")
    assert failed.metadata == {"limit": "7"}
    assert failed.retry_after_ms == 1500


async def test_every_violation_of_a_request_is_reported_at_once(edge: Edge) -> None:
    def refusal() -> Exception:
        found = Violations()
        found.check_range("a", 5, least=1, most=3)
        found.check_length("b", "xyz", most=2)
        with pytest.raises(Refusal) as raised:
            found.raise_if_any()
        return raised.value

    edge.echo.answer = raising(refusal)
    failed = await failure_of(edge.client.ask("One", "x"))
    assert failed.code is grpc.StatusCode.INVALID_ARGUMENT
    assert failed.violations == [("a", "must be 1 to 3, is 5"), ("b", "must have at most 2 characters, has 3")]


async def test_a_thousand_violations_still_fit_into_the_metadata(edge: Edge) -> None:
    many = tuple(FieldViolation(f"tasks[{n}].payload", "is over 64 kB " * 100) for n in range(1000))
    edge.echo.answer = raising(lambda: Refusal("INVALID_ARGUMENT", "wrong " * 1000, violations=many))
    failed = await failure_of(edge.client.ask("One", "x"))
    assert failed.reason == "INVALID_ARGUMENT"
    assert failed.violations[0][0] == "tasks[0].payload"
    listed = len(failed.violations) - 1
    assert failed.violations[-1] == ("…", f"{1000 - listed} more violations are not listed")


@pytest.mark.parametrize("method", METHODS)
async def test_an_unexpected_exception_is_internal_logged_with_its_trace_and_its_text_stays_inside(
    edge: Edge, method: str
) -> None:
    edge.echo.answer = raising(lambda: RuntimeError(SECRET))
    with capture_logs() as lines:
        failed = await failure_of(edge.client.ask(method, "x"))
    assert failed.code is grpc.StatusCode.INTERNAL
    assert failed.reason == "INTERNAL"
    assert SECRET not in failed.message + str(failed.trailing)
    (line,) = [one for one in lines if one["event"] == "call_failed"]
    assert SECRET in str(line["exc_info"])
    assert failed.metadata["traceId"] in failed.message


async def test_a_reason_that_is_not_in_the_catalogue_is_a_defect(edge: Edge) -> None:
    edge.echo.answer = raising(lambda: Refusal("NOT_IN_THE_CATALOGUE", SECRET))
    failed = await failure_of(edge.client.ask("One", "x"))
    assert failed.reason == "INTERNAL"
    assert SECRET not in failed.message


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("noise", [b"\xff\xff", b"\x0a\x05ab", b"\x0a\x02\xff\xfe", b"\x00" * 40], ids=repr)
async def test_bytes_that_are_no_message_are_an_invalid_argument_and_no_unhandled_exception(
    edge: Edge, method: str, noise: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG), capture_logs() as lines:
        failed = await failure_of(edge.client.ask(method, noise))
    assert failed.code is grpc.StatusCode.INVALID_ARGUMENT
    assert failed.reason == "INVALID_ARGUMENT"
    assert "Wire format" not in failed.message
    assert not [one for one in caplog.records if one.levelno >= logging.WARNING]
    assert not [one for one in lines if one["log_level"] == "error"]


async def test_a_method_that_the_servicer_lacks_is_unimplemented(edge: Edge) -> None:
    async def absent(text: str, context: Context) -> str:
        context.set_code(grpc.StatusCode.UNIMPLEMENTED)
        raise NotImplementedError("Method not implemented!")

    edge.echo.answer = absent
    assert (await failure_of(edge.client.ask("One", "x"))).code is grpc.StatusCode.UNIMPLEMENTED
    assert (await failure_of(edge.client.ask("Unknown", "x"))).code is grpc.StatusCode.UNIMPLEMENTED


async def test_an_answer_of_the_wrong_kind_is_a_defect_too(edge: Edge) -> None:
    async def wrong(text: str, context: Context) -> str:
        return 7  # type: ignore[return-value]

    edge.echo.answer = wrong
    failed = await failure_of(edge.client.ask("One", "x"))
    assert (failed.code, failed.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")


async def test_a_message_over_the_limit_is_refused_without_reaching_the_servicer(edge: Edge) -> None:
    failed = await failure_of(edge.client.ask("One", "x" * (5 << 20)))
    assert failed.code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert edge.echo.contexts == []
