from __future__ import annotations

import pytest

from tercio import SettingsError
from tercio.addresses import service_addresses

BOTH = {"TERCIO_ADDRESS": "all:1", "TERCIO_REGISTRY_ADDRESS": "r1:1, r2:1"}


@pytest.mark.parametrize(
    ("service", "address", "environment", "wanted"),
    [
        pytest.param("registry", None, {}, ("localhost:7400",), id="this machine"),
        pytest.param("scheduler", None, BOTH, ("all:1",), id="one for all"),
        pytest.param("registry", None, BOTH, ("r1:1", "r2:1"), id="a service's own, several"),
        pytest.param("registry", "given:1", BOTH, ("given:1",), id="the argument wins"),
        pytest.param("registry", "[::1]:7400", {}, ("[::1]:7400",), id="IPv6"),
        pytest.param("registry", "unix:/run/x", {}, ("unix:/run/x",), id="socket"),
    ],
)
def test_addresses_come_from_the_nearest_source(
    service: str, address: str | None, environment: dict[str, str], wanted: tuple[str, ...]
) -> None:
    assert service_addresses(service, address=address, environment=environment) == wanted


@pytest.mark.parametrize("address", ["host", "host:", ":7400", "host:70000", "host:http", " , "])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(SettingsError):
        service_addresses("registry", address=address, environment={})
