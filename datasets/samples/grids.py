"""Preparation: every dataset's grasps become shards of one cache (`cache.py`), with background grasps beside them.

What is stored is compact and serves every prior: an object's signed distances once, and poses. Training grids, of
whichever `GridSpec` a prior asks for, are resampled from it in the data module, with augmentation.
"""

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
import trimesh

from hoprior.common.jobs import run_jobs
from hoprior.common.run_key import RunKey, say_start
from hoprior.datasets.samples.background import BackgroundConfig, background_grasps
from hoprior.datasets.samples.cache import (
    FORMAT,
    INDEX_NAME,
    Shard,
    is_whole,
    read_index,
    read_shard,
    shard_name,
    why_anew,
    write_index,
    write_shard,
)
from hoprior.datasets.samples.sample import GraspSet, ObjectInfo, concatenate
from hoprior.datasets.samples.tensor_file import digest_of
from hoprior.errors import HopriorError
from hoprior.geometry.sdf import SdfGrid
from hoprior.hand import HandModel, load_hand
from hoprior.hand.mano import find_mano

logger = logging.getLogger(__name__)


@runtime_checkable
class GraspSource(Protocol):
    """A dataset, seen by the preparation: objects, and the grasps of one object. Must be picklable.

    With an attribute `lenient` that is true, an object that cannot be prepared is named and left out.
    """

    @property
    def name(self) -> str: ...

    def objects(self) -> list[ObjectInfo]:
        """All objects, in a fixed order."""

    def fingerprint(self, info: ObjectInfo) -> str:
        """Changes when anything changes that an object's mesh or grasps depend on."""

    def mesh(self, info: ObjectInfo) -> trimesh.Trimesh:
        """The object's mesh in metres."""

    def grasps(self, info: ObjectInfo, mesh: trimesh.Trimesh, sdf: SdfGrid, hand: HandModel) -> GraspSet | None:
        """The human grasps of an object; None where there are none."""


@dataclass(frozen=True)
class PrepareConfig:
    """What the cache's content depends on, beside the data itself."""

    sdf_resolution: int = 64
    sdf_margin: float = 0.06
    background: BackgroundConfig = field(default_factory=BackgroundConfig)
    hand: str = "open"
    seed: int = 0


@dataclass(frozen=True)
class Progress:
    """One object done: how many of how many, whether its shard was there already, and why there is none."""

    done: int
    total: int
    object_key: str
    reused: bool
    skipped: str = ""


def shard_key(source: GraspSource, info: ObjectInfo, config: PrepareConfig) -> str:
    """Names the settings and data behind a shard; another setting gives another file."""
    return shard_parts(source, info, config)[0]


def shard_parts(source: GraspSource, info: ObjectInfo, config: PrepareConfig) -> tuple[str, RunKey]:
    """The name of all that is behind a shard, and its parts, to say which of them differ from an earlier shard's."""
    made_of = {
        "format": FORMAT,
        "config": asdict(config),
        "hand": hand_digest(config.hand),
        "object": asdict(info),
        "data": source.fingerprint(info),
    }
    parts = {
        "the seed": config.seed,
        "the settings": replace(config, seed=0),
        "the hand model": made_of["hand"],
        "the object": made_of["object"],
        "the data": made_of["data"],
        "the format": FORMAT,
    }
    return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest(), RunKey.of(parts)


def hand_digest(name: str) -> str:
    """Of a hand model's shape and joint limits: other ones give other grasps."""
    file = None if name == "open" else find_mano("right")
    return _hand_digest(name, file, None if file is None else file.stat().st_mtime_ns)


@lru_cache
def _hand_digest(name: str, file: Path | None, _changed: int | None) -> str:
    hand = load_hand(name, mano_dir=file)
    names = ["v_template", "weights", "joints_template", "axes", "angle_low", "angle_high"]
    if file is not None:
        # A file of the user's may differ in anything; the open hand's other arrays follow from these.
        names = [buffer for buffer, _ in hand.named_buffers()]
    return digest_of({name: hand.get_buffer(name) for name in names})


