"""Every RPC keeps the rules of the contract: mutations can be retried, somebody is allowed, its errors are known.

A service is found by its entry point; its composition root exports the authorisation rows as `RULES`.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor

from tercio_common.reasons import REASONS
from tercio_common.rpc.authorisation import Rule

ROOT = Path(__file__).resolve().parents[2]
PROTOS = ROOT / "proto/tercio/api"
READS = ("Check", "Evaluate", "Explain", "Get", "List", "Watch")
"""First word of a read. All else changes something; a stream that does is made safe by session and frame number."""
_RPC = re.compile(r"(?P<comment>(?:^  //.*\n)+)  rpc (?P<name>\w+)\(", re.MULTILINE)
_REASON = re.compile(r"\b[A-Z][A-Z_]{4,}\b")


@dataclass(frozen=True, slots=True)
class Rpc:
    area: str
    path: str
    comment: str
    method: MethodDescriptor

    @property
    def is_read(self) -> bool:
        return self.method.name.startswith(READS)


def rpcs() -> Iterator[Rpc]:
    for proto in sorted(PROTOS.rglob("*_service.proto")):
        comments = {found["name"]: found["comment"] for found in _RPC.finditer(proto.read_text())}
        area = proto.relative_to(PROTOS).parts[0]
        module = proto.relative_to(PROTOS).with_suffix("").as_posix().replace("/", ".")
        descriptor = importlib.import_module(f"tercio.api.{module}_pb2").DESCRIPTOR
        for service in descriptor.services_by_name.values():
            for method in service.methods:
                yield Rpc(area, f"/{service.full_name}/{method.name}", comments.get(method.name, ""), method)


RPCS = list(rpcs())
AREAS = sorted({rpc.area for rpc in RPCS})


def rules_of(area: str) -> Mapping[str, Rule]:
    """Return the rows of the service of that name."""
    (entry,) = importlib.metadata.entry_points(group="tercio.services", name=area)
    rules: Mapping[str, Rule] = importlib.import_module(entry.module).RULES
    return rules


def test_there_are_rpcs_to_check() -> None:
    assert {"registry", "scheduler"} <= set(AREAS)
    assert len(RPCS) > 15


@pytest.mark.parametrize("rpc", RPCS, ids=lambda rpc: rpc.path)
def test_a_mutation_takes_a_request_id_and_a_read_does_not(rpc: Rpc) -> None:
    field = rpc.method.input_type.fields_by_name.get("request_id")
    if rpc.is_read or rpc.method.client_streaming:
        assert field is None
    else:
        assert field is not None, f"{rpc.path} changes something: its request needs `string request_id = 1`"
        assert (field.type, field.number) == (FieldDescriptor.TYPE_STRING, 1)


@pytest.mark.parametrize("rpc", RPCS, ids=lambda rpc: rpc.path)
def test_the_errors_that_an_rpc_documents_are_reasons(rpc: Rpc) -> None:
    assert "Errors: " in rpc.comment, f"{rpc.path} does not say its errors: add a comment `// Errors: REASON, REASON.`"
    named = _REASON.findall(rpc.comment[rpc.comment.index("Errors: ") :])
    assert [reason for reason in named if reason not in REASONS] == []


@pytest.mark.parametrize("area", AREAS)
def test_every_rpc_has_an_authorisation_row_and_no_row_is_left_over(area: str) -> None:
    assert sorted(rules_of(area)) == sorted(rpc.path for rpc in RPCS if rpc.area == area)


@pytest.mark.parametrize("area", AREAS)
def test_every_rpc_has_a_retry_policy(area: str) -> None:
    config = json.loads((PROTOS / area / "v1/service_config.json").read_text())
    names = [name for entry in config["methodConfig"] for name in entry["name"]]
    covered = {f"/{name['service']}/" for name in names}
    assert sorted({rpc.path.rpartition("/")[0] + "/" for rpc in RPCS if rpc.area == area} - covered) == []
    paths = {f"/{name['service']}/{name['method']}" for name in names if "method" in name}
    assert sorted(paths - {rpc.path for rpc in RPCS}) == [], "a policy names an RPC that does not exist"
