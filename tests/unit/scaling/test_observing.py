"""What is seen of a pool moves its number, its victims, and what is told of them."""

from __future__ import annotations

import pytest

from support.scaling_machine import QUICK, Agent, Played, row
from tercio_scaling.state.commands import (
    ObservePools,
    ReportScaling,
    ReportVictims,
    ScalePool,
    VictimOutcome,
    VictimReport,
)
from tercio_scaling.state.rows import EventKind, Outcome, VictimPhase
from tercio_scaling.state.views import targets


def grown(agents: int = 6) -> Played:
    """Return a pool with that many agents at work."""
    played = Played()
    played.apply(row(target=agents))
    played.drive()
    played.start()
    played.look()
    return played


def shrunk(played: Played) -> Played:
    """Let demand be away for so long that agents are chosen to leave."""
    played.later(QUICK.window + QUICK.cooldown)
    played.look()
    return played


def asked(played: Played) -> int:
    (target,) = targets(played.tables)
    return target.agents


def test_demand_adds_agents_in_steps_and_says_why() -> None:
    played = Played()
    played.apply(row())
    played.drive()
    played.start()
    played.waiting = 42
    played.look()
    event = played.told(EventKind.SCALED_UP)[-1]
    assert (event.before, event.after, event.wanted, event.rule) == (1, 5, 28, "queue_depth")
    assert [limit.name for limit in event.limits] == ["maximum", "step"]
    assert event.inputs is not None
    assert event.inputs.waiting == 42
    assert event.impact is not None
    assert event.impact.slots_after == 5
    played.settle()
    assert played.state().decided == 8
    assert len(played.agents["p"]) == 8


def test_a_change_is_told_to_be_done_once_its_agents_work() -> None:
    played = Played()
    played.apply(row())
    played.drive()
    played.start()
    played.waiting = 3
    played.look()
    event = played.told(EventKind.SCALED_UP)[-1]
    assert event.outcome == Outcome.PENDING
    played.drive()
    played.later(2_000)
    played.look()
    assert played.told(EventKind.SCALED_UP)[-1].outcome == Outcome.PENDING
    played.start()
    played.look()
    done = played.told(EventKind.SCALED_UP)[-1]
    assert done.outcome == Outcome.DONE
    assert (done.driven_wall - done.wall, done.ended_wall - done.wall) == (0, 2_000)


def test_what_changes_nothing_writes_nothing() -> None:
    played = grown()
    played.waiting, played.mean_run = 5, 0
    for each in played.agents["p"]:
        each.held = 1
    played.settle()
    for _ in range(100):
        played.later(1_000)
        assert not played.look().events


@pytest.mark.parametrize("part", ["demand_age", "agents_age", "view_age"])
@pytest.mark.parametrize("age", [-1, 30_001])
def test_what_is_stale_changes_nothing(part: str, age: int) -> None:
    played = grown(1)
    seen = played.seen()._replace(**{part: age})
    assert not played.do(ObservePools((seen,))).events


def test_a_paused_pool_is_left_alone() -> None:
    played = grown(1)
    played.apply(row(target=1, paused=True))
    assert not played.look().events
    assert list(targets(played.tables)) == []


def test_who_leaves_is_cordoned_first_and_let_go_when_it_is_idle() -> None:
    played = grown()
    for each in played.agents["p"][:3]:
        each.held = 1
    shrunk(played)
    assert {each.agent_id for each in played.state().victims} == {"p-3", "p-4"}
    assert {each.phase for each in played.state().victims} == {VictimPhase.CHOSEN}
    assert asked(played) == 6
    played.drive()
    assert {each.phase for each in played.state().victims} == {VictimPhase.CORDONED}
    played.look()
    assert {each.phase for each in played.state().victims} == {VictimPhase.LEAVING}
    assert asked(played) == 4
    played.drive()
    played.look()
    assert played.state().victims == ()
    assert played.told(EventKind.SCALED_DOWN)[-1].outcome == Outcome.DONE
    assert not played.told(EventKind.AGENT_LOST)


