"""A detector of another package is found by its entry point; the one of the manual works as it is written there."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from support.conflicts import running_conflicts
from support.disputes import RESOLVING, disputes_of
from tercio.api.conflicts.v1 import conflict_pb2
from tercio_common.journal.memory import MemoryStore
from tercio_common.testing.manual_clock import ManualClock
from tercio_conflicts.detectors import installed_detectors

MANUAL = Path(__file__).resolve().parents[3] / "docs/extend/add-a-detector.md"


def install(folder: Path, *, code: str, entry: str) -> None:
    """Write a package as an installer would."""
    (folder / "overworked_plugin.py").write_text(code)
    described = folder / "overworked_plugin-1.dist-info"
    described.mkdir()
    (described / "METADATA").write_text("Metadata-Version: 2.1\nName: overworked-plugin\nVersion: 1\n")
    (described / "entry_points.txt").write_text(f"[tercio.detectors]\n{entry}\n")


def manual_code() -> str:
    """Return the Python of the manual."""
    (code,) = re.findall(r"```python\n(.*?)```", MANUAL.read_text(), re.DOTALL)
    return re.sub(r"^   ", "", code, flags=re.MULTILINE)


@pytest.fixture(autouse=True)
def _import_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "overworked_plugin", raising=False)


async def test_the_detector_of_the_manual_is_run(tmp_path: Path) -> None:
    install(tmp_path, code=manual_code(), entry="overworked = overworked_plugin:Overworked")
    clock = ManualClock()
    async with running_conflicts(MemoryStore(clock=clock), clock=clock) as claims, disputes_of(claims) as disputes:
        await disputes.work(*(conflict_pb2.Work(task_id=f"t{number}", agent_id="ada") for number in range(9)))
        (conflict,) = await disputes.until(RESOLVING, conflict_pb2.Conflict.STATE_ESCALATED)
        assert conflict.conflict_analysis.context["count"] == "9"


@pytest.mark.parametrize(
    ("code", "entry", "message"),
    [
        pytest.param("class X:\n    name = 'x'\n", "x = overworked_plugin:X", "is no detector", id="no method"),
        pytest.param(
            "class X:\n    name = 'compute'\n    def detect(self, situation): return ()\n",
            "x = overworked_plugin:X",
            "two detectors are named compute",
            id="a name that is taken",
        ),
    ],
)
def test_what_is_no_detector_is_refused_at_the_start(tmp_path: Path, code: str, entry: str, message: str) -> None:
    install(tmp_path, code=code, entry=entry)
    with pytest.raises(ValueError, match=message):
        installed_detectors()
