"""What a real API server (Kubernetes 1.36) said when it refused, as recorded; the names in it do not matter."""

from __future__ import annotations

import json
from typing import Any, Final, NamedTuple


class Answer(NamedTuple):
    """One answer: status, headers, and body as text."""

    status: int
    headers: dict[str, str]
    body: str


def _status(code: int, reason: str, message: str, **details: Any) -> dict[str, Any]:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        **({"details": details} if details else {}),
        "code": code,
    }


def _answer(status: dict[str, Any], **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status["code"], {"Content-Type": "application/json", **named}, json.dumps(status))


CONFLICT: Final = _answer(
    _status(
        409,
        "Conflict",
        'Operation cannot be fulfilled on deployments.apps "d": the object has been modified; please apply your changes'
        " to the latest version and try again",
        name="d",
        group="apps",
        kind="deployments",
    )
)
EXPIRED: Final = _status(410, "Expired", "too old resource version: 1 (579)")
"""Comes as the only event of a watch that was answered with 200."""
GONE: Final = _answer(
    _status(410, "Expired", "The provided continue parameter is too old to display a consistent list")
)
DISRUPTION_BUDGET: Final = _answer(
    _status(
        429,
        "TooManyRequests",
        "Cannot evict pod as it would violate the pod's disruption budget.",
        causes=[
            {
                "reason": "DisruptionBudget",
                "message": "The disruption budget x needs 1 healthy pods and has 1 currently",
            }
        ],
    )
)
OVERLOADED: Final = Answer(
    429,
    {"Content-Type": "text/plain; charset=utf-8", "Retry-After": "1"},
    "Too many requests, please try again later.\n",
)
"""Of priority and fairness: plain text, and with a time."""
NO_LEADER: Final = _answer(_status(500, "InternalError", "etcdserver: leader changed"))
TIMED_OUT: Final = _answer(
    _status(504, "Timeout", "Timeout: request did not complete within requested timeout - context deadline exceeded"),
)
FORBIDDEN: Final = _answer(
    _status(
        403,
        "Forbidden",
        'deployments.apps "d" is forbidden: User "system:serviceaccount:default:scaling" cannot patch resource'
        ' "deployments" in API group "apps" in the namespace "default"',
        name="d",
        group="apps",
        kind="deployments",
    )
)
