from support.scheduler_drive import Drive
from tercio_scheduler.state.commands import CancelTask
from tercio_scheduler.state.expressions import compile_expression
from tercio_scheduler.state.rows import State, Template
from tercio_scheduler.state.views import EVERY_TASK, TaskFilter, count_tasks, list_tasks


def ids(drive: Drive, chosen: TaskFilter = EVERY_TASK) -> list[str]:
    return [row.task_id for row in list_tasks(drive.machine.tables, chosen).rows]


def test_pages_follow_the_order_of_acceptance_without_gaps():
    drive = Drive()
    drive.submit("z", "y")
    drive.submit("x", "w", "v")
    seen, after = [], 0
    while True:
        page = list_tasks(drive.machine.tables, after=after, limit=2)
        seen += [row.task_id for row in page.rows]
        if not page.next_order:
            break
        after = page.next_order
    assert seen == ["z", "y", "x", "w", "v"]


def test_each_part_of_a_filter_must_match():
    drive = Drive()
    drive.attach()
    drive.submit("a", template=Template(task_type="paint", labels=(("color", "red"), ("size", "1"))))
    drive.dispatch()
    drive.submit("b", template=Template(task_type="paint"), plan_id="p")
    drive.submit("c")
    drive.propose(CancelTask(task_id="c"))
    assert ids(drive, TaskFilter(states=frozenset({State.READY, State.CANCELLED}))) == ["b", "c"]
    assert ids(drive, TaskFilter(task_type="paint")) == ["a", "b"]
    assert ids(drive, TaskFilter(plan_id="p")) == ["b"]
    assert ids(drive, TaskFilter(agent_id="agent")) == ["a"]
    assert ids(drive, TaskFilter(labels=(("color", "red"),))) == ["a"]
    assert ids(drive, TaskFilter(task_type="paint", agent_id="nobody")) == []
    assert ids(drive, TaskFilter(expression=compile_expression("type = paint AND state = READY"))) == ["b"]
    assert ids(drive, TaskFilter(expression=compile_expression("labels.color = red OR id = c"))) == ["a", "c"]
    assert ids(drive, TaskFilter(expression=compile_expression("agent_id = agent priority >= 5"))) == ["a"]
    assert ids(drive, TaskFilter(plan_id="p", expression=compile_expression("plan_id != p"))) == []


def test_tasks_are_counted():
    drive = Drive()
    drive.attach(concurrency=1)
    drive.submit("a", "b", "c")
    drive.propose(CancelTask(task_id="c"))
    drive.dispatch()
    assert count_tasks(drive.machine.tables) == (3, 1, 1, 1)
