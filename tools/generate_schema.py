"""Writes into the chart's schema what its value `settings` may hold: what the services' own settings say.

The rest of values.schema.json is written by hand. Left out are secrets, which do not belong into a ConfigMap, and what
the chart says itself: there a value could only contradict it.

    python tools/generate_schema.py            writes deploy/helm/tercio/values.schema.json
    python tools/generate_schema.py --check    writes nothing; fails if it differs
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import json
import sys
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from tercio_common.settings import HostSettings, ServerSettings, StoreSettings

SCHEMA: Final = Path(__file__).resolve().parent.parent / "deploy/helm/tercio/values.schema.json"

SAID_BY_CHART: Final = frozenset(
    {
        "ServerSettings.advertise",
        "ServerSettings.health_port",
        "ServerSettings.metrics_port",
        "ServerSettings.port",
        "StoreSettings.ca_file",
        "StoreSettings.cert_file",
        "StoreSettings.endpoints",
        "StoreSettings.key_file",
        "StoreSettings.kind",
        "StoreSettings.path",
    }
)
"""By the class and the field."""


def sections() -> dict[str, type[BaseModel]]:
    """Return the sections of a settings file, by name."""
    found: dict[str, type[BaseModel]] = {"host": HostSettings, "server": ServerSettings, "store": StoreSettings}
    for service in sorted(entry.name for entry in importlib.metadata.entry_points(group="tercio.services")):
        module = importlib.import_module(f"tercio_{service}.settings")
        found[service] = getattr(module, f"{service.capitalize()}Settings")
    return found


def is_secret(schema: dict[str, Any]) -> bool:
    """Tell whether a field holds a secret."""
    return bool(schema.get("writeOnly"))


def settings_schema() -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the schema of `settings`, and the definitions that it refers to."""
    definitions: dict[str, Any] = {}
    for model in sections().values():
        schema = model.model_json_schema()
        definitions |= schema.pop("$defs", {})
        definitions[model.__name__] = schema
    for name, schema in definitions.items():
        _prune(name, schema)
    return (
        {
            "type": "object",
            "description": "What the services are told, as in docs/settings.md.",
            "additionalProperties": False,
            "properties": {name: {"$ref": f"#/$defs/{model.__name__}"} for name, model in sections().items()},
        },
        dict(sorted(definitions.items())),
    )


def _prune(name: str, schema: dict[str, Any]) -> None:
    """Take out secrets, what the chart says, and titles, which repeat the name."""
    properties = schema.get("properties", {})
    for field, allowed in list(properties.items()):
        if is_secret(allowed) or f"{name}.{field}" in SAID_BY_CHART:
            del properties[field]
        else:
            allowed.pop("title", None)
            allowed.pop("default", None)
    schema.pop("title", None)
    schema.pop("required", None)


def schema_text() -> str:
    """Return the whole file as it should be."""
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    schema["properties"]["settings"], schema["$defs"] = settings_schema()
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return the exit code."""
    parser = argparse.ArgumentParser(description="Write the settings into the chart's schema.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail if the file differs")
    check = parser.parse_args(arguments).check
    text = schema_text()
    if SCHEMA.read_text(encoding="utf-8") == text:
        return 0
    if check:
        print(f"{SCHEMA.name} of the chart is not what the settings say", file=sys.stderr)
        return 1
    SCHEMA.write_text(text, encoding="utf-8")
    print(f"wrote {SCHEMA.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
