"""The demo's measures, on runs that can be worked out by hand."""

from __future__ import annotations

import pytest

from examples.tickets.measures import Presence, Run, summarise


def run(
    ticket: str, agent: str, times: tuple[int, int, int, int, int], *, succeeded: bool = True, level: int = 1
) -> Run:
    ready, offered, started, exited, recorded = times
    return Run(
        ticket=ticket,
        agent=agent,
        required={"python": level},
        ready=ready,
        offered=offered,
        started=started,
        exited=exited,
        recorded=recorded,
        succeeded=succeeded,
    )


def agent(name: str, *, slots: int = 1, level: int = 1, connected: int = 0, left: int = 10_000) -> Presence:
    return Presence(agent=name, capabilities={"python": level}, slots=slots, connected=connected, left=left)


def test_a_single_ticket_counts_everything_but_its_run() -> None:
    got = summarise([run("a", "x", (0, 10, 30, 1030, 1050))], [agent("x")], submitted=0)
    assert got.run_ms == 1000
    assert got.assigned_mean_ms == got.prompt_mean_ms == 10
    assert got.overhead == pytest.approx((30 + 20) / 1000)
    assert got.throughput_per_minute == pytest.approx(60_000 / 1050)


def test_waiting_for_a_busy_agent_is_no_coordination() -> None:
    first = run("a", "x", (0, 0, 0, 1000, 1010))
    second = run("b", "x", (0, 1015, 1020, 2020, 2020))
    got = summarise([first, second], [agent("x")], submitted=0)
    assert got.assigned_p99_ms == 1015
    assert got.prompt_p99_ms == 5
    assert got.overhead == pytest.approx((10 + 10) / 2000)


def test_an_agent_without_the_capability_is_not_free() -> None:
    ticket = run("a", "x", (0, 500, 500, 1500, 1500), level=50)
    got = summarise([ticket], [agent("weak"), agent("x", level=50, connected=500)], submitted=0)
    assert got.prompt_mean_ms == 0


def test_each_ticket_counts_when_several_wait_for_one_free_agent() -> None:
    first = run("a", "x", (0, 100, 100, 1000, 1000))
    second = run("b", "x", (0, 1000, 1000, 2000, 2000))
    assert summarise([first, second], [agent("x")], submitted=0).prompt_mean_ms == 100


def test_utilisation_counts_only_moments_in_which_a_ticket_waited() -> None:
    first = run("a", "x", (0, 0, 0, 1000, 1000))
    second = run("b", "x", (0, 1250, 1250, 2000, 2000))
    got = summarise([first, second], [agent("x")], submitted=0)
    assert got.utilisation == got.matched_utilisation == pytest.approx(1000 / 1250)


def test_an_idle_agent_lowers_utilisation_but_not_the_matched_one_when_it_can_do_nothing_of_what_waits() -> None:
    first = run("a", "x", (0, 0, 0, 1000, 1000), level=50)
    second = run("b", "x", (0, 1000, 1000, 2000, 2000), level=50)
    got = summarise([first, second], [agent("x", level=50), agent("weak")], submitted=0)
    assert got.utilisation == pytest.approx(1 / 2)
    assert got.matched_utilisation == 1


def test_a_lost_attempt_is_neither_work_nor_a_free_agent() -> None:
    lost = run("a", "x", (0, 0, 0, 400, 400), succeeded=False)
    anew = run("a", "y", (4400, 4410, 4410, 5410, 5410))
    got = summarise([lost, anew], [agent("x", left=400), agent("y")], submitted=0)
    assert got.run_ms == 1000
    assert got.overhead == pytest.approx(10 / 1000)


def test_nothing_is_measured_of_nothing() -> None:
    assert summarise([], [], submitted=0).overhead == 0
