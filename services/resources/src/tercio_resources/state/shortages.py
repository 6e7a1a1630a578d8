"""A refusal for lack of resources, with the gap of each dimension in its metadata."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from tercio_common.errors import Refusal
from tercio_resources.state.rows import Gap

_RETRY_MS: Final = 500


def refusal(what: str, gaps: Iterable[Gap]) -> Refusal:
    """Return the refusal; `what` says what cannot be done."""
    metadata, missing = dict[str, str](), list[str]()
    for gap in gaps:
        available = gap.bound.available
        values = {
            "required": gap.required,
            "available": available,
            "gap": gap.required - available,
            "bound": gap.bound.kind,
        }
        metadata |= {f"{gap.dimension}.{name}": str(value) for name, value in values.items()}
        missing.append(f"{gap.required} of {gap.dimension} required, {available} available")
    message = f"{what}: {', '.join(missing)}; retry later, or ask for less"
    return Refusal("INSUFFICIENT_RESOURCES", message, metadata, _RETRY_MS)
