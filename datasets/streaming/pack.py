"""From a cache to shards that stream: tar files of some hundred grasps, a manifest with their checksums.

Which grasp is in which shard follows from the cache and the settings alone, and each shard is made and checked on its
own: in any number of processes, on any number of machines, killed or not, the same files come out.
"""

import hashlib
import io
import json
import logging
import random
import tarfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from hoprior.common.io import strict_json, write_atomically
from hoprior.common.jobs import run_jobs
from hoprior.common.reading import expect, interpreting, read_json, within
from hoprior.common.run_key import RunKey, files_of_keys, reason, say_start
from hoprior.datasets.samples.cache import read_index, read_shard
from hoprior.datasets.streaming.items import MEMBER, StreamSpec, encoded
from hoprior.datasets.training.held_out import held_out
from hoprior.errors import HopriorError

logger = logging.getLogger(__name__)

FORMAT = 1
MANIFEST_NAME = "manifest.json"
FOLDER = "shards"


@dataclass(frozen=True)
class PackConfig:
    """How shards are made.

    Attributes:
        spec: the crop of signed distances that is stored.
        objects_a_group: so many objects are mixed in a group of shards.
        items_a_shard: grasps of a shard.
        val_fraction: share of the objects whose grasps are for validation.
        seed: of the order.
    """

    spec: StreamSpec = field(default_factory=StreamSpec)
    objects_a_group: int = 8
    items_a_shard: int = 512
    val_fraction: float = 0.1
    seed: int = 0


@dataclass(frozen=True)
class ShardEntry:
    """What the manifest says of one shard."""

    file: str
    split: str
    recorded: bool
    items: int
    bytes: int
    sha256: str
    categories: dict[str, int]
    sentences: list[str]
    objects: list[str]


@dataclass(frozen=True)
class Group:
    """Shards to be made together: grasps of some objects, recorded ones or not."""

    name: str
    split: str
    recorded: bool
    files: tuple[str, ...]
    made_of: RunKey = field(default_factory=lambda: RunKey({}))


def plan(cache: Path, config: PackConfig) -> list[Group]:
    """The groups of a cache."""
    entries = read_index(cache)
    kept_out = held_out([entry["object"] for entry in entries], config.val_fraction)
    rng = random.Random(config.seed)
    groups = []
    for split in ("train", "val"):
        for recorded, column in ((True, "recorded"), (False, "background")):
            mine = [e["file"] for e in entries if (e["object"] in kept_out) == (split == "val") and e[column]]
            mine.sort()
            rng.shuffle(mine)
            for k in range(0, len(mine), config.objects_a_group):
                files = tuple(mine[k : k + config.objects_a_group])
                made_of = f"{FORMAT} {asdict(config)} {split} {recorded} {files}"
                key = hashlib.sha256(made_of.encode()).hexdigest()[:12]
                kind = "recorded" if recorded else "background"
                parts = RunKey.of(
                    {"the seed": config.seed, "the settings": replace(config, seed=0), "the cache": files}
                )
                name = f"{split}-{kind}-{k // config.objects_a_group:05d}-{key}"
                groups.append(Group(name, split, recorded, files, parts))
    return groups


def pack_group(cache: Path, out: Path, group: Group, config: PackConfig) -> list[ShardEntry]:
    """Makes a group's shards; its list of them comes last, and says that they are whole."""
    torch.set_num_threads(1)
    rng = random.Random(f"{config.seed} {group.name}")
    shards = [read_shard(cache / file) for file in group.files]
    rows = [
        (k, row)
        for k, shard in enumerate(shards)
        for row in (shard.grasps.recorded == group.recorded).nonzero()[:, 0].tolist()
    ]
    rng.shuffle(rows)
    entries = []
    for number, start in enumerate(range(0, len(rows), config.items_a_shard)):
        chosen = rows[start : start + config.items_a_shard]
        by_object: dict[int, list[int]] = {}
        for k, row in chosen:
            by_object.setdefault(k, []).append(row)
        items = {
            (k, row): item
            for k, mine in by_object.items()
            for row, item in zip(mine, encoded(shards[k], mine, config.spec), strict=True)
        }
        samples = [shards[k].grasps[row] for k, row in chosen]
        content = _tar([items[pair] for pair in chosen])
        file = f"{FOLDER}/{group.name}-{number:04d}.tar"
        write_atomically(out / file, lambda temporary, content=content: temporary.write_bytes(content))  # type: ignore[misc]
        entries.append(
            ShardEntry(
                file,
                group.split,
                group.recorded,
                len(chosen),
                len(content),
                hashlib.sha256(content).hexdigest(),
                dict(Counter(sample.object.category for sample in samples)),
                sorted({sample.text for sample in samples}),
                sorted({sample.object.key for sample in samples}),
            )
        )
    text = json.dumps({"made_of": group.made_of.plain(), "shards": [asdict(entry) for entry in entries]})
    write_atomically(_list_of(out, group), lambda temporary: temporary.write_text(text, encoding="utf-8"))
    return entries


