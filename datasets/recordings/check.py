"""`hoprior data check`: what a user's copy of a dataset has, lacks, and whether its numbers can be right."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from hoprior.datasets.recordings.adapter import Adapter, FrameSkipped
from hoprior.datasets.recordings.files import is_file
from hoprior.datasets.recordings.index import SPLITS, Entry
from hoprior.datasets.recordings.record import RecordedSample
from hoprior.datasets.recordings.self_check import SelfCheck, self_check
from hoprior.errors import HopriorError

GEOMETRY_SAMPLES = 96
"""So many samples, from all over the dataset, are measured."""
SHOWN = 5
"""So many of a kind are named; all are counted."""


@dataclass
class CheckReport:
    """What a walk over a dataset found.

    Attributes:
        frames: how many the dataset lists; `read` were opened.
        good: how many of those are samples.
        skipped: by the dataset's rules, how many by which.
        damaged: key and reason of frames that cannot be read.
        missing: annotation files that the dataset's lists name and nobody finds.
        meshes: problems of objects' meshes: name and reason; `objects` were needed.
        images: of each kind of picture, how many are there of how many.
        samples: those that were measured, for pictures.
    """

    frames: int
    splits: dict[str, int]
    sequences: int
    subjects: int
    sides: dict[str, int]
    read: int = 0
    good: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    damaged: list[tuple[str, str]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    meshes: dict[str, str] = field(default_factory=dict)
    objects: set[str] = field(default_factory=set)
    images: dict[str, list[int]] = field(default_factory=dict)
    geometry: SelfCheck = field(default_factory=lambda: SelfCheck(0))
    samples: list[RecordedSample] = field(default_factory=list)
    unmeasured: str = ""

    def problems(self) -> list[str]:
        """One clause for each kind of thing that is wrong; none if nothing is."""
        found = []
        if not self.frames:
            found.append("there are no frames")
        elif not self.good and not self.damaged:
            found.append("no frame is a sample")
        if self.damaged:
            found.append(f"{len(self.damaged)} of {self.read:,} frames are damaged")
        if self.missing:
            found.append(f"{len(self.missing):,} annotation files are missing")
        if self.meshes:
            found.append(f"{len(self.meshes)} of {len(self.objects)} meshes are missing or damaged")
        found += [f"suspected: {suspect}" for suspect in self.geometry.suspects]
        return found


def check_dataset(
    adapter: Adapter, num: int | None = None, progress: Callable[[int, int], None] | None = None
) -> CheckReport:
    """Lists a dataset anew, opens its frames (`num` of them, evenly, or all), and measures some.

    Args:
        progress: told how many frames of how many have been opened.
    """
    index = adapter.index(refresh=True)
    splits = index.splits(adapter.split_of)
    report = CheckReport(
        frames=len(index),
        splits={name: int((splits == k).sum()) for k, name in enumerate(SPLITS) if (splits == k).any()},
        sequences=len(set(index.groups)),
        subjects=len(set(index.subjects) - {""}),
        sides={side: int((index.side_id == k).sum()) for k, side in enumerate(("right", "left"))},
    )
    report.missing = [str(path.relative_to(adapter.root)) for path in adapter.expected() if not is_file(path)]
    chosen = np.arange(len(index)) if num is None else np.unique(np.linspace(0, len(index) - 1, num).astype(int))
    if not len(index):
        return report
    stride = max(1, len(chosen) // (4 * GEOMETRY_SAMPLES))
    for done, (entry, outcome) in enumerate(adapter.walk(chosen)):
        _count(report, adapter, entry, outcome, keep=done % stride == 0)
        if progress is not None:
            progress(done + 1, len(chosen))
    if len(report.samples) > GEOMETRY_SAMPLES:
        picked = np.linspace(0, len(report.samples) - 1, GEOMETRY_SAMPLES).astype(int)
        report.samples = [report.samples[i] for i in picked]
    try:
        report.geometry = self_check(report.samples, adapter.grasps_only)
    except HopriorError as error:
        report.unmeasured = str(error)
    return report


def _count(
    report: CheckReport,
    adapter: Adapter,
    entry: Entry,
    outcome: RecordedSample | FrameSkipped | HopriorError,
    keep: bool,
) -> None:
    report.read += 1
    if isinstance(outcome, FrameSkipped):
        report.skipped[str(outcome)] += 1
        return
    if isinstance(outcome, HopriorError):
        report.damaged.append((entry.key, str(outcome)))
        return
    report.good += 1
    for name, image in outcome.images.items():
        there = report.images.setdefault(name, [0, 0])
        there[0] += image.exists()
        there[1] += 1
    if outcome.object is not None and outcome.object.info.name not in report.objects:
        name = outcome.object.info.name
        report.objects.add(name)
        try:
            outcome.object.surface()
        except HopriorError as error:
            report.meshes[name] = str(error)
    if keep:
        report.samples.append(outcome)
