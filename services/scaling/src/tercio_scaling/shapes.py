"""Rows as protobuf and back, field by field in the order of their numbers.

A row and its message have the same fields in the same order, so that neither has to be written down a second time; a
field that is added to both comes last in both, and reads as 0 or empty from records that lack it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from google.protobuf.message import Message

Part: TypeAlias = Callable[[Any], Any]


class Shape:
    """One kind of row and its message."""

    def __init__(
        self,
        make: Callable[..., Any],
        message: type[Message],
        parts: Mapping[str, Shape] | None = None,
        kinds: Mapping[str, Callable[[int], Any]] | None = None,
    ) -> None:
        """Pair them.

        Args:
            make: of the values of all fields, in order, the row.
            message: what it is encoded as.
            parts: by field, the shape of a row in the row, or of each row of a tuple; one that is absent is None.
            kinds: by field, the enum that its number stands for.
        """
        self._make, self._message = make, message
        self._parts, self._kinds = parts or {}, kinds or {}
        descriptor: Any = message.DESCRIPTOR
        self._fields: list[str] = [each.name for each in sorted(descriptor.fields, key=lambda each: each.number)]
        empty = message()
        self._repeated = {
            name for name in self._fields if not isinstance(getattr(empty, name), (Message, str, int, float))
        }

    def record(self, row: Any) -> Any:
        """Encode a row."""
        found: dict[str, Any] = {}
        for name, value in zip(self._fields, row, strict=True):
            if (part := self._parts.get(name)) is not None:
                value = _mapped(part.record, value, repeated=name in self._repeated)
            if value is not None:
                found[name] = value
        return self._message(**found)

    def row(self, record: Any) -> Any:
        """Decode a row."""
        return self._make(*[self._value(record, name) for name in self._fields])

    def _value(self, record: Any, name: str) -> Any:
        value, repeated = getattr(record, name), name in self._repeated
        if (part := self._parts.get(name)) is not None:
            if not (repeated or record.HasField(name)):
                return None
            return _mapped(part.row, value, repeated=repeated)
        if name in self._kinds:
            return self._kinds[name](value)
        return tuple(value) if repeated else value


def _mapped(function: Part, value: Any, *, repeated: bool) -> Any:
    if repeated:
        return tuple([function(each) for each in value])
    return None if value is None else function(value)
