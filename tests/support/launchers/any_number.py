"""Mutation of G11: who scales by hand is not held to the bounds."""

from __future__ import annotations

import sys
from typing import Any

from tercio_common.lifecycle import main_of
from tercio_scaling import app
from tercio_scaling.settings import ScalingProcessSettings
from tercio_scaling.state import manual
from tercio_scaling.state.decisions import Limit
from tercio_scaling.state.pools import AgentPool


def _none(agents: int, before: int, pool: AgentPool, affordable: int | None) -> Limit | None:
    return None


if __name__ == "__main__":
    mutated: Any = manual
    mutated.limit_of = _none
    sys.exit(main_of(app.NAME, app.build, ScalingProcessSettings))
