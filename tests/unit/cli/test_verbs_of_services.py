"""Services bring verbs by entry point; one that is broken does not take the others away."""

from __future__ import annotations

import pytest
import typer
from typer.testing import CliRunner

from tercio.cli import main


class Found:
    def __init__(self, name: str, loaded: typer.Typer | None) -> None:
        self.name = name
        self._loaded = loaded

    def load(self) -> typer.Typer:
        if self._loaded is None:
            raise ImportError("no module named pools")
        return self._loaded


def test_a_service_brings_its_verbs_and_a_broken_one_only_warns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pools = typer.Typer()
    pools.callback()(lambda: None)
    pools.command("list")(lambda: typer.echo("one pool"))
    found = [Found("zones", None), Found("pools", pools)]
    fresh = typer.Typer()
    fresh.callback()(lambda: None)
    monkeypatch.setattr(main, "entry_points", lambda group: found if group == "tercio.cli" else [])
    monkeypatch.setattr(main, "app", fresh)
    main._add_verbs_of_services()
    assert "`tercio zones` are missing: no module named pools" in capsys.readouterr().err
    assert CliRunner().invoke(fresh, ["pools", "list"]).stdout == "one pool\n"


def test_an_app_of_one_command_is_a_verb_and_no_group(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = typer.Typer()
    alone.command("storm")(lambda: typer.echo("a storm"))
    fresh = typer.Typer()
    fresh.callback()(lambda: None)
    monkeypatch.setattr(main, "entry_points", lambda group: [Found("storm", alone)] if group == "tercio.cli" else [])
    monkeypatch.setattr(main, "app", fresh)
    main._add_verbs_of_services()
    assert CliRunner().invoke(fresh, ["storm"]).stdout == "a storm\n"
