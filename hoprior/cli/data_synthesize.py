"""`hoprior data synthesize`, `stats` and `preview`: the set of grasps that hoprior makes and checks itself."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from hoprior.cli.arguments import call_with_arguments, with_leading
from hoprior.common.compute import torch_device
from hoprior.common.console import answers_console, counting_bar, saying
from hoprior.common.io import write_atomically
from hoprior.datasets.synthetic.build import SynthesisConfig, synthesize
from hoprior.datasets.synthetic.make import MakeConfig
from hoprior.datasets.synthetic.manifest import read_manifest
from hoprior.datasets.synthetic.objects import Catalogue
from hoprior.datasets.synthetic.preview import chosen_grasps, sheet_of, stats_plot
from hoprior.datasets.synthetic.shards import read_shard
from hoprior.errors import HopriorError
from hoprior.language.taxonomy import TAXONOMY
from hoprior.physics.simulation.extras import simulator_missing

STATS_PICTURE, PREVIEW_PICTURE = "stats.png", "preview.png"


def synthesize_data(
    out: Path,
    num: int,
    workers: int = 1,
    seed: int = 0,
    families: str | None = None,
    meshes: Path | None = None,
    pybullet_data: bool = False,
    device: str = "cpu",
) -> dict[str, Any]:
    """Make at least so many grasps that were checked in simulation; what a stopped run finished is kept.

    Args:
        out: the set's folder.
        num: how many grasps; objects are made until there are as many.
        workers: processes; each uses one core. The set is the same with any number.
        seed: of everything random.
        families: kinds of objects, with commas between; all without, "none" for meshes alone.
        meshes: a folder of meshes, in metres, or one mesh, to be grasped too.
        pybullet_data: grasp the shapes of the package pybullet_data too.
        device: where hands are closed: cpu, cuda, auto. A GPU rounds differently, so its set has another hash.

    Example:
        hoprior data synthesize --out set --num 1000
    """
    where = torch_device(device)
    if (missing := simulator_missing(survival=True)) is not None:
        raise HopriorError(f"grasps are checked in simulation: {missing}")
    places = [meshes] if meshes is not None else []
    if pybullet_data:
        places.append(pybullet_shapes())
    names = None if families is None else [name.strip() for name in families.split(",") if name.strip()]
    catalogue = Catalogue.of([] if names == ["none"] else names, places, seed)
    config = SynthesisConfig(catalogue, num, MakeConfig(device=str(where)))
    held: Counter[int] = Counter()
    with counting_bar() as bar:
        task = bar.add_task("grasps", total=num)
        for step in synthesize(config, out, workers, saying(bar.console)):
            entry = step.entry
            for number, stages in entry.counts.items():
                held[number] += stages[-1]
            if entry.skipped:
                bar.console.print(f"{entry.object}: left out: {entry.skipped}", markup=False)
            elif not entry.grasps:
                bar.console.print(f"{entry.object}: none of its grasps held", markup=False)
            kinds = sum(1 for count in held.values() if count)
            done = f"{entry.object}{' (kept)' * step.reused}, {kinds} of {len(TAXONOMY)} kinds"
            bar.update(task, completed=step.total, description=done)
    manifest = read_manifest(out)
    answers_console().print(stats_table(manifest))
    return {"out": out, "grasps": manifest["grasps"]}


def pybullet_shapes() -> Path:
    """The folder of the package pybullet_data.

    Raises:
        HopriorError: it is not installed.
    """
    from importlib.util import find_spec

    spec = find_spec("pybullet_data")
    if spec is None or spec.origin is None:
        raise HopriorError("pybullet_data is not installed: pip install 'hoprior[bullet]'")
    return Path(spec.origin).parent / "random_urdfs"


def stats_table(manifest: dict[str, Any]) -> Table:
    """What each kind of grasp yielded."""
    title = f"{manifest['grasps']} grasps of {manifest['objects']} objects, {len(manifest['categories'])} categories"
    table = Table(title=title, caption=f"licence: {manifest['licence']}; hash {manifest['hash'][:16]}")
    table.add_column("kind of grasp")
    for name in ("tried", "closed", "sound", "static", "held", "yield"):
        table.add_column(name, justify="right")
    for number, row in manifest["taxonomy"].items():
        share = f"{row['held'] / row['tried']:.0%}" if row["tried"] else ""
        stages = [str(row[name]) for name in ("tried", "closed", "sound", "static", "held")]
        table.add_row(f"{number} {row['name']}", *stages, share)
    return table


def stats_data(dir: Path) -> dict[str, Any]:
    """Print what a synthetic set holds and what each kind of grasp and category yielded, and plot it (stats.png).

    Args:
        dir: the set's folder.

    Example:
        hoprior data stats set
    """
    manifest = read_manifest(dir)
    console = answers_console()
    console.print(stats_table(manifest))
    table = Table("category", "objects", "tried", "held", "left out")
    for name, row in manifest["categories"].items():
        table.add_row(name, *(str(row[column]) for column in ("objects", "tried", "held", "skipped")))
    console.print(table)
    for heading in ("parts", "intentions"):
        console.print(f"{heading}: " + ", ".join(f"{name} {count}" for name, count in manifest[heading].items()))
    for entry in manifest["skipped"]:
        console.print(f"{entry['object']}: left out: {entry['reason']}", markup=False)
    if manifest["empty"]:
        console.print(f"without a grasp that held: {', '.join(manifest['empty'])}", markup=False)
    picture = stats_plot(manifest)
    write_atomically(dir / STATS_PICTURE, lambda temporary: picture.save(temporary, format="PNG"))
    console.print(f"{dir / STATS_PICTURE}")
    damaged = [problem for entry in manifest["shards"] if (problem := problem_of(dir / entry["file"], entry["digest"]))]
    if damaged:
        raise HopriorError(
            f"{len(damaged)} of {len(manifest['shards'])} shards cannot be used, the first: {damaged[0]}"
        )
    counted = ("grasps", "categories", "parts", "intentions")
    return {"out": dir / STATS_PICTURE, **{name: manifest[name] for name in counted}}


def problem_of(path: Path, digest: str) -> str | None:
    """What is wrong with a shard; None if nothing is."""
    try:
        found = read_shard(path).digest
    except HopriorError as error:
        return str(error)
    return None if found == digest else f"{path}: is not the one of the manifest; run `hoprior data synthesize` again"


def preview_data(dir: Path, num: int = 28, kind: int | None = None, out: Path | None = None) -> dict[str, Any]:
    """Draw grasps of a synthetic set, all kinds in turn.

    Args:
        dir: the set's folder.
        num: how many.
        kind: only grasps of this number in the taxonomy.
        out: the picture; preview.png in the set's folder without.

    Example:
        hoprior data preview set --num 28 --out set.png
    """
    grasps = chosen_grasps(dir, num, kind)
    picture = sheet_of(grasps, f"{len(grasps)} of {read_manifest(dir)['grasps']} grasps in {dir.name}")
    path = out or dir / PREVIEW_PICTURE
    write_atomically(path, lambda temporary: picture.save(temporary, format="PNG"))
    answers_console().print(f"{path}")
    return {"out": path, "grasps": len(grasps)}


def synthesize_main(args: Sequence[str] | None = None) -> Any:
    """The command line of `hoprior data synthesize`."""
    return call_with_arguments(synthesize_data, "hoprior data synthesize", args)


def stats_main(args: Sequence[str] | None = None) -> Any:
    """The command line of `hoprior data stats`."""
    return call_with_arguments(stats_data, "hoprior data stats", with_leading(args, "dir"))


def preview_main(args: Sequence[str] | None = None) -> Any:
    """The command line of `hoprior data preview`."""
    return call_with_arguments(preview_data, "hoprior data preview", with_leading(args, "dir"))
