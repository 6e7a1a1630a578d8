"""Ratios, bars and what is printed of them; nothing here runs a peer."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from benchmarks.peers.catalogue import PEERS, TERCIO, Peer, Server
from benchmarks.peers.comparison import Sample, ratio, verdicts
from benchmarks.peers.environments import REQUIREMENTS, UnavailableError, prepare
from benchmarks.peers.report import as_json, as_text
from benchmarks.peers.rounds import PROGRAMS, tercio_sample

_LOAD = (1.5, 1.0, 0.5)


def _sample(rate: float, *, loop_ms: float = 20.0, scheduler_micros: float = 0.0, p50_ms: float = 5.0) -> Sample:
    return Sample(
        rate=rate,
        p50_ms=p50_ms,
        p99_ms=20.0,
        calibration_ms=loop_ms,
        versions={"system": "1.2"},
        scheduler_micros=scheduler_micros,
    )


def test_a_ratio_is_the_median_over_rounds() -> None:
    ours = [_sample(100), _sample(200), _sample(900)]
    theirs = [_sample(10), _sample(10), _sample(10)]
    assert ratio(ours, theirs) == 20


def test_a_slow_moment_of_the_machine_does_not_change_a_ratio() -> None:
    assert ratio([_sample(100)], [_sample(10)]) == ratio([_sample(50, loop_ms=40)], [_sample(10)]) == 10


def test_rounds_that_only_one_side_finished_do_not_count() -> None:
    assert ratio([_sample(100), _sample(900)], [_sample(10)]) == 10


def test_bars_pass_at_their_value_and_miss_beyond() -> None:
    ray = next(peer for peer in PEERS if peer.name == "ray")
    samples = {TERCIO: [_sample(2000, scheduler_micros=20.1, p50_ms=8.0)], "ray": [_sample(2000 / ray.bar)]}
    found = {one.what: one.passed for one in verdicts(samples, PEERS)}
    assert found == {
        "rate ÷ Ray, tasks": True,
        "scheduler": False,
        "p50 at 50 tasks/s": True,
        "p99 at 50 tasks/s": True,
    }


@pytest.mark.parametrize("samples", [{}, {"ray": [_sample(10)]}, {TERCIO: []}], ids=["nobody", "no Tercio", "failed"])
def test_without_tercio_there_is_nothing_to_judge(samples: dict[str, list[Sample]]) -> None:
    assert verdicts(samples, PEERS) == []
    assert as_text(samples, {TERCIO: "failed: it ended"}, _LOAD)


def test_the_table_has_medians_ranges_ratios_bars_versions_and_who_is_absent() -> None:
    samples = {TERCIO: [_sample(1000), _sample(3000), _sample(2000)], "dask": [_sample(10), _sample(30), _sample(20)]}
    text = as_text(samples, {"celery": "not run: there is no redis-server"}, _LOAD)
    assert "| **Tercio** | 2,000 | 1,000 - 3,000 |  | 5.0 | 20.0 |" in text
    assert "| Dask distributed | 20 | 10 - 30 | 100.0 × | 5.0 | 20.0 |" in text
    assert "| p50 at 50 tasks/s | 5.0 ms | ≤ 8 | pass |" in text
    assert "celery: not run: there is no redis-server" in text
    assert "calibration loop: 20 ms" in text
    assert "load 1.5 1.0 0.5" in text
    assert "system 1.2" in text


def test_json_holds_every_sample_and_the_ratios() -> None:
    samples = {TERCIO: [_sample(1000)], "dask": [_sample(10)]}
    told = json.loads(as_json(samples, {}, _LOAD))
    assert told["ratios"] == {"dask": 100}
    assert told["samples"]["dask"][0]["rate"] == 10


def test_tercio_is_read_from_its_own_benchmark() -> None:
    versions = {"tercio": "1", "grpcio": "2", "etcd": "3", "python": "4"}
    sample = tercio_sample(
        {
            "environment": {**versions, "cores": "2"},
            "rounds": [{"calibration_ms": 21.0}],
            "latency": {"p50_ms": 4.0, "p99_ms": 9.0},
            "median": {"rate": 30_000.0, "cpu_micros": {"scheduler": 18.0}},
        }
    )
    assert sample == Sample(
        rate=30_000.0, p50_ms=4.0, p99_ms=9.0, calibration_ms=21.0, versions=versions, scheduler_micros=18.0
    )


@pytest.mark.parametrize("program", sorted(PROGRAMS.glob("*.py")), ids=lambda path: path.name)
def test_every_program_of_a_peer_compiles(program: Path) -> None:
    compile(program.read_text(encoding="utf-8"), program, "exec")


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_every_peer_has_a_program_and_pins_for_every_package(peer: Peer) -> None:
    assert (PROGRAMS / peer.program).exists()
    pins = (REQUIREMENTS / f"{peer.environment}.txt").read_text(encoding="utf-8").split()
    assert pins
    assert all("==" in pin for pin in pins)


def test_an_environment_with_the_same_pins_is_used_as_it_is(tmp_path: Path) -> None:
    peer = next(peer for peer in PEERS if peer.server is Server.NONE)
    place = tmp_path / peer.environment
    place.mkdir()
    (place / "pins.txt").write_text((REQUIREMENTS / f"{peer.environment}.txt").read_text(encoding="utf-8"))
    assert prepare(peer, tmp_path).python == place / "bin/python"


def test_a_chosen_redis_that_is_none_is_refused_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERCIO_REDIS_SERVER", str(tmp_path / "absent"))
    peer = next(peer for peer in PEERS if peer.server is Server.REDIS)
    with pytest.raises(UnavailableError, match=r"TERCIO_REDIS_SERVER is .*absent"):
        prepare(peer, tmp_path)


def test_packages_that_cannot_be_installed_leave_the_peer_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UV", str(tmp_path / "absent"))
    peer = next(peer for peer in PEERS if peer.server is Server.NONE)
    with pytest.raises(UnavailableError, match="cannot be installed"):
        prepare(peer, tmp_path)


def test_a_chosen_redis_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERCIO_REDIS_SERVER", sys.executable)
    peer = next(peer for peer in PEERS if peer.server is Server.REDIS)
    place = tmp_path / peer.environment
    place.mkdir()
    (place / "pins.txt").write_text((REQUIREMENTS / f"{peer.environment}.txt").read_text(encoding="utf-8"))
    assert prepare(peer, tmp_path).server == sys.executable
