"""`hoprior data prepare NAME ROOT`: a recorded dataset into shards that `hoprior fit` streams."""

from pathlib import Path
from typing import Any

from hoprior.common.console import counting_bar, saying
from hoprior.common.io import check_place, strict_json, write_atomically
from hoprior.datasets.recordings.index import SIDES
from hoprior.datasets.recordings.notes import read_labels, read_notes
from hoprior.datasets.recordings.source import Recorded, checked_split
from hoprior.datasets.samples.background import BackgroundConfig
from hoprior.datasets.samples.cache import read_index
from hoprior.datasets.samples.grids import PrepareConfig, prepare
from hoprior.datasets.streaming.items import StreamSpec
from hoprior.datasets.streaming.pack import PackConfig, pack, read_manifest
from hoprior.errors import HopriorError

LABELS_NAME = "labels.json"


def prepare_recorded(
    name: str,
    root: Path,
    out: Path,
    split: str = "train",
    protocol: str | None = None,
    mano_dir: Path | None = None,
    frames: int = 48,
    sentences: Path | None = None,
    background: int = 0,
    half_extent: float = 0.18,
    resolution: int = 40,
    seed: int = 0,
    workers: int = 1,
    cluster: str | None = None,
) -> dict[str, Any]:
    """Turn a dataset into shards that `hoprior fit` streams; what a stopped run finished is kept.

    Args:
        name: of the dataset; `hoprior data list` names them.
        root: the folder that it was unpacked into.
        out: folder of the shards; out/cache has the objects' distances and grasps, as `--cache` of other commands.
        split: which of the official splits, or "all".
        protocol: which way of splitting.
        mano_dir: folder of your MANO files; without it the environment's HOPRIOR_MANO_DIR.
        frames: at most so many frames of a recording, as unlike each other as possible.
        sentences: a file of better sentences by a frame's key, where it has one: what
            `hoprior describe --labels OUT/labels.json --out FILE` writes, or JSON {key: sentence}.
        background: how many grasps an object a plain optimiser adds, which no human made.
        half_extent: of the crop of distances around the palm that a shard stores (m); larger than the prior's grid.
        resolution: points a side of that crop.
        seed: of everything random.
        workers: processes; each uses one core.
        cluster: address of a Ray cluster that does the work instead; "auto" for the one this machine is part of.

    Example:
        hoprior data prepare dexycb /data/dexycb --out shards/dexycb
    """
    check_place(out)
    for option, value, least in (("frames", frames, 1), ("workers", workers, 1), ("background", background, 0)):
        if value < least:
            raise HopriorError(f"--{option} {value}: give {least} or more")
    spec = StreamSpec(half_extent=half_extent, resolution=resolution)
    _ = spec.grid  # A wrong one is refused now, not after hours.
    # A folder is the same one, however it is written: what was made of it is kept.
    mano = None if mano_dir is None else mano_dir.resolve()
    better = None if sentences is None else sentences.resolve()
    source = Recorded(
        name, root.resolve(), checked_split(split), protocol, mano, frames, sentences=better, notes=out / "notes"
    )
    # Listing is quick beside preparing, and the kept index does not see what was added deep in the folder.
    sides = {SIDES[k] for k in source.adapter.index(refresh=True).side_id}
    if source.adapter.needs_mano:
        for side in sorted(sides):
            source.adapter.hands.mano(side)
    config = PrepareConfig(background=BackgroundConfig(num=background), seed=seed)
    packing = PackConfig(spec, seed=seed)
    left_out = []
    with counting_bar() as bar:
        say = saying(bar.console)
        objects = source.objects()
        remarks = list(source.adapter.remarks())
        if not objects:
            why = "; ".join([*remarks, f"see hoprior data check {name} {root}"])
            raise HopriorError(f"{root}: no frame of the split '{split}' is a sample: {why}")
        task = bar.add_task("objects", total=len(objects))
        for step in prepare([source], out / "cache", config, workers, cluster, say):
            if step.skipped:
                left_out.append({"object": step.object_key, "reason": step.skipped})
            bar.update(task, completed=step.done, description=f"{step.object_key}{' (kept)' * step.reused}")
        entries = read_index(out / "cache")
        if not entries:
            raise HopriorError(f"{root}: no object could be prepared, the first: {left_out[0]['reason']}")
        written = [path for info in objects if (path := source.note_of(info)) is not None]
        notes = read_notes(written) | {"of_no_object": source.unplaced()}
        about: dict[str, Any] = {
            "dataset": name,
            "licence": source.adapter.licence,
            "split": split,
            "protocol": source.adapter.protocol,
        }
        labels = strict_json(read_labels(written))
        write_atomically(out / LABELS_NAME, lambda temporary: temporary.write_text(labels, encoding="utf-8"))
        task = bar.add_task("shards", total=None)
        about |= {"frames": notes, "left_out": left_out}
        for packed in pack(out / "cache", out, packing, workers, cluster, about, say):
            bar.update(task, completed=packed.done, total=packed.total)
        manifest = read_manifest(out)

        for remark in remarks:
            say(f"note: {remark}")
        say(f"{out}: {manifest['items']:,} grasps of {len(entries)} objects in {len(manifest['shards'])} shards")
        if sentences is not None:
            say(f"sentences: {notes['described']:,} of {notes['kept']:,} recorded grasps have one of {sentences}")
        for rule, count in notes["skipped"].items():
            say(f"skipped: {count:,} frames ({rule})")
        if notes["of_no_object"]:
            say(f"skipped: {notes['of_no_object']:,} frames (of recordings without a readable frame)")
        for problem in notes["damaged_first"][:5]:
            say(f"damaged: {problem}")
        for item in left_out[:5]:
            say(f"left out: {item['object']}: {item['reason']}")
        if notes["damaged"] or left_out:
            say(f"in all {notes['damaged']:,} damaged frames, {len(left_out)} objects left out: see manifest.json")
    return {"out": out, "grasps": manifest["items"], "objects": len(entries), "left_out": left_out, "notes": notes}
