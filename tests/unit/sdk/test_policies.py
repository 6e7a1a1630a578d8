from __future__ import annotations

from tercio.rpc.policies import CallPolicy, policy_of


def test_policies_are_read_from_beside_the_contracts() -> None:
    policy = policy_of("tercio.api.scheduler.v1.TaskService", "GetTask")
    assert policy == CallPolicy(timeout_ms=30_000, initial_backoff_ms=50, max_backoff_ms=2_000, backoff_factor=2.0)


def test_what_no_file_names_has_the_default() -> None:
    assert policy_of("tercio.api.none.v1.NoService", "Get") == CallPolicy()
