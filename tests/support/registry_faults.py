"""Where a registry may die beside a registration: the function that is called there, before its change is durable.

`release` and `revoke` are the ports' own, and named like the calls: what they do outside is not done yet.
"""

from __future__ import annotations

from typing import Any

from tercio_registry.api.deregistration import Deregistering
from tercio_registry.state import delivery, duty, registration
from tercio_registry.state.configurations import Configurations
from tercio_registry.state.delivery import Delivery
from tercio_registry.state.obligations import Obligations
from tercio_registry.state.rollouts import Rollouts

POINTS: dict[str, tuple[Any, str]] = {
    "a configuration is accepted": (Configurations, "_propose"),
    "it is given to the agent": (Delivery, "_wanted"),
    "the agent has it": (Configurations, "_take"),
    "the agent is observed": (delivery, "_worse"),
    "it is made active": (Configurations, "_activate"),
    "it is given up": (Configurations, "_restore"),
    "the agent is sent its backup": (Delivery, "_wanted"),
    "the agent has its backup": (Configurations, "_take"),
    "the membership ends": (registration, "ended"),
    "it begins to drain": (duty, "drained"),
    "it drains": (Deregistering, "_wait_until_left"),
    "what was undone is noted": (Obligations, "close"),
    "a roll-out is accepted": (Rollouts, "_apply_start"),
    "agents join its step": (Rollouts, "_fill"),
    "its step ends": (Rollouts, "_step_ended"),
    "it takes back what it did": (Rollouts, "_undo"),
}
OUTSIDE = {"what was reserved is released": "release", "what was cleared is revoked": "revoke"}
