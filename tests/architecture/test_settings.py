"""Every setting says what it means and how far it may go, and its default is one that loads."""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Iterator

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from tercio_common.settings import ProcessSettings


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
