"""Graphs shaped like two well-known scientific workflows, with runtimes drawn around their profiles.

Source of the structure and, roughly, of the runtimes: G. Juve et al., "Characterizing and profiling scientific
workflows", Future Generation Computer Systems 29(3), 2013. `benchmarks/README.md` spells the rules out.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from math import ceil, sqrt
from typing import Final, NamedTuple

from benchmarks.workflows.workflow import Task, Workflow, WorkflowError, checked


class Profile(NamedTuple):
    """How long one kind of task runs: mean and standard deviation in seconds."""

    mean_s: float
    deviation_s: float = 0.0

    def draw(self, chance: random.Random) -> float:
        """Return one runtime, gamma-distributed so that it is never negative."""
        if not self.deviation_s:
            return self.mean_s
        shape = (self.mean_s / self.deviation_s) ** 2
        return chance.gammavariate(shape, self.mean_s / shape)


MONTAGE: Final[Mapping[str, Profile]] = {
    "mProject": Profile(1.73, 0.09),
    "mDiffFit": Profile(0.66, 0.56),
    "mConcatFit": Profile(143.26),
    "mBgModel": Profile(384.49),
    "mBackground": Profile(1.72, 0.65),
    "mImgtbl": Profile(2.78),
    "mAdd": Profile(282.37),
    "mShrink": Profile(66.10),
    "mJPEG": Profile(0.64),
}
EPIGENOMICS: Final[Mapping[str, Profile]] = {
    "fastqSplit": Profile(34.32, 8.94),
    "filterContams": Profile(2.47, 0.43),
    "sol2sanger": Profile(0.48, 0.14),
    "fastq2bfq": Profile(1.40, 0.23),
    "map": Profile(201.89, 21.15),
    "mapMerge": Profile(11.01, 12.18),
    "maqIndex": Profile(43.57),
    "pileup": Profile(55.95),
}

_MONTAGE_FEWEST: Final = 60
_MONTAGE_SINGLE: Final = 6
_MONTAGE_TASKS_AN_IMAGE: Final = 6
_OVERLAP_REACH: Final = 3
_EPIGENOMICS_FEWEST: Final = 9
_EPIGENOMICS_MOST_LANES: Final = 7
_LANE_STEPS: Final = ("filterContams", "sol2sanger", "fastq2bfq", "map")


class _Growing:
    """Tasks so far, with ids that count per kind."""

    def __init__(self, profiles: Mapping[str, Profile], seed: int) -> None:
        self.tasks: list[Task] = []
        self.chance = random.Random(seed)
        self._profiles = profiles
        self._counts = dict.fromkeys(profiles, 0)

    def add(self, kind: str, *parents: str) -> str:
        task_id = f"{kind}_{self._counts[kind]:05d}"
        self._counts[kind] += 1
        runtime_s = self._profiles[kind].draw(self.chance)
        self.tasks.append(Task(task_id=task_id, name=kind, runtime_s=runtime_s, parents=parents))
        return task_id


def montage(tasks: int, *, seed: int) -> Workflow:
    """Return a mosaic of images: exactly this many tasks, at least 60.

    Raises:
        WorkflowError: too few tasks for every image to overlap enough others.
    """
    if tasks < _MONTAGE_FEWEST:
        raise WorkflowError(f"a Montage shape has at least {_MONTAGE_FEWEST} tasks, not {tasks}")
    images = ceil((tasks - _MONTAGE_SINGLE) / _MONTAGE_TASKS_AN_IMAGE)
    growing = _Growing(MONTAGE, seed)
    projected = [growing.add("mProject") for _ in range(images)]
    pairs = _overlaps(images, tasks - _MONTAGE_SINGLE - 2 * images, growing.chance)
    differences = [growing.add("mDiffFit", projected[one], projected[other]) for one, other in pairs]
    model = growing.add("mBgModel", growing.add("mConcatFit", *differences))
    corrected = [growing.add("mBackground", image, model) for image in projected]
    mosaic = growing.add("mAdd", growing.add("mImgtbl", *corrected))
    growing.add("mJPEG", growing.add("mShrink", mosaic))
    return checked(f"montage-{tasks}-{seed}", growing.tasks)


def epigenomics(tasks: int, *, seed: int) -> Workflow:
    """Return lanes of sequencing data: as many tasks as whole chunks allow, up to three fewer; at least 9.

    Raises:
        WorkflowError: too few tasks for one lane.
    """
    if tasks < _EPIGENOMICS_FEWEST:
        raise WorkflowError(f"an Epigenomics shape has at least {_EPIGENOMICS_FEWEST} tasks, not {tasks}")
    lanes = min(_EPIGENOMICS_MOST_LANES, (tasks - 3) // 6)
    chunks = (tasks - 3 - 2 * lanes) // len(_LANE_STEPS)
    growing = _Growing(EPIGENOMICS, seed)
    sizes = [1] * lanes
    for _ in range(chunks - lanes):
        sizes[growing.chance.randrange(lanes)] += 1
    merged = [_lane(growing, size) for size in sizes]
    growing.add("pileup", growing.add("maqIndex", growing.add("mapMerge", *merged)))
    return checked(f"epigenomics-{tasks}-{seed}", growing.tasks)


SHAPES: Final[Mapping[str, Callable[..., Workflow]]] = {"montage": montage, "epigenomics": epigenomics}


def _lane(growing: _Growing, chunks: int) -> str:
    split = growing.add("fastqSplit")
    mapped = []
    for _ in range(chunks):
        last = split
        for kind in _LANE_STEPS:
            last = growing.add(kind, last)
        mapped.append(last)
    return growing.add("mapMerge", *mapped)


def _overlaps(images: int, wanted: int, chance: random.Random) -> list[tuple[int, int]]:
    """Return the closest pairs of images on a grid; which of the equally distant ones is chance."""
    width = ceil(sqrt(images))
    closest = sorted(_neighbours(images, width), key=lambda found: (found[0], chance.random()))
    return sorted((one, other) for _, one, other in islice(closest, wanted))


def _neighbours(images: int, width: int) -> Iterator[tuple[int, int, int]]:
    reach = range(-_OVERLAP_REACH, _OVERLAP_REACH + 1)
    for one in range(images):
        row, column = divmod(one, width)
        for down in range(_OVERLAP_REACH + 1):
            for right in reach:
                other = (row + down) * width + column + right
                if one < other < images and 0 <= column + right < width:
                    yield down * down + right * right, one, other
