"""What the table of admissions holds."""

from __future__ import annotations

from typing import NamedTuple

from tercio_common.epochs import Epoch


class AdmissionRow(NamedTuple):
    """An attempt that holds what it needs, or may.

    Attributes:
        task_id: the key.
        epoch: the attempt's.
        number: the attempt's.
        granted: it holds all of it; while False that is not known.
        participants: the services that are asked, in order.
    """

    task_id: str
    epoch: Epoch
    number: int
    granted: bool = False
    participants: tuple[str, ...] = ()