def test_who_is_busy_is_kept_until_it_has_finished() -> None:
    played = grown()
    for each in played.agents["p"]:
        each.held = 1
    scale(played, 5)
    played.drive()
    (victim,) = played.state().victims
    played.look()
    assert played.state().victims[0].phase == VictimPhase.DRAINING
    assert asked(played) == 6
    next(each for each in played.agents["p"] if each.agent_id == victim.agent_id).held = 0
    played.look()
    assert asked(played) == 5


def test_who_has_not_finished_at_the_drain_limit_goes_all_the_same() -> None:
    played = grown()
    for each in played.agents["p"]:
        each.held = 1
    scale(played, 5)
    played.drive()
    played.look()
    played.later(299_999)
    played.look()
    assert asked(played) == 6
    played.later(1)
    played.look()
    assert asked(played) == 5
    assert played.told(EventKind.DRAIN_LIMIT_REACHED)[-1].agent_ids == (played.state().victims[0].agent_id,)


def scale(played: Played, agents: int) -> None:
    played.do(ScalePool(pool_id="p", agents=agents, reason="less", hold=3_600_000))


def test_demand_that_comes_back_returns_those_who_were_chosen_before_it_adds_others() -> None:
    played = grown()
    for each in played.agents["p"]:
        each.held = 1
    scale(played, 4)
    played.drive()
    chosen = {each.agent_id for each in played.state().victims}
    scale(played, 7)
    assert {each.phase for each in played.state().victims} == {VictimPhase.RETURNING}
    assert set(played.told(EventKind.AGENT_RETURNED)[-1].agent_ids) == chosen
    assert asked(played) == 7
    played.drive()
    assert played.state().victims == ()
    assert not any(each.cordoned for each in played.agents["p"])


def test_who_is_not_there_yet_is_let_go_first_and_at_once() -> None:
    played = grown(2)
    played.do(ReportScaling(pool_id="p", seq=0))
    scale(played, 8)
    scale(played, 2)
    assert (played.state().owed, played.state().victims) == (0, ())
    assert asked(played) == 2


def test_who_starts_goes_before_who_works() -> None:
    played = grown(2)
    scale(played, 4)
    played.drive()
    played.look()
    scale(played, 3)
    (victim,) = played.state().victims
    assert (victim.phase, victim.agent_id) == (VictimPhase.CHOSEN, "p-2")
    played.do(ReportVictims((VictimReport("p", "p-2", VictimOutcome.ABSENT),)))
    (victim,) = played.state().victims
    assert victim.phase == VictimPhase.LEAVING


def test_who_came_after_what_was_seen_is_chosen_too_and_not_left_to_the_driver() -> None:
    played = grown(2)
    scale(played, 4)
    played.drive()
    scale(played, 2)  # the two that were just started are not seen yet
    assert (played.state().victims, asked(played)) == ((), 2)
    played.start()
    for each in played.agents["p"]:
        each.held = 1
    played.look()
    assert {victim.phase for victim in played.state().victims} == {VictimPhase.CHOSEN}
    assert (len(played.state().victims), asked(played)) == (2, 4)
    played.drive()
    played.look()
    assert (len(played.agents["p"]), asked(played)) == (4, 4)


def test_agents_that_somebody_else_adds_are_chosen_to_leave_and_surplus_of_the_driver_itself_is_not() -> None:
    played = grown(2)
    played.agents["p"] += [Agent(f"extra-{number}", f"x{number}", played.now, registered=True) for number in range(2)]
    played.look()
    assert played.state().victims == ()  # it was not asked for them, as in a roll-out of a Deployment
    played.asked["p"] = 4
    played.look()
    assert len(played.state().victims) == 2
    played.settle()
    assert (len(played.agents["p"]), asked(played)) == (2, 2)


