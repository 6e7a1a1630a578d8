"""Who is served before whom: exactly by the rule, nobody is passed for ever, and a refused group leaves nothing.

Each property is run on mutations of the product too, and must find them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from support.conflicts_machine import Driver, file, glob
from support.fair_grants import granted
from tercio_conflicts.state import waiting
from tercio_conflicts.state.commands import Acquire, Atomicity
from tercio_conflicts.state.grants import Ledger
from tercio_conflicts.state.modes import Mode
from tercio_conflicts.state.rows import Terms
from tercio_conflicts.state.rules import Rules
from tercio_conflicts.state.things import Thing
from tercio_conflicts.state.waiting import Place, Waiting

RULES = Rules(owner_limit=4, ageing=1_000)
THINGS = st.sampled_from([file("a"), file("d/a"), glob("*"), glob("d/*"), glob("**/a")])
OWNERS = st.sampled_from("abc")
MODES = st.sampled_from([Mode.EXCLUSIVE, Mode.EXCLUSIVE, Mode.SHARED, Mode.INTENT])
HIGHEST = 3
PRIORITIES = st.integers(0, HIGHEST)
Triple = tuple[str, Thing, Mode]
TRIPLES = st.tuples(OWNERS, THINGS, MODES)


class Scene(NamedTuple):
    """What is held, who waits for how long, and who then comes."""

    held: Sequence[Triple]
    waits: Sequence[tuple[str, Sequence[Thing], Mode, int, int]]
    asked: Sequence[Triple]
    atomicity: Atomicity
    priority: int


SCENES = st.builds(
    Scene,
    held=st.lists(TRIPLES, max_size=3),
    waits=st.lists(
        st.tuples(
            OWNERS, st.lists(THINGS, min_size=1, max_size=2), MODES, PRIORITIES, st.sampled_from([0, 1_500, 5_000])
        ),
        max_size=3,
    ),
    asked=st.lists(TRIPLES, min_size=1, max_size=4),
    atomicity=st.sampled_from(Atomicity),
    priority=PRIORITIES,
)


def grants_are_those_of_the_rule(scene: Scene) -> None:
    """What is granted is what looking at every pair says, and nothing else changes."""
    driver = Driver(RULES)
    for owner, thing, mode in scene.held:
        driver.acquire(owner, thing, mode=mode)
    for owner, things, mode, priority, duration in scene.waits:
        driver.wait(driver.wish(owner, *things, mode=mode, priority=priority, atomicity=Atomicity.BATCH))
        driver.now += duration
    owners, things, modes = zip(*scene.asked, strict=True)
    wish = Acquire(
        things=things, modes=modes, owners=owners, atomicity=scene.atomicity, terms=Terms(priority=scene.priority)
    )
    before, expected = driver.rows(), granted(wish, driver)
    reply = driver.do(wish)
    assert [bool(number) for number in reply.numbers] == expected
    fresh = [row for row in driver.rows() if row not in before]
    assert [row.number for row in fresh] == [number for number in reply.numbers if number]
    assert [(row.owner, row.thing, row.mode) for row in fresh] == [
        asked for asked, is_granted in zip(scene.asked, expected, strict=True) if is_granted
    ]


STEP = 500
LONGEST = 2 * STEP
"""How long anybody keeps what it was granted."""
ARRIVALS = st.lists(
    st.tuples(THINGS, MODES, PRIORITIES, st.booleans(), st.integers(1, LONGEST)), min_size=1, max_size=3
)


def nobody_is_passed_for_ever(arrivals: Sequence[Any]) -> None:
    """One call of the lowest priority waits, while others come without end, each once, and keep what they get a while.

    Before it go those that came before its age was over their priority: at most so many that each has had its time.
    """
    driver = Driver(RULES)
    ends: dict[str, int] = {}
    driver.claim("first", file("d/a"), mode=Mode.SHARED)
    ends["first"] = LONGEST
    patient = driver.wait(driver.wish("patient", glob("**/a")))
    assert patient is not None
    before_it = (HIGHEST + 1) * RULES.ageing // STEP
    for step in range((before_it + 1) * (LONGEST // STEP + 1)):
        for owner in [owner for owner, end in ends.items() if end <= driver.now]:
            driver.release(*driver.machine.tables.holdings.of(owner))
            del ends[owner]
        for ticket in driver.serve():
            if ticket is patient:
                return
            ends[ticket.owner] = driver.now + LONGEST
        thing, mode, priority, may_wait, duration = arrivals[step % len(arrivals)]
        wish = driver.wish(f"o{step}", thing, mode=mode, priority=priority)
        if may_wait:
            if driver.wait(wish) is None:
                ends[f"o{step}"] = driver.now + duration
        elif all(driver.do(wish).numbers):
            ends[f"o{step}"] = driver.now + duration
        driver.now += STEP
    pytest.fail("it was passed for ever")


@settings(max_examples=300)
@given(scene=SCENES)
def test_grants_are_those_of_the_rule(scene: Scene) -> None:
    grants_are_those_of_the_rule(scene)


@settings(max_examples=60)
@given(arrivals=ARRIVALS)
def test_nobody_is_passed_for_ever(arrivals: Sequence[Any]) -> None:
    nobody_is_passed_for_ever(arrivals)


def _leave_what_was_refused(ledger: Any, items: Any) -> Any:
    obstacles = {}
    for index, item in items:
        if (obstacle := ledger.obstacle(item)) is not None:
            obstacles[index] = obstacle
            continue
        ledger._counts[item.owner] = ledger._counts.get(item.owner, 0) + 1
        ledger._taken.add(item.thing, item)
    return obstacles


Mutation = tuple[object, str, Callable[..., Any]]
NO_LINE: Mutation = (Waiting, "before", lambda *_: iter(()))
NO_AGEING: Mutation = (Waiting, "_place", lambda _, ticket, _now: Place(-ticket.priority, ticket.arrival))
ONLY_ARRIVAL: Mutation = (Waiting, "_place", lambda _, ticket, _now: Place(0, ticket.arrival))
NO_EXEMPTION: Mutation = (Ledger, "_waits_for", lambda *_: False)
ALL_EXEMPT: Mutation = (Ledger, "_waits_for", lambda *_: True)
FRESH_FIRST: Mutation = (waiting, "fresh_place", lambda priority: Place(-priority, 0))
MUTATIONS = [
    pytest.param(grants_are_those_of_the_rule, SCENES, NO_LINE, id="rule-nobody-waits"),
    pytest.param(grants_are_those_of_the_rule, SCENES, NO_AGEING, id="rule-waiting-does-not-count"),
    pytest.param(grants_are_those_of_the_rule, SCENES, ONLY_ARRIVAL, id="rule-priority-does-not-count"),
    pytest.param(grants_are_those_of_the_rule, SCENES, NO_EXEMPTION, id="rule-holders-may-not-pass"),
    pytest.param(grants_are_those_of_the_rule, SCENES, ALL_EXEMPT, id="rule-everybody-may-pass"),
    pytest.param(grants_are_those_of_the_rule, SCENES, FRESH_FIRST, id="rule-who-comes-goes-first"),
    pytest.param(
        grants_are_those_of_the_rule, SCENES, (Ledger, "place_all", _leave_what_was_refused), id="rule-no-rollback"
    ),
    pytest.param(nobody_is_passed_for_ever, ARRIVALS, NO_LINE, id="for-ever-nobody-waits"),
    pytest.param(nobody_is_passed_for_ever, ARRIVALS, NO_AGEING, id="for-ever-waiting-does-not-count"),
    pytest.param(nobody_is_passed_for_ever, ARRIVALS, ALL_EXEMPT, id="for-ever-everybody-may-pass"),
]


@pytest.mark.parametrize(("holds", "examples", "mutation"), MUTATIONS)
def test_a_mutation_is_found(
    holds: Callable[[Any], None],
    examples: st.SearchStrategy[Any],
    mutation: Mutation,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(*mutation)

    @settings(max_examples=2_000, derandomize=True, database=None, phases=[Phase.generate], report_multiple_bugs=False)
    @given(found=examples)
    def search(found: Any) -> None:
        holds(found)

    with pytest.raises((AssertionError, pytest.fail.Exception)):
        search()
