"""Server reflection, so that grpcurl and its like need no proto files. Python has v1alpha only."""

from __future__ import annotations

from collections.abc import Iterable

import grpc
from grpc_reflection.v1alpha import reflection


def add_reflection(server: grpc.aio.Server, full_names: Iterable[str]) -> None:
    """Let `server` describe the services with these names, and itself."""
    reflection.enable_server_reflection((*full_names, reflection.SERVICE_NAME), server)
