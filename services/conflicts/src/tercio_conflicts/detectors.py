"""The detectors of a process: those of the package, and those that other packages bring by entry point."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points

from tercio_conflicts.state.detectors.catalogue import DETECTORS
from tercio_conflicts.state.detectors.protocol import Detector

GROUP = "tercio.detectors"


def installed_detectors() -> tuple[Detector, ...]:
    """Return every detector.

    Raises:
        ValueError: two have one name, or one has no method `detect`.
    """
    found = sorted(entry_points(group=GROUP), key=lambda each: each.name)
    detectors = (*DETECTORS, *map(_made, found))
    names = [each.name for each in detectors]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"two detectors are named {', '.join(twice)}; rename the one of your package")
    return detectors


def _made(found: EntryPoint) -> Detector:
    detector: Detector = found.load()()
    if not callable(getattr(detector, "detect", None)) or not isinstance(getattr(detector, "name", None), str):
        raise ValueError(f"{found.value} is no detector: it needs a `name` and a method `detect`")
    return detector
