"""Every setting says what it means and how far it may go, and its default is one that loads."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
from collections.abc import Iterator

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from tercio_common.settings import ProcessSettings
from tools.generate_schema import SAID_BY_CHART, SCHEMA, is_secret, schema_text


def kinds() -> Iterator[type[BaseModel]]:
    yield ProcessSettings
    for entry in importlib.metadata.entry_points(group="tercio.services"):
        yield getattr(importlib.import_module(f"tercio_{entry.name}.settings"), f"{entry.name.capitalize()}Settings")


def fields(kind: type[BaseModel], path: str = "") -> Iterator[tuple[str, FieldInfo]]:
    for name, field in kind.model_fields.items():
        nested = field.annotation
        if isinstance(nested, type) and issubclass(nested, BaseModel):
            yield from fields(nested, f"{path}{name}.")
        else:
            yield f"{path}{name}", field


SETTINGS = {f"{kind.__name__}.{path}": field for kind in kinds() for path, field in fields(kind)}


def test_there_are_settings_to_check() -> None:
    assert {"ProcessSettings.server.port", "RegistrySettings.heartbeat_interval_ms"} <= SETTINGS.keys()


@pytest.mark.parametrize("name", list(SETTINGS))
def test_a_setting_says_what_it_means(name: str) -> None:
    assert SETTINGS[name].description, f"{name} needs a docstring: what it means, its unit, and why its default"


@pytest.mark.parametrize("name", [name for name, field in SETTINGS.items() if field.annotation in {int, float}])
def test_a_number_has_a_least_value(name: str) -> None:
    bounds = {type(each).__name__ for each in SETTINGS[name].metadata}
    assert bounds & {"Ge", "Gt"}, f"{name} takes any number: add ge=…"


@pytest.mark.parametrize("kind", list(kinds()), ids=lambda kind: kind.__name__)
def test_the_defaults_load(kind: type[BaseModel]) -> None:
    kind()


def test_the_chart_takes_every_setting_but_what_it_says_itself_and_secrets() -> None:
    written = SCHEMA.read_text(encoding="utf-8")
    assert written == schema_text(), "run `make schema`"
    definitions = json.loads(written)["$defs"]
    for kind in {parent for each in kinds() for parent in _models(each)} - {ProcessSettings}:
        wanted = {
            name
            for name, schema in kind.model_json_schema().get("properties", {}).items()
            if not is_secret(schema) and f"{kind.__name__}.{name}" not in SAID_BY_CHART
        }
        assert definitions[kind.__name__]["properties"].keys() == wanted, kind.__name__
        assert definitions[kind.__name__]["additionalProperties"] is False


def _models(kind: type[BaseModel]) -> Iterator[type[BaseModel]]:
    yield kind
    for field in kind.model_fields.values():
        nested = field.annotation
        if isinstance(nested, type) and issubclass(nested, BaseModel):
            yield from _models(nested)
