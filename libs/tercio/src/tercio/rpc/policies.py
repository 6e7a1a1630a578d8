"""How long calls may take and how they are paced: read from `service_config.json` beside the contracts.

The files have gRPC's own format, so that clients in other languages use them as they are. Unlike gRPC's retries ours go
on until the call's timeout, keep the request id and tell the request's age.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class CallPolicy:
    """Timing of one method.

    Attributes:
        timeout_ms: how long the call may take with all its retries.
        initial_backoff_ms: upper bound of the first wait.
        max_backoff_ms: upper bound of every wait.
        backoff_factor: growth of the bound.
    """

    timeout_ms: int = 30_000
    initial_backoff_ms: int = 50
    max_backoff_ms: int = 2_000
    backoff_factor: float = 2.0


_DEFAULT = CallPolicy()


@functools.cache
def policy_of(service: str, method: str) -> CallPolicy:
    """Return the policy of a method: its own, else its service's, else the default.

    Args:
        service: full name, for instance `tercio.api.scheduler.v1.TaskService`.
        method: for instance `GetTask`.
    """
    policies = _policies(service.rpartition(".")[0])
    return policies.get((service, method)) or policies.get((service, "")) or _DEFAULT


@functools.cache
def _policies(package: str) -> Mapping[tuple[str, str], CallPolicy]:
    try:
        text = resources.files(package).joinpath("service_config.json").read_text(encoding="utf-8")
    except (ModuleNotFoundError, FileNotFoundError):
        return {}
    return {
        (name["service"], name.get("method", "")): _parsed(entry)
        for entry in json.loads(text)["methodConfig"]
        for name in entry["name"]
    }


def _parsed(entry: Mapping[str, Any]) -> CallPolicy:
    retry = entry.get("retryPolicy", {})
    return CallPolicy(
        timeout_ms=_milliseconds(entry.get("timeout"), default=_DEFAULT.timeout_ms),
        initial_backoff_ms=_milliseconds(retry.get("initialBackoff"), default=_DEFAULT.initial_backoff_ms),
        max_backoff_ms=_milliseconds(retry.get("maxBackoff"), default=_DEFAULT.max_backoff_ms),
        backoff_factor=float(retry.get("backoffMultiplier", _DEFAULT.backoff_factor)),
    )


def _milliseconds(text: str | None, *, default: int) -> int:
    """Read a protobuf duration in its JSON form, for instance `1.5s`."""
    return default if text is None else round(float(text.removesuffix("s")) * 1000)
