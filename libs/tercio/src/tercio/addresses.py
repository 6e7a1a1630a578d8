"""Where the services are: arguments first, then the environment, then this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from tercio.errors import SettingsError

DEFAULT_ADDRESS: Final = "localhost:7400"


def service_addresses(
    service: str, *, address: str | None = None, environment: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """Return the addresses of one service's replicas, in the order in which they are tried.

    Args:
        service: for instance `scheduler`.
        address: one address or several, separated by commas; wins over the environment.
        environment: read instead of the process's own. `TERCIO_<SERVICE>_ADDRESS` wins over `TERCIO_ADDRESS`.

    Raises:
        SettingsError: an address has no port.
    """
    variables = os.environ if environment is None else environment
    specific, general = f"TERCIO_{service.upper()}_ADDRESS", "TERCIO_ADDRESS"
    text = address or variables.get(specific) or variables.get(general) or DEFAULT_ADDRESS
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    if not found:
        raise SettingsError(f"no address for the {service}: set {specific} or {general} to host:port")
    for part in found:
        _check(part)
    return found


def _check(address: str) -> None:
    if address.startswith("unix:"):
        return
    host, separator, port = address.rpartition(":")
    if not (separator and host and port.isdigit() and 0 < int(port) < 65_536):
        raise SettingsError(f"{address!r} is not an address: give host:port, several separated by commas")
