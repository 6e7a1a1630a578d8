"""Tables behave like a dict, can undo a command, and give snapshots that do not change."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tercio_common.machine import table as table_module
from tercio_common.machine.table import Table, TableStore


class Row(NamedTuple):
    key: int
    value: int


class Sum:
    """An index: the sum of all values, and which keys there are."""

    def __init__(self) -> None:
        self.total = 0
        self.keys: set[int] = set()

    def changed(self, key: int, old: Row | None, new: Row | None) -> None:
        self.total += (new.value if new else 0) - (old.value if old else 0)
        (self.keys.add if new else self.keys.discard)(key)


def make() -> tuple[TableStore, Table[Row], Sum]:
    store, index = TableStore(), Sum()
    table: Table[Row] = Table("rows", lambda row: row.key, store=store)
    table.add_index(index)
    return store, table, index


steps = st.lists(st.tuples(st.integers(0, 60), st.one_of(st.none(), st.integers(-5, 5))), max_size=200)


def play(table: Table[Row], model: dict[int, Row], changes: list[tuple[int, int | None]]) -> None:
    for key, value in changes:
        if value is not None:
            table.put(Row(key, value))
            model[key] = Row(key, value)
        elif key in model:
            table.delete(key)
            del model[key]


def check(table: Table[Row], index: Sum, model: dict[int, Row]) -> None:
    assert {row.key: row for row in table.values()} == model
    assert len(table) == len(model)
    assert index.total == sum(row.value for row in model.values())
    assert index.keys == set(model)
    assert all(table.get(key) == row for key, row in model.items())


@pytest.fixture(autouse=True)
def _small_partitions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table_module, "SPLIT_AT", 3)


@given(before=steps, command=steps)
def test_rollback_restores_rows_and_indexes(
    before: list[tuple[int, int | None]], command: list[tuple[int, int | None]]
) -> None:
    store, table, index = make()
    model: dict[int, Row] = {}
    play(table, model, before)
    check(table, index, model)
    store.begin()
    play(table, dict(model), command)
    store.rollback()
    check(table, index, model)


@given(before=steps, after=steps)
def test_a_shared_view_keeps_the_rows_of_its_moment(
    before: list[tuple[int, int | None]], after: list[tuple[int, int | None]]
) -> None:
    _, table, index = make()
    model: dict[int, Row] = {}
    play(table, model, before)
    frozen = dict(model)
    view = table.share()
    play(table, model, after)
    check(table, index, model)
    assert {key: row for part in view for key, row in part.items()} == frozen
    assert sum(len(part) for part in view) == len(frozen)


@given(command=steps)
def test_changes_name_each_key_once_with_its_last_row(command: list[tuple[int, int | None]]) -> None:
    store, table, _ = make()
    store.begin()
    model: dict[int, Row] = {}
    play(table, model, command)
    changes = store.changes()
    assert len({change.key for change in changes}) == len(changes)
    assert all(change.row == model.get(change.key) for change in changes)
    assert set(model) <= {change.key for change in changes}


def test_two_tables_of_one_name_are_refused() -> None:
    store, _, _ = make()
    with pytest.raises(ValueError, match="two tables are named rows"):
        Table("rows", lambda row: row, store=store)


def test_a_change_that_an_index_cannot_follow_is_undone_wholly() -> None:
    class Brittle:
        def changed(self, key: object, old: object, new: object) -> None:
            if old is None and new == ("b", 2):
                raise ValueError("not to be followed")

    store = TableStore()
    table: Table[tuple[str, int]] = Table("t", lambda row: row[0], store=store)
    table.add_index(Brittle())
    table.put(("a", 1))
    store.begin()
    with pytest.raises(ValueError, match="not to be followed"):
        table.put(("b", 2))
    store.rollback()
    assert (len(table), list(table.values())) == (1, [("a", 1)])