def prepare_object(
    source: GraspSource, info: ObjectInfo, config: PrepareConfig, key: str, made_of: RunKey | None = None
) -> Shard:
    """An object's shard: distances, human grasps, background grasps. Depends on the arguments only."""
    mesh = source.mesh(info)
    sdf = SdfGrid.from_mesh(mesh, resolution=config.sdf_resolution, margin=config.sdf_margin)
    hand = load_hand(config.hand)
    seed = int.from_bytes(hashlib.sha256(f"{config.seed} {info.key}".encode()).digest()[:6], "big")
    generator = torch.Generator().manual_seed(seed)
    human = source.grasps(info, mesh, sdf, hand)
    sets = [] if human is None else [human]
    if config.background.num:
        sets.append(background_grasps(info, mesh, sdf, hand, config.background, generator))
    if not sets:
        raise HopriorError(f"{info.key}: no grasps at all; allow background grasps or leave the object out")
    return Shard(key, sdf, concatenate(sets), made_of or RunKey({}))


def _prepare_and_write(
    source: GraspSource, info: ObjectInfo, config: PrepareConfig, key: str, made_of: RunKey, folder: Path
) -> str:
    """One worker's job; a worker uses one thread, there are as many workers as the caller wants cores used.

    Returns:
        Why there is no shard, of a lenient source; nothing where there is one.
    """
    torch.set_num_threads(1)
    try:
        write_shard(folder, prepare_object(source, info, config, key, made_of))
    except HopriorError as error:
        if not getattr(source, "lenient", False):
            raise
        return str(error).removeprefix(f"{info.key}: ")
    return ""


def prepare(
    sources: Sequence[GraspSource],
    out: Path,
    config: PrepareConfig | None = None,
    workers: int = 1,
    cluster: str | None = None,
    say: Callable[[str], object] = logger.info,
) -> Iterator[Progress]:
    """Fills the cache `out` from all sources, yielding after every object.

    Whole shards of the same settings are kept, so a run that was killed goes on where it stopped, and a further
    source joins an existing cache. The index is written at the end of an undisturbed run: it lists these sources'
    shards, and those of other sources that were in the cache before.

    Args:
        cluster: address of a Ray cluster ("auto" for the one that this machine is part of) whose machines do the work
            instead of `workers` processes; `out` and the data must be on a disk that they share.
        say: told how much of an earlier run is kept, and why the rest is not; the log if not given.

    Raises:
        HopriorError: two objects have one key, the folder cannot be written, or an object cannot be prepared.
    """
    config = config or PrepareConfig()
    out = Path(out)
    jobs = [(source, info, *shard_parts(source, info, config)) for source in sources for info in source.objects()]
    if len({info.key for _, info, *_ in jobs}) != len(jobs):
        raise HopriorError("two objects have the same source and name: rename one of them")
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HopriorError(f"{out}: cannot be made ({error.strerror}); choose another --out") from error
    waiting = []
    done = 0
    reasons = Counter[str]()
    for source, info, key, made_of in jobs:
        if is_whole(out / shard_name(info.key, key)):
            done += 1
            yield Progress(done, len(jobs), info.key, reused=True)
        else:
            reasons[why_anew(out, info.key, made_of)] += 1
            waiting.append((source, info, config, key, made_of, out))
    say_start(say, done, len(jobs), reasons, "objects")
    for job, skipped in run_jobs(_prepare_and_write, waiting, workers, cluster):
        done += 1
        if skipped:
            logger.info("%s: left out: %s", job[1].key, skipped)
        yield Progress(done, len(jobs), job[1].key, reused=False, skipped=skipped)
    write_index(out, _index_entries(out, jobs))


def _index_entries(out: Path, jobs: list[tuple[GraspSource, ObjectInfo, str, RunKey]]) -> list[dict[str, Any]]:
    """What the index says of each shard; shards of sources that were not asked for now are carried over."""
    asked = {source.name for source, *_ in jobs}
    entries = []
    if (out / INDEX_NAME).is_file():
        entries = [e for e in read_index(out) if e["source"] not in asked and (out / e["file"]).is_file()]
    for _, info, key, _ in jobs:
        if not (out / shard_name(info.key, key)).is_file():
            continue
        grasps = read_shard(out / shard_name(info.key, key)).grasps
        recorded = int(grasps.recorded.sum())
        entries.append(
            {
                "file": shard_name(info.key, key),
                "object": info.key,
                "source": info.source,
                "category": info.category,
                "licence": info.licence,
                "recorded": recorded,
                "background": len(grasps) - recorded,
            }
        )
    return sorted(entries, key=lambda entry: entry["object"])


def prepare_all(
    sources: Sequence[GraspSource],
    out: Path,
    config: PrepareConfig | None = None,
    workers: int = 1,
    report: Callable[[Progress], None] | None = None,
) -> None:
    """`prepare`, run to its end; `report` hears of every object."""
    for progress in prepare(sources, out, config, workers):
        if report is not None:
            report(progress)
