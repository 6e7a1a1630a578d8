"""The demo's plan is what it says: 42 tickets that the demo's agents can solve, in some order."""

from __future__ import annotations

from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from examples.tickets.crew import GROUPS, MOST
from tercio.cli.plan_files import parse_plan

ROOT = Path(__file__).resolve().parents[3]
TASKS = {task.task_id: task for task in parse_plan((ROOT / "examples/tickets/plan.yaml").read_text()).tasks}


def test_there_are_42_tickets() -> None:
    assert len(TASKS) == 42


def test_their_dependencies_exist_and_form_no_cycle() -> None:
    graph = {name: list(task.depends_on) for name, task in TASKS.items()}
    assert {parent for parents in graph.values() for parent in parents} <= set(TASKS)
    assert len(list(TopologicalSorter(graph).static_order())) == len(TASKS)


@pytest.mark.parametrize("name", TASKS)
def test_a_pool_that_may_have_several_agents_can_solve_a_ticket_so_that_one_may_die(name: str) -> None:
    required = TASKS[name].template.required_capabilities
    assert sum(group.most for group in GROUPS if group.member("x").can_run(required)) >= 2


def test_priorities_span_the_range_and_every_ticket_has_a_deadline() -> None:
    assert {TASKS[name].template.priority for name in ("compile-common", "release-notes")} == {9, 1}
    assert all(task.template.HasField("deadline_in") for task in TASKS.values())


def test_every_ticket_holds_a_core_or_less_and_one_worktree() -> None:
    held = [dict(task.template.resources) for task in TASKS.values()]
    assert all(each["git_worktrees"] == 1 and 0 < each["cpu"] <= 1_000 for each in held)


def test_it_begins_with_two_agents_and_the_pools_together_may_not_have_all_that_each_could() -> None:
    assert sum(group.least for group in GROUPS) == 2
    assert max(group.most for group in GROUPS) < MOST < sum(group.most for group in GROUPS)
