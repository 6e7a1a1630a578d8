"""Who may be in whose way: those that hold something, and those that wait for it."""

from __future__ import annotations

from dataclasses import replace

from support.scheduler_drive import Drive
from tercio_scheduler.effects.report_work import work_message
from tercio_scheduler.state.admission import owner_of
from tercio_scheduler.state.commands import SettleAdmissions, StartAdmissions
from tercio_scheduler.state.contention import Contender, contenders
from tercio_scheduler.state.participants import CONFLICTS, RESOURCES
from tercio_scheduler.state.rows import ClaimSpec, Template
from tercio_scheduler.state.shortages import Blocker, Shortage

CLAIM = ClaimSpec(1, "", "a", 3)
CLAIMS = Template(
    task_type="work",
    priority=7,
    claims=(CLAIM,),
    resources=(("cpu", 5),),
    labels=(("business-value", "12"), ("role", "architect"), ("unique-role", "true")),
)


def seen(drive: Drive) -> list[Contender]:
    return list(contenders(drive.machine.tables, drive.session))


def test_holders_come_before_those_who_wait_and_the_rest_is_left_out() -> None:
    drive = Drive()
    drive.attach()
    drive.submit("plain")
    drive.submit("holds", template=CLAIMS)
    (key,) = drive.propose(StartAdmissions(participants=(CONFLICTS, RESOURCES))).keys
    drive.propose(SettleAdmissions(granted=(key,)))
    drive.dispatch()
    drive.submit("waits", "waits-too", template=replace(CLAIMS, priority=9, deadline_in_ms=60_000))
    blocker = Blocker(owner_of(key), CLAIM)
    shortage = Shortage("CLAIM_CONFLICT", (), drive.now, 1, CONFLICTS, blockers=(blocker, Blocker("somebody", CLAIM)))
    drive.session.shortages.note(drive.row("waits").spec.template.needs, shortage)
    assert seen(drive) == [
        Contender(drive.row("holds"), owner_of(key)),
        Contender(drive.row("waits"), waits_for=("holds",)),
        Contender(drive.row("waits-too"), waits_for=("holds",)),
    ]


def test_what_is_told_of_them_is_what_their_tasks_say() -> None:
    drive = Drive()
    drive.attach()
    drive.submit("t", template=CLAIMS)
    waiting = work_message(seen(drive)[0])
    assert (waiting.task_id, waiting.agent_id, waiting.owner, waiting.waiting) == ("t", "", "", True)
    assert (waiting.role, waiting.unique_role, waiting.business_value) == ("architect", True, 12)
    assert (waiting.priority, dict(waiting.amounts), waiting.HasField("deadline")) == (7, {"cpu": 5}, False)
    (key,) = drive.propose(StartAdmissions(participants=(CONFLICTS, RESOURCES))).keys
    drive.propose(SettleAdmissions(granted=(key,)))
    drive.dispatch()
    running = work_message(seen(drive)[0])
    assert (running.agent_id, running.owner, running.waiting) == ("agent", owner_of(key), False)
