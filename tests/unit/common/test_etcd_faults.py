"""Only one failed write is known not to be written."""

from __future__ import annotations

import grpc
import pytest
from grpc.aio import AioRpcError, Metadata

from tercio_common.errors import NotProposedError, OutcomeUnknownError, SettingsError, StoreUnavailableError
from tercio_common.etcd_client import faults
from tercio_common.etcd_client.settings import EtcdSettings, TlsFiles


def failed(code: grpc.StatusCode, details: str) -> AioRpcError:
    return AioRpcError(code, Metadata(), Metadata(), details)


TOO_MANY = failed(grpc.StatusCode.RESOURCE_EXHAUSTED, "etcdserver: too many requests")


def test_too_many_requests_was_not_proposed() -> None:
    assert isinstance(faults.of_write(TOO_MANY, earlier_attempts=False), NotProposedError)


def test_after_an_attempt_elsewhere_it_may_have_been() -> None:
    assert isinstance(faults.of_write(TOO_MANY, earlier_attempts=True), OutcomeUnknownError)


@pytest.mark.parametrize(
    ("code", "details"),
    [
        pytest.param(grpc.StatusCode.RESOURCE_EXHAUSTED, "etcdserver: mvcc: database space exceeded", id="no-space"),
        pytest.param(grpc.StatusCode.UNAVAILABLE, "failed to connect to all addresses", id="no-connection"),
        pytest.param(grpc.StatusCode.UNAVAILABLE, "etcdserver: request timed out", id="timed-out"),
        pytest.param(grpc.StatusCode.UNAVAILABLE, "etcdserver: leader changed", id="leader-changed"),
        pytest.param(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded", id="deadline"),
        pytest.param(grpc.StatusCode.UNKNOWN, "anything new", id="unknown"),
    ],
)
def test_the_outcome_of_every_other_failure_is_unknown(code: grpc.StatusCode, details: str) -> None:
    error = failed(code, details)
    assert isinstance(faults.of_write(error, earlier_attempts=False), OutcomeUnknownError)
    assert isinstance(faults.of_read(error), StoreUnavailableError)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        pytest.param(EtcdSettings(endpoints=()), "endpoints", id="no-endpoint"),
        pytest.param(EtcdSettings(endpoints=("a:1",), keepalive_ms=4999), "keepalive_ms", id="pings-too-often"),
        pytest.param(EtcdSettings(endpoints=("a:1",), rpc_timeout_ms=0), "rpc_timeout_ms", id="no-time"),
        pytest.param(
            EtcdSettings(endpoints=("a:1",), tls=TlsFiles(ca="ca", cert="cert")), "go together", id="cert-without-key"
        ),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: EtcdSettings, complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint):
        settings.check()
