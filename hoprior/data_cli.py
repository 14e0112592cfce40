"""`hoprior data prepare`: fills a cache of training data, or turns a dataset into shards."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from hoprior.arguments import call_with_arguments, named
from hoprior.datasets.background import BackgroundConfig
from hoprior.datasets.cache import read_index
from hoprior.datasets.grids import GraspSource, PrepareConfig, prepare
from hoprior.datasets.myodm import MyoDM
from hoprior.datasets.procedural.source import Procedural
from hoprior.datasets.recordings.source import Recorded, checked_split, read_notes
from hoprior.datasets.streaming.items import StreamSpec
from hoprior.datasets.streaming.pack import PackConfig, pack, read_manifest
from hoprior.datasets.synthetic.source import Synthetic
from hoprior.errors import HopriorError
from hoprior.io import check_place


def prepare_data(
    out: Path,
    myodm: Path | None = None,
    myodm_meshes: Path | None = None,
    myodm_hand: Path | None = None,
    procedural: int = 0,
    synthetic: Path | None = None,
    background: int = 256,
    frames: int = 48,
    seed: int = 0,
    workers: int = 1,
) -> None:
    """Fill the cache in a folder with grasps and the objects' distances; whole files that are there are kept.

    Args:
        out: the cache's folder.
        myodm: MyoDM: a prepared folder (grasps.npz and objects/*.ply), or robohive's folder of MyoHand_*.npz.
        myodm_meshes: for robohive's folder, object_sim's folder of OBJECT/OBJECT.stl.
        myodm_hand: for robohive's folder, the MuJoCo XML of the hand with its six arm joints (needs mujoco).
        procedural: how many objects to make of the parametric families, with grasps; needs no download.
        synthetic: a folder that `hoprior data synthesize` made: grasps that were checked in simulation.
        background: how many grasps an object a plain optimiser adds, which no human made.
        frames: at most so many frames of a recorded sequence.
        seed: of everything random.
        workers: processes; each uses one core.
    """
    sources: list[GraspSource] = []
    if myodm is not None:
        sources.append(MyoDM(prepared_myodm(myodm, myodm_meshes, myodm_hand, out), frames_per_sequence=frames))
    if procedural:
        sources.append(Procedural(procedural, seed))
    if synthetic is not None:
        sources.append(Synthetic(synthetic))
    if not sources:
        raise HopriorError("nothing to prepare: give --myodm FOLDER, --procedural NUMBER or --synthetic FOLDER")
    config = PrepareConfig(background=BackgroundConfig(num=background), seed=seed)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns) as bar:
        task = bar.add_task("objects", total=sum(len(source.objects()) for source in sources))
        for step in prepare(sources, out, config, workers):
            bar.update(task, completed=step.done, description=f"{step.object_key}{' (kept)' * step.reused}")
        entries = read_index(out)
        human, made = (sum(entry[kind] for entry in entries) for kind in ("recorded", "background"))
        bar.console.print(f"{out}: {len(entries)} objects, {human} human grasps, {made} of the optimiser")


def prepared_myodm(folder: Path, meshes: Path | None, hand_xml: Path | None, out: Path) -> Path:
    """The prepared form of MyoDM in `folder`: itself, or made from the release's files into `out`/myodm."""
    if not any(folder.glob("MyoHand_*.npz")):
        return folder
    if meshes is None or hand_xml is None:
        raise HopriorError(f"{folder}: a release of motions needs --myodm_meshes and --myodm_hand beside it")
    from hoprior.datasets.myodm_raw import prepare_release

    return prepare_release(folder, meshes, hand_xml, out / "myodm")


def prepare_recorded(
    name: str,
    root: Path,
    out: Path,
    split: str = "train",
    protocol: str | None = None,
    mano_dir: Path | None = None,
    frames: int = 48,
    background: int = 0,
    half_extent: float = 0.18,
    resolution: int = 40,
    seed: int = 0,
    workers: int = 1,
    cluster: str | None = None,
) -> None:
    """Turn a dataset into shards that `hoprior fit` streams; what a stopped run finished is kept.

    Args:
        name: of the dataset; `hoprior data list` names them.
        root: the folder that it was unpacked into.
        out: folder of the shards; out/cache has the objects' distances and grasps, as `--cache` of other commands.
        split: which of the official splits, or "all".
        protocol: which way of splitting.
        mano_dir: folder of your MANO files; without it the environment's HOPRIOR_MANO_DIR.
        frames: at most so many frames of a recording, as unlike each other as possible.
        background: how many grasps an object a plain optimiser adds, which no human made.
        half_extent: of the crop of distances around the palm that a shard stores (m); larger than the prior's grid.
        resolution: points a side of that crop.
        seed: of everything random.
        workers: processes; each uses one core.
        cluster: address of a Ray cluster that does the work instead; "auto" for the one this machine is part of.
    """
    check_place(out)
    source = Recorded(name, root, checked_split(split), protocol, mano_dir, frames, notes=out / "notes")
    config = PrepareConfig(background=BackgroundConfig(num=background), seed=seed)
    packing = PackConfig(StreamSpec(half_extent=half_extent, resolution=resolution), seed=seed)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    left_out = []
    with Progress(*columns) as bar:
        objects = source.objects()
        if not objects:
            raise HopriorError(f"{root}: no frame of the split '{split}' is a sample: see hoprior data check {name}")
        task = bar.add_task("objects", total=len(objects))
        for step in prepare([source], out / "cache", config, workers, cluster):
            if step.skipped:
                left_out.append({"object": step.object_key, "reason": step.skipped})
            bar.update(task, completed=step.done, description=f"{step.object_key}{' (kept)' * step.reused}")
        entries = read_index(out / "cache")
        if not entries:
            raise HopriorError(f"{root}: no object could be prepared, the first: {left_out[0]['reason']}")
        notes = read_notes(out / "notes") | {"of_no_object": source.unplaced()}
        about: dict[str, Any] = {
            "dataset": name,
            "licence": source.adapter.licence,
            "split": split,
            "protocol": source.adapter.protocol,
        }
        task = bar.add_task("shards", total=None)
        about |= {"frames": notes, "left_out": left_out}
        for packed in pack(out / "cache", out, packing, workers, cluster, about):
            bar.update(task, completed=packed.done, total=packed.total)
        manifest = read_manifest(out)

        def say(text: str) -> None:
            bar.console.print(text, markup=False, highlight=False)

        say(f"{out}: {manifest['items']:,} grasps of {len(entries)} objects in {len(manifest['shards'])} shards")
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


def main(args: Sequence[str] | None = None) -> None:
    """The command line of `hoprior data prepare`: a cache of what hoprior makes itself, or shards of a dataset."""
    if args is not None and (named(args) != list(args) or any(a.partition("=")[0] == "--name" for a in args)):
        call_with_arguments(prepare_recorded, "hoprior data prepare NAME ROOT", named(args))
    else:
        call_with_arguments(prepare_data, "hoprior data prepare", args)
