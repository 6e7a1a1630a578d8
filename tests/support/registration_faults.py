"""The one function that each phase of a registration calls, so that a test can replace it by one that fails or dies."""

from __future__ import annotations

from typing import Any

from tercio_registry import translate
from tercio_registry.api.registration import Report, _Registration
from tercio_registry.state.obligations import Obligations

PHASES: dict[str, tuple[Any, str]] = {
    "VALIDATE": (translate, "profile_of"),
    "IDENTITY": (translate, "fingerprint_of"),
    "PERSIST": (Obligations, "check_begun"),
    "LIFECYCLE": (translate, "registered_message"),
    "MONITORING": (translate, "monitoring_message"),
    "ANNOUNCE": (_Registration, "_announced"),
}
"""CLEARANCE and RESOURCES fail by way of their ports."""
PORTS = {"CLEARANCE": "clear", "RESOURCES": "reserve"}
EVERY_PHASE = [name.removeprefix("PHASE_") for name in Report.Phase.keys()[1:]]
