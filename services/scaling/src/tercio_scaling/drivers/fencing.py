"""The epoch that a leader leaves on what it writes in a cluster, by which an older leader's write is refused.

A leadership ends without its leader knowing it, so who leads cannot be asked before a write: it has to be part of it.
The annotation says whose the object is; the object's `resourceVersion` in the same patch makes the API server refuse
what was formed before a newer leader's annotation, and a newer leader's first write is that annotation.
"""

from __future__ import annotations

from typing import Any, Final

from tercio_common.epochs import NO_EPOCH, Epoch
from tercio_scaling.drivers.protocol import Fenced, Refused

EPOCH_ANNOTATION: Final = "tercio.dev/epoch"
WRITES: Final = 5
"""How often a write is formed anew when somebody else wrote in between: a Deployment's own controller writes its status
in bursts of two or three."""


def epoch_of(thing: dict[str, Any]) -> Epoch:
    """Return the epoch of the last leader that wrote to an object; NO_EPOCH if none did.

    Raises:
        Refused: the annotation is no epoch.
    """
    text = (thing["metadata"].get("annotations") or {}).get(EPOCH_ANNOTATION)
    if text is None:
        return NO_EPOCH
    generation, dot, revision = text.partition(".")
    if not (dot and generation.isdecimal() and revision.isdecimal()):
        raise Refused(
            f"annotation {EPOCH_ANNOTATION} of {thing['metadata']['name']} is {text!r}, not `generation.revision`;"
            " somebody else wrote it: remove it",
            reason="InvalidEpoch",
        )
    return Epoch(int(generation), int(revision))


def admit(thing: dict[str, Any], epoch: Epoch) -> None:
    """Pass if a leader of that epoch may write to the object.

    Raises:
        Fenced: a leader of a higher epoch wrote to it.
        Refused: the annotation is no epoch.
    """
    written = epoch_of(thing)
    if written > epoch:
        raise Fenced(f"{thing['metadata']['name']} was written in epoch {written}, this leader's is {epoch}")


def marked(thing: dict[str, Any], epoch: Epoch) -> dict[str, Any]:
    """Return the metadata of a patch that holds only for the object as it was read, not for a later one of its name."""
    metadata = thing["metadata"]
    return {
        "resourceVersion": metadata["resourceVersion"],
        "annotations": {EPOCH_ANNOTATION: str(epoch)},
    }