def _list_of(out: Path, group: Group) -> Path:
    return out / FOLDER / f"{group.name}.json"


def _tar(items: Sequence[tuple[str, bytes]]) -> bytes:
    """A tar file of items; the same bytes for the same items."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for key, content in items:
            member = tarfile.TarInfo(f"{key}.{MEMBER}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def whole_entries(out: Path, group: Group) -> list[ShardEntry] | None:
    """The list of a group that was made before; None if a part of it is missing or has another size."""
    path = _list_of(out, group)
    try:
        content = read_json(path)
        with interpreting(path):
            # Earlier versions wrote the shards alone.
            listed = content["shards"] if isinstance(content, dict) else content
            entries = [ShardEntry(**entry) for entry in listed]
            same = all(within(out, e.file, path).stat().st_size == e.bytes for e in entries)
    except (OSError, HopriorError):
        return None
    return entries if same else None


def _made_of_list(path: Path) -> Any:
    """What a list of a group's shards says that they were made of; None if it does not."""
    try:
        content = read_json(path)
    except HopriorError:
        return None
    return content.get("made_of") if isinstance(content, dict) else None


@dataclass(frozen=True)
class PackProgress:
    """A group of shards that is there now."""

    done: int
    total: int
    items: int
    reused: bool


def pack(
    cache: Path,
    out: Path,
    config: PackConfig | None = None,
    workers: int = 1,
    cluster: str | None = None,
    about: dict[str, Any] | None = None,
    say: Callable[[str], object] = logger.info,
) -> Iterator[PackProgress]:
    """Makes the shards of a cache in `out`, yielding after every group; the manifest comes at the end.

    Args:
        workers, cluster: as in `hoprior.datasets.samples.grids.prepare`.
        about: what else the manifest is to say.
        say: told how much of an earlier run is kept, and why the rest is not; the log if not given.

    Raises:
        HopriorError: the cache is missing or damaged, or `out` cannot be written.
    """
    config = config or PackConfig()
    groups = plan(cache, config)
    entries: list[ShardEntry] = []
    waiting = []
    done = 0
    reasons = Counter[str]()
    for group in groups:
        there = whole_entries(out, group)
        if there is None:
            name = group.name.rpartition("-")[0]
            reasons[reason(group.made_of, files_of_keys(out / FOLDER, name, ".json"), _made_of_list)] += 1
            waiting.append((cache, out, group, config))
            continue
        entries += there
        done += 1
        yield PackProgress(done, len(groups), sum(e.items for e in there), reused=True)
    say_start(say, done, len(groups), reasons, "groups of shards")
    for _, made in run_jobs(pack_group, waiting, workers, cluster):
        entries += made
        done += 1
        yield PackProgress(done, len(groups), sum(e.items for e in made), reused=False)
    write_manifest(out, config, entries, about or {})


def write_manifest(out: Path, config: PackConfig, entries: Sequence[ShardEntry], about: dict[str, Any]) -> None:
    """Writes what a set of shards holds."""
    listed = sorted(entries, key=lambda entry: entry.file)
    categories = Counter[str]()
    for entry in listed:
        if entry.recorded:
            categories.update(entry.categories)
    content = {
        "format": FORMAT,
        "config": asdict(config),
        "items": sum(entry.items for entry in listed),
        "bytes": sum(entry.bytes for entry in listed),
        "categories": dict(categories.most_common()),
        "objects": sorted({name for entry in listed for name in entry.objects}),
        "sentences": sorted({text for entry in listed for text in entry.sentences}),
        **about,
        "shards": [{k: v for k, v in asdict(entry).items() if k not in ("sentences", "objects")} for entry in listed],
    }
    text = strict_json(content)
    write_atomically(out / MANIFEST_NAME, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def read_manifest(folder: Path) -> dict[str, Any]:
    """What a set of shards holds.

    Raises:
        HopriorError: there is none, its preparation has not finished, or it is damaged.
    """
    path = Path(folder) / MANIFEST_NAME
    if not path.is_file():
        raise HopriorError(
            f"{path}: not there; `hoprior data prepare NAME ROOT --out {folder}` makes shards and writes it at the end"
        )
    advice = "prepare it again, whole shards are kept"
    content = read_json(path, advice)
    with interpreting(path, advice):
        if content["format"] != FORMAT:
            raise HopriorError(f"{path}: format {content['format']}, this version reads {FORMAT}: prepare it again")
        for entry in content["shards"]:
            within(Path(folder), entry["file"], path)
            expect(entry, {"split": str, "recorded": bool, "items": int, "sha256": str, "categories": dict})
        expect(content, {"sentences": [str], "objects": [str], "categories": {int}})
        return dict(content)


def damaged_shards(folder: Path) -> list[str]:
    """Names of the shards that are missing or do not match their checksum; a list that should be empty."""
    return [
        entry["file"]
        for entry in read_manifest(folder)["shards"]
        if not (folder / entry["file"]).is_file()
        or hashlib.sha256((folder / entry["file"]).read_bytes()).hexdigest() != entry["sha256"]
    ]
