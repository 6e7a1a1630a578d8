"""Agents that nobody decided: there before the pool was, asked for by somebody else, or at work again."""

from __future__ import annotations

from support.scaling_machine import QUICK, Agent, Played, row
from tercio_scaling.state.commands import ApplyPool, ScalePool
from tercio_scaling.state.rows import EventKind, VictimPhase
from tercio_scaling.state.views import targets


def with_agents(count: int, **fields: object) -> Played:
    """Return a pool that is declared over so many agents that work."""
    played = Played()
    played.agents["p"] = [Agent(f"p-{number}", f"u{number}", 0, registered=True, held=1) for number in range(count)]
    played.asked["p"] = count
    played.do(ApplyPool(row(QUICK._replace(slots=2), **fields)))
    return played


def test_nothing_is_driven_before_it_is_seen_what_there_is() -> None:
    played = with_agents(3)
    assert list(targets(played.tables)) == []
    played.look()
    assert [target.agents for target in targets(played.tables)] == [3]


def test_agents_that_were_there_are_adopted_within_the_bounds() -> None:
    played = with_agents(3)
    played.look()
    assert (played.state().decided, played.state().victims) == (3, ())
    assert [event.rule for event in played.told(EventKind.SCALED_UP)] == ["minimum", "found"]
    too_many = with_agents(10)
    too_many.look()
    assert too_many.state().decided == 8
    assert len(too_many.state().victims) == 2


def test_a_declared_target_counts_instead_and_nobody_that_works_is_let_go_at_once() -> None:
    played = with_agents(5, target=2)
    played.look()
    assert played.state().decided == 2
    assert [each.phase for each in played.state().victims] == [VictimPhase.CHOSEN] * 3
    assert [target.agents for target in targets(played.tables)] == [5]


def test_a_pool_with_nobody_too_many_is_driven_although_demand_is_not_known_yet() -> None:
    played = Played()
    played.apply(row(target=2))
    assert [target.agents for target in targets(played.tables)] == [2]
    played.apply(row(target=2, spec='{"command":["other"]}'))
    assert [target.agents for target in targets(played.tables)] == [2]
    played.do(ApplyPool(row(target=2, spec='{"command":["another"]}')))
    assert list(targets(played.tables)) == []


def test_agents_that_somebody_else_asked_for_are_drained_and_not_just_let_go() -> None:
    played = with_agents(3)
    played.look()
    played.agents["p"] += [Agent("p-8", "u8", 1, registered=True, held=1), Agent("p-9", "u9", 2, registered=True)]
    played.asked["p"] = 5
    played.waiting = 0
    played.look()
    assert played.state().decided == 3
    assert played.state().victims[0].agent_id == "p-9"
    assert len(played.state().victims) == 2
    assert [target.agents for target in targets(played.tables)] == [5]
    before = played.seq
    played.look()
    assert played.seq == before


def test_more_members_than_were_asked_for_are_left_to_the_driver() -> None:
    played = with_agents(3)
    played.look()
    played.agents["p"].append(Agent("p-9", "u9", 1))
    played.look()
    assert played.state().victims == ()


def test_who_works_again_after_it_was_replaced_is_one_too_many_and_drained() -> None:
    played = with_agents(3)
    played.do(ScalePool(pool_id="p", agents=3, reason="as many", hold=3_600_000))
    played.look()
    lost = played.agents["p"][0]
    lost.registered = False
    played.later(60_001)
    played.look()
    assert [target.agents for target in targets(played.tables)] == [4]
    played.drive()
    lost.registered = True
    played.start()
    played.look()
    assert played.state().failing == 0
    assert len(played.state().victims) == 1
    assert [target.agents for target in targets(played.tables)] == [4]
