"""`hoprior data prepare` fills a cache of training data; `hoprior data poses` makes the pose prior's table."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hoprior.cli.arguments import call_with_arguments, named
from hoprior.common.console import counting_bar, saying
from hoprior.common.io import check_place
from hoprior.datasets.myodm.source import MyoDM
from hoprior.datasets.procedural.source import Procedural
from hoprior.datasets.samples.background import BackgroundConfig
from hoprior.datasets.samples.cache import read_index
from hoprior.datasets.samples.grids import GraspSource, PrepareConfig, prepare
from hoprior.datasets.synthetic.source import Synthetic
from hoprior.datasets.training.labelled_placements import Parts
from hoprior.errors import HopriorError


def prepare_data(
    out: Path,
    myodm: Path | None = None,
    myodm_meshes: Path | None = None,
    myodm_hand: Path | None = None,
    procedural: int = 0,
    synthetic: Path | None = None,
    parts: int = 0,
    background: int = 256,
    frames: int = 48,
    seed: int = 0,
    workers: int = 1,
) -> dict[str, Any]:
    """Fill the cache in a folder with grasps and the objects' distances; whole files that are there are kept.

    Args:
        out: the cache's folder.
        myodm: MyoDM: a prepared folder (grasps.npz and objects/*.ply), or robohive's folder of MyoHand_*.npz.
        myodm_meshes: for robohive's folder, object_sim's folder of OBJECT/OBJECT.stl.
        myodm_hand: for robohive's folder, the MuJoCo XML of the hand with its six arm joints (needs mujoco).
        procedural: how many objects to make of the parametric families, with grasps; needs no download.
        synthetic: a folder that `hoprior data synthesize` made: grasps that were checked in simulation.
        parts: how many objects to make of the parametric families with random placements, each labelled with the part
            that the hand is at, for the prior of words.
        background: how many grasps an object a plain optimiser adds, which no human made.
        frames: at most so many frames of a recorded sequence.
        seed: of everything random.
        workers: processes; each uses one core.

    Example:
        hoprior data prepare --out cache/procedural --procedural 40 --workers 2
    """
    sources: list[GraspSource] = []
    if myodm is not None:
        sources.append(MyoDM(prepared_myodm(myodm, myodm_meshes, myodm_hand, out), frames_per_sequence=frames))
    if procedural:
        sources.append(Procedural(procedural, seed))
    if synthetic is not None:
        sources.append(Synthetic(synthetic))
    if parts:
        sources.append(Parts(parts, seed=seed))
    if not sources:
        known = "--myodm FOLDER, --procedural NUMBER, --synthetic FOLDER or --parts NUMBER"
        raise HopriorError(f"nothing to prepare: give {known}")
    config = PrepareConfig(background=BackgroundConfig(num=background), seed=seed)
    with counting_bar() as bar:
        task = bar.add_task("objects", total=sum(len(source.objects()) for source in sources))
        for step in prepare(sources, out, config, workers, say=saying(bar.console)):
            bar.update(task, completed=step.done, description=f"{step.object_key}{' (kept)' * step.reused}")
        entries = read_index(out)
        human, made = (sum(entry[kind] for entry in entries) for kind in ("recorded", "background"))
        bar.console.print(f"{out}: {len(entries)} objects, {human} human grasps, {made} of the optimiser")
    return {"out": out, "objects": len(entries), "recorded": human, "background": made}


def prepared_myodm(folder: Path, meshes: Path | None, hand_xml: Path | None, out: Path) -> Path:
    """The prepared form of MyoDM in `folder`: itself, or made from the release's files into `out`/myodm."""
    if not any(folder.glob("MyoHand_*.npz")):
        return folder
    if meshes is None or hand_xml is None:
        raise HopriorError(f"{folder}: a release of motions needs --myodm_meshes and --myodm_hand beside it")
    from hoprior.datasets.myodm.raw import prepare_release

    return prepare_release(folder, meshes, hand_xml, out / "myodm")


def pose_data(
    out: Path, myodm: Path | None = None, synthetic: Sequence[Path] = (), free: Path | None = None, resting: int = 0
) -> dict[str, Any]:
    """Collect the poses of grasps and the sentences that fit them in one file, for the pose prior.

    Args:
        out: the file, poses.safetensors.
        myodm: MyoDM, prepared: grasps.npz and objects/*.ply.
        synthetic: folders that `hoprior data synthesize` made, '[one,two]', of different seeds.
        free: joints of right hands that hold nothing: .npz with `joints` (n, 21, 3), metres, MediaPipe's order.
        resting: how many hands at rest to add, which are made by rule.

    Example:
        hoprior data poses --out poses.safetensors --resting 500
    """
    from hoprior.datasets.training.poses import make_table, write_poses

    check_place(out.parent)
    with counting_bar() as bar:
        task = bar.add_task("reading", total=None)
        table = make_table(
            myodm, synthetic, lambda name: bar.update(task, description=name), free=free, resting=resting
        )
        write_poses(out, table)
        objects = len({row.object for row in table.rows})
        bar.console.print(f"{out}: {len(table)} poses at {objects} objects, {len(table.sentences)} sentences")
    return {"out": out, "poses": len(table), "objects": objects, "sentences": len(table.sentences)}


def main(args: Sequence[str] | None = None) -> Any:
    """The command line of `hoprior data prepare`: a cache of what hoprior makes itself, or shards of a dataset."""
    if args is not None and (named(args) != list(args) or any(a.partition("=")[0] == "--name" for a in args)):
        from hoprior.cli.data_prepare_recorded import prepare_recorded

        return call_with_arguments(prepare_recorded, "hoprior data prepare NAME ROOT", named(args))
    else:
        return call_with_arguments(prepare_data, "hoprior data prepare", args)


def poses_main(args: Sequence[str] | None = None) -> Any:
    """The command line of `hoprior data poses`."""
    return call_with_arguments(pose_data, "hoprior data poses", args)
