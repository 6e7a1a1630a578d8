"""Each promise in force: where it is tested, under which faults, and what breaks it.

A promise is only as good as the check that fails without it. So every promise names at least one mutation, a process
without the mechanism that keeps it, and the test in which the check was seen to fail on it. `tests/architecture` holds
this table against the tests, the launchers and docs/guarantees.md.

    python -m tests.promises.catalogue        prints it
"""

from __future__ import annotations

import sys
from typing import NamedTuple


class Mutation(NamedTuple):
    """One mechanism that is taken away.

    Attributes:
        launcher: module under tests/support/launchers.
        without: what the mutated process lacks or does.
        test: file and function in which the check fails on it.
    """

    launcher: str
    without: str
    test: str


class Promise(NamedTuple):
    """One promise.

    Attributes:
        name: as in docs/guarantees.md.
        text: in a few words.
        files: tests of the promise, under tests/promises.
        faults: what is done to the fleet in them.
        mutations: at least one.
    """

    name: str
    text: str
    files: tuple[str, ...]
    faults: tuple[str, ...]
    mutations: tuple[Mutation, ...]


PROMISES = (
    Promise(
        "G1",
        "what was accepted ends, or stays visible",
        ("test_g01_acceptance.py", "test_g03_fencing.py", "test_full_store.py"),
        (
            "the leader is killed after an acknowledgement",
            "each member of etcd is killed under load, then all of them",
            "leaders are killed and stopped under 5,000 tasks",
            "etcd is filled up",
        ),
        (
            Mutation(
                "eager_replies",
                "replies leave before the commit",
                "test_g01_acceptance.py::test_replies_before_the_commit_would_be_found_out",
            ),
            Mutation(
                "idle_space_guard",
                "nobody makes room in a full etcd",
                "test_full_store.py::test_a_store_that_nobody_repairs_would_be_found_out",
            ),
        ),
    ),
    Promise(
        "G2",
        "one result is recorded",
        ("test_g02_results.py",),
        ("an older attempt reports late",),
        (
            Mutation(
                "trusting_reports",
                "any report counts",
                "test_g02_results.py::test_a_scheduler_that_takes_any_report_would_be_found_out",
            ),
        ),
    ),
    Promise(
        "G3",
        "one leader's writes commit",
        ("test_g03_fencing.py", "test_g03_scaling.py"),
        (
            "a leader is stopped for twice its lease",
            "a leader does not notice that it lost the role",
            "what it tells a driver arrives after its successor's",
        ),
        (
            Mutation(
                "unfenced_leader",
                "the journal's append has no fence",
                "test_g03_fencing.py::test_without_the_fence_the_stale_record_shows_in_the_history",
            ),
            Mutation(
                "unfenced_scaler",
                "a driver's write has no fence",
                "test_g03_scaling.py::test_without_a_fence_at_the_driver_the_stale_write_would_be_found_out",
            ),
        ),
    ),
    Promise(
        "G4",
        "a pool is never over-granted",
        ("test_g04_capacity.py",),
        ("64 clients contend for a pool while one leader is killed and the next one stopped",),
        (
            Mutation(
                "blind_ledger",
                "a grant does not look at what is granted",
                "test_g04_capacity.py::test_grants_that_do_not_look_at_what_is_granted_would_be_found_out",
            ),
        ),
    ),
    Promise(
        "G5",
        "incompatible claims are never both granted",
        ("test_g05_claims.py",),
        ("64 clients claim, wait in cycles and sleep over leases while one leader is killed and the next one stopped",),
        (
            Mutation(
                "blind_claims",
                "a grant does not look at what is held",
                "test_g05_claims.py::test_grants_that_do_not_look_at_what_is_held_would_be_found_out",
            ),
            Mutation(
                "repeated_tokens",
                "who takes over a claim gets the token of who had it",
                "test_g05_claims.py::test_a_hand_over_that_repeats_a_token_would_be_found_out",
            ),
        ),
    ),
    Promise(
        "G6",
        "an attempt ends once, an allocation or claim is released once",
        ("test_g06_release.py", "test_g04_capacity.py", "test_g05_claims.py"),
        (
            "every way to end is told twice",
            "an agent is cut off for longer than its attempt's lease, and reports",
            "64 clients release twice or never while leaders are killed and stopped",
        ),
        (
            Mutation(
                "trusting_reports",
                "any report counts",
                "test_g06_release.py::test_an_attempt_that_ends_again_with_each_report_would_be_found_out",
            ),
            Mutation(
                "repeated_releases",
                "a release does not look at what is held",
                "test_g04_capacity.py::test_an_allocation_that_is_released_again_would_be_found_out",
            ),
            Mutation(
                "repeated_claim_releases",
                "a release of claims does not look at what is held",
                "test_g05_claims.py::test_a_claim_that_is_released_again_would_be_found_out",
            ),
        ),
    ),
    Promise(
        "G7",
        "who is shown healthy has renewed; nobody alive is declared gone for an outage",
        ("test_g07_liveness.py",),
        (
            "the leader is killed, and an agent with it",
            "the leader is stopped for twice the agents' TTL",
            "etcd is gone for longer than that TTL, and an agent with it",
            "agents are cut off",
        ),
        (
            Mutation(
                "charged_downtime",
                "agents pay for the time that nobody listened",
                "test_g07_liveness.py::test_a_registry_that_misjudges_agents_when_it_comes_back_would_be_found_out",
            ),
            Mutation(
                "believed_health",
                "a leader shows what an earlier one recorded",
                "test_g07_liveness.py::test_a_registry_that_misjudges_agents_when_it_comes_back_would_be_found_out",
            ),
        ),
    ),
    Promise(
        "G8",
        "a retry has no second effect",
        ("test_g08_retries.py",),
        ("one request from 32 callers at once, and again after a take-over",),
        (
            Mutation(
                "forgetful_requests",
                "nothing is de-duplicated",
                "test_g08_retries.py::test_without_de_duplication_the_second_effect_shows_in_the_history",
            ),
        ),
    ),
    Promise(
        "G9",
        "a poison task stops",
        ("test_g09_poison.py",),
        ("a handler always fails", "a task kills its agents"),
        (
            Mutation(
                "endless_attempts",
                "failures are not added up",
                "test_g09_poison.py::test_attempts_without_end_would_be_found_out",
            ),
        ),
    ),
    Promise(
        "G10",
        "watches are ordered, gapless and resumable",
        ("test_g10_watches.py", "test_g10_lag.py"),
        (
            "the leader is killed under a watch, which resumes later",
            "a reader stalls while etcd is compacted",
            "a cursor is too old",
        ),
        (
            Mutation(
                "off_by_one_cursor",
                "a resumed watch leaves out one record",
                "test_g10_watches.py::test_a_cursor_that_is_off_by_one_leaves_a_change_out",
            ),
            Mutation(
                "skipping_feed",
                "a reader that fell behind goes on with the present",
                "test_g10_lag.py::test_a_feed_that_passes_over_what_a_slow_reader_missed_would_be_found_out",
            ),
        ),
    ),
    Promise(
        "G11",
        "agents stay within bounds, nobody busy is removed, an outage changes nothing",
        ("test_g11_scaling.py",),
        (
            "the scheduler, the registry and the driver's ground are cut off from scaling, one after the other",
            "the leader is killed while busy agents are to leave, and the next one stopped while agents are to come",
            "etcd is gone",
        ),
        (
            Mutation(
                "hasty_removals",
                "whoever is to leave leaves at once",
                "test_g11_scaling.py::test_removals_that_do_not_wait_for_work_would_be_found_out",
            ),
            Mutation(
                "boundless_pools",
                "a decision does not look at the bounds",
                "test_g11_scaling.py::test_decisions_without_bounds_would_be_found_out",
            ),
            Mutation(
                "stale_sightings",
                "what was seen long ago decides as well",
                "test_g11_scaling.py::test_decisions_on_what_is_not_seen_any_more_would_be_found_out",
            ),
            Mutation(
                "any_number",
                "who scales by hand is not held to the bounds",
                "test_mix.py::test_pools_without_bounds_do_not_get_through_the_mix",
            ),
        ),
    ),
)

