"""A mutation of the above: its patch of a Deployment does not name the version that it read."""

from __future__ import annotations

from typing import Any

from support import deaf_scaling
from tercio_common.epochs import Epoch
from tercio_scaling.drivers import deployment
from tercio_scaling.drivers.fencing import EPOCH_ANNOTATION


def unfenced(_thing: dict[str, Any], epoch: Epoch) -> dict[str, Any]:
    """Return the metadata of a patch that holds whoever wrote in between."""
    return {"annotations": {EPOCH_ANNOTATION: str(epoch)}}


if __name__ == "__main__":
    vars(deployment)["marked"] = unfenced
    deaf_scaling.launch()
