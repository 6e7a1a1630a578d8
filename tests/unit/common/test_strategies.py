"""Catalogues of strategies, and the page that says how to add one."""

from __future__ import annotations

import re
from importlib.metadata import EntryPoint
from pathlib import Path
from textwrap import dedent

import pytest

from tercio_common.strategies import choosing, sharing
from tercio_common.strategies.catalogue import Catalogue, installed
from tercio_common.strategies.protocol import Candidate, Wish

PAGE = Path(__file__).resolve().parents[3] / "docs/extend/add-a-strategy.md"


def entry(name: str, value: str = "tercio_common.strategies.choosing:worst_fit") -> EntryPoint:
    return EntryPoint(name=name, value=value, group="tercio.strategies.choosing")


def test_what_is_installed_joins_what_is_built_in() -> None:
    found = installed("choosing", choosing.BUILT_IN, found=[entry("mine")])
    assert found["mine"] is choosing.worst_fit
    assert {"best_fit", "mine"} <= set(found.names)
    assert "other" not in found


def test_a_name_means_one_strategy() -> None:
    with pytest.raises(ValueError, match="two strategies for choosing are called 'best_fit'"):
        installed("choosing", choosing.BUILT_IN, found=[entry("best_fit")])


@pytest.mark.parametrize("built_in", [choosing.BUILT_IN, sharing.BUILT_IN], ids=["choosing", "sharing"])
def test_every_strategy_says_what_it_does(built_in: dict[str, object]) -> None:
    catalogue: Catalogue[object] = Catalogue("any", built_in)  # type: ignore[type-var]
    assert all(catalogue.description(name).endswith(".") for name in catalogue.names)
    assert catalogue.names == tuple(sorted(catalogue.names))


def test_the_example_of_the_page_is_a_strategy() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    found: dict[str, object] = {}
    exec(dedent(example), found)  # noqa: S102 (the page's own example)
    mine = found["half_full"]
    assert callable(mine)
    ranks = {room: mine(Candidate("a", room, 100), Wish(10)) for room in (10, 50, 90)}
    assert min(ranks, key=ranks.__getitem__) == 50
