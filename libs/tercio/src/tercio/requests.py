"""Ids of requests, which make retries harmless."""

from __future__ import annotations

import os


def new_request_id() -> str:
    """Return an id that nobody else uses: 26 hexadecimal characters."""
    return os.urandom(13).hex()
