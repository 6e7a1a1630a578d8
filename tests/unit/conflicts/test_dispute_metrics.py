"""What is counted of conflicts, each thing once however often a conflict changes."""

from __future__ import annotations

from prometheus_client import REGISTRY

from support.disputes_machine import Driver
from tercio_conflicts import dispute_metrics
from tercio_conflicts.state.dispute_rows import ConflictRow, ConflictState
from tercio_conflicts.state.situation import Work


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def played() -> tuple[Driver, list[ConflictRow]]:
    """Return a driver in which a strategy failed and the next one helped, and each state of the conflict."""
    driver = Driver()
    driver.work(Work("t", "ada"), Work("t", "bert"))
    states: list[ConflictRow] = []
    driver.attend()
    states.append(driver.only())
    driver.attend()
    states.append(driver.only())
    driver.report_actions(done=False)
    states.append(driver.only())
    driver.attend()
    states.append(driver.only())
    driver.work(Work("t", "ada"))
    driver.attend()
    states.append(driver.only())
    return driver, states


def test_each_strategy_is_counted_once_and_the_end_is_observed() -> None:
    _, states = played()
    assert states[-1].state is ConflictState.RESOLVED
    failed = {"strategy": "single_owner", "outcome": "failed"}
    helped = {"strategy": "handover", "outcome": "succeeded"}
    before = value("tercio_conflicts_strategies_total", **failed), value("tercio_conflicts_strategies_total", **helped)
    ended = value("tercio_conflicts_resolution_seconds_count", type="agent_conflict")
    former: ConflictRow | None = None
    for row in states:
        dispute_metrics.count(row, former)
        former = row
    assert value("tercio_conflicts_strategies_total", **failed) == before[0] + 1
    assert value("tercio_conflicts_strategies_total", **helped) == before[1] + 1
    assert value("tercio_conflicts_resolution_seconds_count", type="agent_conflict") == ended + 1


def test_an_escalation_is_counted_once_and_one_that_is_late_as_such() -> None:
    driver = Driver(chains={"agent_conflict": ()})
    driver.work(Work("t", "ada"), Work("t", "bert"))
    driver.attend()
    raised = driver.only()
    driver.attend()
    escalated = driver.only()
    counted = value("tercio_conflicts_escalations_total", type="agent_conflict")
    late = value("tercio_conflicts_late_total", type="agent_conflict")
    dispute_metrics.count(escalated, raised)
    dispute_metrics.count(escalated, escalated)
    assert value("tercio_conflicts_escalations_total", type="agent_conflict") == counted + 1
    assert value("tercio_conflicts_late_total", type="agent_conflict") == late
    assert escalated.escalation is not None
    reason = "it was not resolved within 1800 s"
    dispute_metrics.count(escalated._replace(escalation=escalated.escalation._replace(reason=reason)), raised)
    assert value("tercio_conflicts_late_total", type="agent_conflict") == late + 1


def test_open_conflicts_are_shown_by_type_and_severity() -> None:
    driver, states = played()
    dispute_metrics.show([states[0]], decisions=3)
    assert value("tercio_conflicts_open", type="agent_conflict", severity="high") == 1
    assert value("tercio_conflicts_decisions") == 3
    dispute_metrics.show(driver.conflicts(), decisions=0)
    assert value("tercio_conflicts_open", type="agent_conflict", severity="high") == 0
    assert value("tercio_conflicts_resolution_ratio") == 1
    dispute_metrics.show((), decisions=0)
