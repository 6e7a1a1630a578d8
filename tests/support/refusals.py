"""Why a call was refused."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import grpc
import pytest

from support.registry import reason_of


async def reason_of_call(call: Awaitable[Any]) -> str:
    """Return the reason with which a call is refused; it must be."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return reason_of(caught.value)
