"""The authenticated caller of the current call."""

from __future__ import annotations

from tercio_common.errors import Refusal
from tercio_common.rpc import incoming

LOCAL = "local"
"""Built in: whoever reaches this process over loopback or a Unix socket."""
REPLICA = "replica"
"""Built in: a process of the fleet that speaks for itself."""


def current() -> str:
    """Return the principal of the call that this task handles.

    Raises:
        Refusal: UNAUTHENTICATED when it handles none, so that work started elsewhere never passes as somebody's.
    """
    try:
        principal = incoming.current().principal
    except LookupError:
        principal = ""
    if not principal:
        raise Refusal("UNAUTHENTICATED", "the call has no authenticated principal")
    return principal
