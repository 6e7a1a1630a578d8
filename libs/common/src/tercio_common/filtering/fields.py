"""What a filter may compare: each resource declares its fields, their kinds, and how a row's value is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, TypeVar

Subject = TypeVar("Subject")


class Kind(Enum):
    """How the values of a field are written and compared."""

    TEXT = "text"
    """`=` and `!=`, where `*` at either end matches anything; `:` is found anywhere in it."""
    NUMBER = "number"
    """Every comparator but `:`."""
    BOOL = "true or false"
    """`=` and `!=`."""
    NAME = "name"
    """One of `Field.names`: `=` and `!=`."""
    TIME = "time"
    """RFC 3339; read as ms since 1970. Every comparator but `:`."""


@dataclass(frozen=True, slots=True)
class Field(Generic[Subject]):
    """One field.

    Attributes:
        kind: of its values.
        read: gives a subject's value, None where it has none. A subject without a value matches no comparison, `!=`
            included, as AIP-160 has it. With `keyed` it gives a mapping.
        keyed: `field.key` is compared, and `field:key` asks whether the key is there.
        names: the values of kind `NAME`, by how they are written.
    """

    kind: Kind
    read: Callable[[Subject], Any]
    keyed: bool = False
    names: Mapping[str, Any] | None = None
