"""How bad a conflict is."""

from __future__ import annotations

from enum import IntEnum


class Severity(IntEnum):
    """From low to critical; the numbers are those of the contract and of the records."""

    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4
