"""What the package promises to keep."""

from __future__ import annotations

import subprocess
import sys

import pytest

import tercio
from tercio.api.scheduler.v1 import task_pb2
from tercio.states import TaskState

SURFACE = """
AccessError Agent AgentReplacedError BlockingContext CallError ClaimLostError Client ClosedError ConflictError Context
Credential DeadlineExceededError ExhaustedError FencingToken FieldViolation HandlerError InvalidRequestError
NotFoundError Opinion PermanentError RetryPolicy ServerError SettingsError TaskCancelledError TaskClaim
TaskDeadLetteredError TaskError TaskFailedError TaskHandle TaskOptions TaskSpec TaskState TercioError UnavailableError
Watch
"""


def test_the_public_names_are_these() -> None:
    assert tercio.__all__ == SURFACE.split()
    assert all(hasattr(tercio, name) for name in tercio.__all__)


def test_states_are_the_contract_s() -> None:
    contract = {name.removeprefix("STATE_"): number for name, number in task_pb2.Task.State.items()}
    assert {state.name: state.value for state in TaskState} == contract


@pytest.mark.timeout(30)  # it starts an interpreter
def test_only_declared_dependencies_are_imported() -> None:
    code = "import sys, tercio, tercio.sync; print(' '.join({name.split('.')[0] for name in sys.modules}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    foreign = {"tercio_common", "pydantic", "structlog", "typer", "rich", "uvloop"}
    assert not foreign & set(loaded)
