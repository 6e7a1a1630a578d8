"""The index of things finds exactly what looking at every path finds, whatever came and went before."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from support.conflicts_machine import FILES, GLOBS, file, glob, paths_of
from tercio_conflicts.state.overlaps import Overlaps
from tercio_conflicts.state.things import Kind, Thing, covers, overlap

PATHS = st.sampled_from([*map(file, FILES), *map(glob, GLOBS)])
THINGS = st.one_of(
    PATHS,
    PATHS.map(lambda thing: thing._replace(scope="other")),
    st.builds(Thing, st.sampled_from([Kind.BRANCH, Kind.TOPIC]), st.sampled_from(["", "repository"]), st.just("a")),
)
STEPS = st.lists(st.tuples(THINGS, st.integers(0, 2)), max_size=30)


def overlaps(one: Thing, other: Thing) -> bool:
    if one.scope != other.scope:
        return False
    if {one.kind, other.kind} <= {Kind.FILE, Kind.GLOB}:
        return bool(paths_of(one) & paths_of(other))
    return one == other


@given(steps=STEPS, asked=THINGS)
def test_the_index_finds_what_overlaps_and_nothing_else(steps: list[tuple[Thing, int]], asked: Thing) -> None:
    index: Overlaps[int] = Overlaps()
    entered: set[tuple[Thing, int]] = set()
    for thing, key in steps:
        if (thing, key) in entered:
            index.remove(thing, key)
            entered.remove((thing, key))
        else:
            index.add(thing, key)
            entered.add((thing, key))
    found = sorted(index.of(asked))
    assert found == sorted(key for thing, key in entered if overlaps(thing, asked))


@given(one=THINGS, other=THINGS)
def test_two_things_overlap_when_a_path_belongs_to_both(one: Thing, other: Thing) -> None:
    assert overlap(one, other) is overlap(other, one) is overlaps(one, other)


@given(claimed=THINGS, thing=THINGS)
def test_what_a_claim_covers_lies_within_it(claimed: Thing, thing: Thing) -> None:
    if covers(claimed, thing):
        assert overlaps(claimed, thing)
        assert paths_of(thing) <= paths_of(claimed)
    elif thing.kind is Kind.FILE:
        assert not overlaps(claimed, thing)
