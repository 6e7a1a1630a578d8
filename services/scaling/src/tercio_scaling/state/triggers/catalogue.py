"""Every trigger by name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from tercio_scaling.state.triggers.forecast import forecast
from tercio_scaling.state.triggers.protocol import Trigger
from tercio_scaling.state.triggers.queue_depth import queue_depth
from tercio_scaling.state.triggers.replacement import replacement
from tercio_scaling.state.triggers.response_time import response_time
from tercio_scaling.state.triggers.utilisation import utilisation
from tercio_scaling.state.triggers.waiting_age import waiting_age

TRIGGERS: Final[Mapping[str, Trigger]] = MappingProxyType(
    {
        "queue_depth": queue_depth,
        "waiting_age": waiting_age,
        "response_time": response_time,
        "utilisation": utilisation,
        "replacement": replacement,
        "forecast": forecast,
    }
)
