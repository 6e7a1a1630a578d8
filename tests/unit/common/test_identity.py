"""Which peers are local, and what the authorisation table says."""

from __future__ import annotations

import pytest

from tercio_common.errors import Refusal
from tercio_common.rpc.authorisation import REFLECTION, Authorisation, Rule
from tercio_common.rpc.interceptors.identity import is_local

GET, RENEW = "/a.B/Get", "/a.B/Renew"


@pytest.mark.parametrize(
    "peer",
    [
        "ipv4:127.0.0.1:5",
        "ipv4:127.8.9.1:5",
        "ipv6:[::1]:5",
        "ipv6:%5B::1%5D:5",
        "unix:/run/t",
        "unix:",
        "ipv6:[::ffff:127.0.0.1]:5",
    ],
)
def test_loopback_and_unix_sockets_are_local(peer: str) -> None:
    assert is_local(peer)


@pytest.mark.parametrize(
    "peer",
    [
        "ipv4:10.0.0.1:5",
        "ipv6:[fe80::1%25eth0]:5",
        "ipv4:128.0.0.1:127",
        "ipv6:[::ffff:10.0.0.1]:5",
        "",
        "x",
        "ipv4:localhost:1",
    ],
)
def test_everything_else_is_not(peer: str) -> None:
    assert not is_local(peer)


def test_a_method_with_a_row_is_allowed_to_whom_the_row_says() -> None:
    table = Authorisation([{GET: Rule.ANY_PRINCIPAL}, {RENEW: Rule.REPLICA}])
    table.check(GET, principal="ada", replica=False)
    table.check(REFLECTION, principal="ada", replica=False)
    table.check(RENEW, principal="replica", replica=True)
    with pytest.raises(Refusal, match="is for replica only"):
        table.check(RENEW, principal="ada", replica=False)


def test_a_method_without_a_row_is_denied() -> None:
    with pytest.raises(Refusal, match="PERMISSION_DENIED"):
        Authorisation([]).check(GET, principal="local", replica=True)