BESIDE = (
    Mutation(
        "unslewed_wall",
        "absolute deadlines follow the machine's clock",
        "test_wall_clock.py::test_deadlines_that_follow_the_jump_would_be_found_out",
    ),
    Mutation(
        "trusting_peers",
        "a call from another service counts whichever leader makes it",
        "test_peer_epochs.py::test_a_service_that_takes_every_call_would_be_found_out",
    ),
)
"""Mutations of what docs/guarantees.md says beside the numbered promises."""

SURVIVED = {
    "stale_scaler": "test_g03_scaling.py::test_the_write_of_a_leader_that_was_replaced_arrives_and_is_refused",
    "stale_leader": (
        "test_g03_fencing.py::test_the_fence_alone_stops_a_leader_that_does_not_notice_that_it_was_replaced"
    ),
}
"""Launchers that are faults, not mutations: a promise holds under them."""


def table() -> str:
    """Return the table as text."""
    lines: list[str] = []
    for promise in PROMISES:
        lines.append(f"{promise.name:<5}{promise.text}")
        lines += [f"     test      tests/promises/{file}" for file in promise.files]
        lines += [f"     fault     {fault}" for fault in promise.faults]
        lines += [f"     mutation  {one.launcher}: {one.without}" for one in promise.mutations]
    mutations = {one.launcher for promise in PROMISES for one in promise.mutations}
    faults = sum(len(promise.faults) for promise in PROMISES)
    lines.append(f"{len(PROMISES)} promises, {faults} faults, {len(mutations)} mutations")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(f"{table()}\n")
