"""A round of a peer: its program's result, its failure, and nothing of it left; the programs are small fakes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks.peers import rounds
from benchmarks.peers.catalogue import Peer
from benchmarks.peers.comparison import Sample
from benchmarks.peers.environments import Environment
from tercio_common.testing.eventually import eventually

_STARTS_A_CHILD = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
"""
_TELLS = 'print(\'{"tasks": 10, "seconds": 2.0, "p50_ms": %d, "p99_ms": 4.0, "versions": {"it": "1"}}\' % child.pid)'
_FAILS = 'sys.exit(f"no luck with {child.pid}.")'

Run = Callable[[str], Sample]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a program for a round, with everything else that it needs made as quick as can be."""
    monkeypatch.setattr(rounds, "PROGRAMS", tmp_path)
    monkeypatch.setattr(rounds, "calibrate", lambda: 20.0)
    peer = Peer(name="it", title="It", program="it.py", environment="it")

    def once(program: str) -> Sample:
        (tmp_path / "it.py").write_text(program)
        environment = Environment(Path(sys.executable), "")
        return rounds.run_peer(peer, environment, seconds=0.1, paced_seconds=0.1, folder=str(tmp_path))

    return once


def _is_gone(pid: int) -> bool:
    try:
        # A zombie is gone as well: who reaps it depends on the machine's init.
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


async def test_what_a_program_tells_is_a_sample_and_its_children_end_with_it(run: Run) -> None:
    sample = run(_STARTS_A_CHILD + _TELLS)
    child = int(sample.p50_ms)
    assert sample == Sample(rate=5.0, p50_ms=child, p99_ms=4.0, calibration_ms=20.0, versions={"it": "1"})
    await eventually(lambda: _is_gone(child))


async def test_a_program_that_fails_is_told_by_its_last_words_and_its_children_end_with_it(run: Run) -> None:
    with pytest.raises(rounds.ProgramError, match=r"ended with 1:\s.*no luck with \d+") as failure:
        run(_STARTS_A_CHILD + _FAILS)
    child = int(str(failure.value).partition("no luck with ")[2].partition(".")[0])
    await eventually(lambda: _is_gone(child))


def test_a_program_that_takes_too_long_is_ended(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "_SPARE_S", 0.3)
    with pytest.raises(rounds.ProgramError, match="took too long"):
        run("import threading; threading.Event().wait()")
