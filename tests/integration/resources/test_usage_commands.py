"""`tercio resources` against a fleet as `tercio dev` runs it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import grpc
import pytest
from typer.testing import CliRunner, Result

from support.cli_processes import Processes
from support.resources import spec
from tercio.api.resources.v1 import resource_service_pb2 as resource_pb
from tercio.api.resources.v1 import usage_service_pb2 as pb
from tercio.api.resources.v1.resource_service_pb2_grpc import ResourceServiceStub
from tercio.api.resources.v1.usage_service_pb2_grpc import UsageServiceStub
from tercio.api.type.v1.resource_amount_pb2 import ResourceAmount
from tercio.cli.main import app

Tercio = Callable[..., Result]
pytestmark = pytest.mark.timeout(60)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    running = Processes(tmp_path_factory.mktemp("fleet"))
    _, address = running.dev("--port", "0", "--memory")
    yield address
    running.end()


@pytest.fixture
def tercio(fleet: str, monkeypatch: pytest.MonkeyPatch) -> Tercio:
    monkeypatch.setenv("TERCIO_ADDRESS", fleet)
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


def use(address: str) -> int:
    """Let an owner hold a tenth of a core and report that it uses four fifths; return the allocation's id."""
    with grpc.insecure_channel(address) as channel:
        asked = resource_pb.AllocateRequest(request_id="a", specs=[spec()], owners=["builder"])
        number: int = ResourceServiceStub(channel).Allocate(asked).allocation_ids[0]
        used = [ResourceAmount(dimension="cpu", amount=80)]
        report = pb.ReportUsageRequest.Report(allocation_id=number, used=used, task_type="compile")
        UsageServiceStub(channel).ReportUsage(pb.ReportUsageRequest(request_id="u", reports=[report]))
        return number


def test_every_pool_is_forecast(tercio: Tercio) -> None:
    shown = json.loads(tercio("resources", "forecast", "-o", "json").stdout)
    assert "cpu" in [each["pool_id"] for each in shown]
    assert "of 100000" in tercio("resources", "forecast").stdout


def test_strategies_are_listed_and_swapped(tercio: Tercio) -> None:
    assert "round_robin" in tercio("strategies", "list").stdout
    assert tercio("strategies", "set", "choosing", "round_robin").stdout == "round_robin is used for choosing\n"
    shown = json.loads(tercio("strategies", "list", "-o", "json").stdout)
    assert "round_robin" in [each["name"] for each in shown if each.get("in_use")]
    assert tercio("strategies", "set", "choosing", "guess").exit_code == 3
    assert tercio("strategies", "set", "other", "best_fit").exit_code == 2
    assert tercio("strategies", "set", "choosing", "best_fit").exit_code == 0


def test_reservations_are_made_listed_and_cancelled(tercio: Tercio) -> None:
    assert "nothing is reserved" in tercio("reservations", "list").stderr
    window = ("--start", "2099-01-01T02:00:00", "--for", "2h")
    made = tercio("reservations", "create", "nightly", "--amount", "cpu=4000", *window)
    number = made.stdout.split()[0]
    (shown,) = json.loads(tercio("reservations", "list", "-o", "json").stdout)
    assert (shown["owner"], shown["parts"][0]["amount"]["amount"]) == ("nightly", "4000")
    assert tercio("reservations", "claim", number, "nightly").exit_code == 4
    assert tercio("reservations", "cancel", number).exit_code == 0
    assert tercio("reservations", "create", "nightly", "--amount", "cpu", *window).exit_code == 2


def test_costs_are_priced_limited_and_listed(tercio: Tercio) -> None:
    assert "nothing has a price" in tercio("costs", "prices").stderr
    assert tercio("costs", "price", "network", "40").exit_code == 0
    assert "40" in tercio("costs", "prices").stdout
    assert tercio("costs", "limit", "tenant", "research", "2500000").stdout == "research may cost 2.5\n"
    (shown,) = json.loads(tercio("costs", "list", "-o", "json").stdout)
    assert (shown["name"], shown["limit_micros"]) == ("research", "2500000")
    assert tercio("costs", "list", "--by", "nobody").exit_code == 2


def test_usage_is_shown_predicted_from_and_judged(fleet: str, tercio: Tercio) -> None:
    assert "no holder reports" in tercio("resources", "usage").stderr
    estimate = json.loads(tercio("resources", "predict", "compile", "-o", "json").stdout)
    assert [(each["dimension"], each["amount"]) for each in estimate["amounts"]] == [("cpu", "1000"), ("memory", "512")]
    number = use(fleet)
    assert "cpu 80 of 100" in tercio("resources", "usage").stdout
    assert "80 %" in tercio("resources", "efficiency").stdout
    assert "nothing can be taken back" in tercio("resources", "optimize", "--apply").stderr
    assert tercio("resources", "optimize", "--kind", "other").exit_code == 2
    assert tercio("allocations", "release", str(number)).exit_code == 0
    learned = json.loads(tercio("resources", "predict", "compile", "-o", "json").stdout)
    assert [each["amount"] for each in learned["amounts"]] == ["96"]
