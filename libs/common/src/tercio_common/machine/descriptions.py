"""What an auditor is told of an event: its kind, and which resources it names.

Both follow from the names in the contract of the service's records: `agents_gone` with a field `agent_ids` is
`AgentsGone`, of `agents/<id>` each. So a service describes its events by writing them down, unless it keeps frames.
"""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from tercio_common.machine.protocol import Description


def describe(event: Message, alternative: str) -> Description:
    """Describe the alternative of a record `Event` that is set; one that is unknown has no name."""
    if not alternative:
        return Description("Unknown")
    return Description(kind_of(alternative), _named(getattr(event, alternative)))


def kind_of(alternative: str) -> str:
    """Return the kind of an alternative: `AgentsGone` of `agents_gone`."""
    return alternative.title().replace("_", "")


def _named(fact: Message) -> Iterator[str]:
    for field, value in fact.ListFields():
        noun, _, last = field.name.rpartition("_")
        if field.type == FieldDescriptor.TYPE_STRING and last in {"id", "ids"}:
            for each in (value,) if last == "id" else value:
                yield f"{noun}s/{each}"
