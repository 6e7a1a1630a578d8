"""One batch on its way through several participants: all of it is granted, or nothing stays held."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping, Sequence

import pytest

from support.scheduler_drive import Drive
from tercio.rpc.channels import Channels, Route
from tercio.rpc.errors import CallError
from tercio_scheduler.effects import admit
from tercio_scheduler.effects.admit import Round
from tercio_scheduler.state import admission
from tercio_scheduler.state.commands import Admissions, AttemptKey, SettleAdmissions, StartAdmissions
from tercio_scheduler.state.participants import release_kind
from tercio_scheduler.state.rows import Needs, Template
from tercio_scheduler.state.shortages import Shortage, Shortages

BOTH = ("claims", "resources")


class ScriptedLink:
    """Refuses these tasks, or fails."""

    def __init__(self, *refuses: str, fails: bool = False) -> None:
        self.route = Route(Channels(), ["nowhere:1"])
        self.asked: list[str] = []
        self._refuses, self._fails = refuses, fails

    async def ask(
        self, keys: Sequence[AttemptKey], needs: Sequence[Needs], *, request_id: str
    ) -> Mapping[int, Shortage]:
        self.asked = [key.task_id for key in keys]
        if self._fails:
            raise CallError("gone")
        refused = [place for place, key in enumerate(keys) if key.task_id in self._refuses]
        return {place: Shortage("INSUFFICIENT_RESOURCES", (), 1, 1) for place in refused}

    async def renew(self, held: Mapping[str, Needs], *, timeout_s: float) -> Collection[str]:
        raise NotImplementedError

    async def release(self, owners: Mapping[str, str]) -> None:
        raise NotImplementedError

    async def changes(self):
        raise NotImplementedError
        yield 0


@pytest.fixture(autouse=True)
def _two_participants(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admit, "asked_for", lambda _needs: BOTH)
    monkeypatch.setattr(admission, "asked_for", lambda _needs: BOTH)


@pytest.fixture
def drive() -> Drive:
    drive = Drive()
    drive.attach(concurrency=3)
    for task_id in "abc":
        drive.submit(task_id, template=Template(task_type="work", resources=(("cpu", ord(task_id)),)))
    return drive


async def settled(drive: Drive, claims: ScriptedLink, resources: ScriptedLink) -> SettleAdmissions:
    asked: Admissions = drive.propose(StartAdmissions(participants=BOTH))
    drive.session.shortages = Shortages()
    saga = Round(asked, drive.session.shortages)
    for name, link in (("claims", claims), ("resources", resources)):
        with contextlib.suppress(CallError):
            await saga.ask(name, link, request_id="r")
    command = saga.settled()
    drive.propose(command)
    return command


def names(keys: tuple[AttemptKey, ...]) -> list[str]:
    return [key.task_id for key in keys]


def owed(drive: Drive) -> dict[str, int]:
    return {name: drive.machine.outbox.count(release_kind(name)) for name in BOTH}


async def test_who_is_refused_by_the_first_is_not_asked_of_the_second_and_owes_nothing(drive: Drive) -> None:
    resources = ScriptedLink()
    command = await settled(drive, ScriptedLink("b"), resources)
    assert resources.asked == ["a", "c"]
    assert (names(command.granted), names(command.refused), command.given_up) == (["a", "c"], ["b"], ())
    assert owed(drive) == {"claims": 0, "resources": 0}


async def test_who_holds_a_part_when_it_is_refused_gives_it_back_to_everybody(drive: Drive) -> None:
    command = await settled(drive, ScriptedLink(), ScriptedLink("b"))
    assert (names(command.granted), command.refused, names(command.given_up)) == (["a", "c"], (), ["b"])
    assert owed(drive) == {"claims": 1, "resources": 1}


async def test_a_lost_answer_gives_up_all_but_those_who_were_refused_before(drive: Drive) -> None:
    command = await settled(drive, ScriptedLink("a"), ScriptedLink(fails=True))
    assert (command.granted, names(command.refused), names(command.given_up)) == ((), ["a"], ["b", "c"])
    assert owed(drive) == {"claims": 2, "resources": 2}


async def test_who_needs_nothing_of_a_service_that_does_not_answer_is_granted_all_the_same(
    drive: Drive, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = drive.row("a").spec.template.needs
    monkeypatch.setattr(admit, "asked_for", lambda needs: ("resources",) if needs == free else BOTH)
    command = await settled(drive, ScriptedLink(fails=True), ScriptedLink())
    assert (names(command.granted), command.refused, names(command.given_up)) == (["a"], (), ["b", "c"])


async def test_what_is_short_is_forgotten_only_when_all_of_it_is_met(drive: Drive) -> None:
    needs = {task_id: drive.row(task_id).spec.template.needs for task_id in "ab"}
    await settled(drive, ScriptedLink("a"), ScriptedLink("b"))
    assert all(drive.session.shortages.of(each) for each in needs.values())


async def test_nobody_is_asked_for_who_needs_a_service_that_the_fleet_lacks(drive: Drive) -> None:
    assert drive.propose(StartAdmissions(participants=("resources",))).keys == ()