def test_nobody_is_chosen_while_nobody_is_seen() -> None:
    played = grown()
    played.later(60_000)
    scale(played, 4)
    assert (played.state().owed, played.state().victims) == (2, ())
    assert asked(played) == 6
    played.look()
    assert len(played.state().victims) == 2


def test_another_agent_that_leaves_in_place_of_the_chosen_one_is_told_and_the_chosen_one_stays() -> None:
    played = grown()
    scale(played, 5)
    played.drive()
    played.look()
    (victim,) = played.state().victims
    assert victim.phase == VictimPhase.LEAVING
    played.agents["p"] = [each for each in played.agents["p"] if each.agent_id != "p-1"]
    played.asked["p"] = 5
    played.look()
    (event,) = played.told(EventKind.WRONG_AGENT_LEFT)
    assert event.agent_ids == ("p-1",)
    assert played.state().victims[0].phase == VictimPhase.RETURNING
    assert asked(played) == 5


def test_a_later_agent_of_the_same_name_is_not_the_victim() -> None:
    played = grown()
    scale(played, 5)
    (victim,) = played.state().victims
    next(each for each in played.agents["p"] if each.agent_id == victim.agent_id).uid = "another"
    played.asked["p"] = 5  # and so nobody is too many
    played.look()
    assert victim.uid not in {each.uid for each in played.state().victims}


def test_an_agent_that_is_lost_is_told_and_one_that_does_not_start_is_replaced() -> None:
    played = grown(4)
    for each in played.agents["p"]:
        each.held = 1
    played.agents["p"].pop()
    played.look()
    assert played.told(EventKind.AGENT_LOST)[-1].agent_ids == ("p-3",)
    played.drive()
    played.later(60_001)
    played.look()
    assert played.told(EventKind.AGENT_LOST)[-1].agent_ids == ("p-4",)
    assert played.state().failing == 1
    assert asked(played) == played.state().decided + 1


def test_those_that_do_not_start_are_never_replaced_beyond_the_most() -> None:
    played = Played()
    played.apply(row(target=8))
    played.drive()
    played.later(60_001)
    played.look()
    assert played.state().failing == 8
    assert asked(played) == 8
    assert played.told(EventKind.AGENT_LOST)


def test_a_cordon_of_somebody_whom_nobody_knows_is_over_at_once() -> None:
    played = grown()
    scale(played, 5)
    (victim,) = played.state().victims
    played.do(ReportVictims((VictimReport("p", victim.agent_id, VictimOutcome.ABSENT),)))
    assert played.state().victims[0].phase == VictimPhase.LEAVING
    assert not played.do(ReportVictims((VictimReport("q", "x", VictimOutcome.ABSENT),))).events


def test_a_driver_that_fails_is_told_once_and_so_is_that_it_works_again() -> None:
    played = grown()
    for _ in range(3):
        played.do(ReportScaling(pool_id="p", seq=played.state().seq, failure="forbidden"))
    played.do(ReportScaling(pool_id="p", seq=played.state().seq))
    played.do(ReportScaling(pool_id="p", seq=played.state().seq))
    assert len(played.told(EventKind.DRIVER_FAILED)) == 1
    assert len(played.told(EventKind.DRIVER_RECOVERED)) == 1
    assert not played.do(ReportScaling(pool_id="nobody", seq=1)).events


def test_a_refusal_is_told_once_with_what_refuses() -> None:
    played = grown(8)
    played.waiting = 50
    for _ in range(5):
        played.later(1_000)
        played.look()
    (event,) = played.told(EventKind.REFUSED)
    assert [limit.name for limit in event.limits] == ["maximum"]


def test_how_long_agents_take_to_start_is_measured() -> None:
    played = Played()
    played.apply(row(target=2))
    played.drive()
    played.later(4_000)
    played.start()
    played.look()
    assert played.state().startup == 4_000
