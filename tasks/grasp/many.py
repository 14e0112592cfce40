"""Grasps of many meshes in one process, or in many: `hoprior.grasp_many(...)` and `hoprior run grasp --mesh FOLDER`."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from hoprior.common.run_key import RunKey
from hoprior.errors import HopriorError
from hoprior.results.grasps import GRASPS
from hoprior.tasks.grasp.measured import measured_grasps
from hoprior.tasks.grasp.meshes import Meshes, mesh_items
from hoprior.tasks.grasp.task import grasp
from hoprior.tasks.many import MADE_OF, Outcome, Work, check_settings, gpus_for, key_of, run_many
from hoprior.tasks.many_items import Item, file_digest, text_for
from hoprior.tasks.shared import check_num

OF_EACH = ("progress", "mesh", "text", "num")
"""Arguments of `grasp` that are not the same for all."""


@dataclass(frozen=True)
class ManyGrasps:
    """What is done with each of many meshes.

    Attributes:
        settings: of all, as `measured_grasps` takes them.
    """

    text: str | None
    num: int
    settings: Mapping[str, Any]

    def __call__(self, item: Item, folder: Path, made_of: Mapping[str, str]) -> None:
        """Grasps of one mesh, in their folder."""
        GRASPS.check_writable(folder)
        given = {**self.settings, "num": self.num, **item.settings, "text": text_for(item, self.text)}
        results, _ = measured_grasps(Path(item.source), **given)
        replace(results, config={**results.config, MADE_OF: dict(made_of)}).save(folder)

    def key(self, item: Item) -> RunKey:
        """What the results follow from: not the device, nor where the mesh lies.

        Raises:
            HopriorError: the mesh or another file cannot be read.
        """
        own = {name: value for name, value in item.settings.items() if name != "text"}
        settings = {**self.settings, "num": self.num, **own}
        return key_of("the mesh", file_digest(Path(item.source)), text_for(item, self.text), settings, self.settings)


def grasp_many(
    meshes: Meshes,
    out: str | Path,
    text: str | None = None,
    num: int = 10,
    *,
    workers: int = 1,
    engine: str = "local",
    cluster: str = "auto",
    simulate: bool = False,
    reach: bool = False,
    report: bool = False,
    say: Callable[[str], object] | None = None,
    **settings: Any,
) -> Iterator[Outcome]:
    """Ranked human grasps of many meshes: each in a folder of its own below `out`, whole or not at all.

    What is loaded once (priors, text, simulators) serves all of them. What an earlier call has done from the same mesh
    with the same settings is kept; a mesh that cannot be used is told and keeps no other from being done.
    `out/manifest.json` says what came of each. Meshes are done as their outcomes are asked for.

    Args:
        meshes: a folder, a pattern ("meshes/**/*.obj"), a list (.txt of paths; .tsv or .csv with a heading, `mesh` and
            any of text, size, mesh_unit, scale, part, up, side, num, seed ...), or a sequence of paths, or of mappings
            with such names.
        out: the folder of all results.
        text: what all of them are or are held for; in it "{name}" is what each file is called.
        num: how many grasps of each.
        workers: processes, of one thread each where they are several; with one it is this process. (In a script,
            several want `if __name__ == "__main__":`.)
        engine: "local", or "ray" for a cluster whose machines find the meshes and `out` at the same paths.
        cluster: address of that; "auto" is the one that this machine belongs to.
        simulate: also measure displacement in pybullet.
        reach: also find a way to each grasp.
        report: whether each folder gets report.html.
        say: told in a sentence what is there already.
        settings: any other argument of `hoprior.grasp`.

    Yields:
        What came of each mesh, as they end: first of those that are kept.

    Raises:
        HopriorError: there are no meshes, nothing can be written in `out`, or the disk is full.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> import trimesh
        >>> from hoprior.tasks.grasp.config import GraspConfig
        >>> from hoprior.tasks.grasp.descent import DescentConfig
        >>> from hoprior.tasks.grasp.faults import FaultWeights
        >>> few, still = DescentConfig(2), FaultWeights(simulate=False)
        >>> small = GraspConfig(32, guiding=few, refining=few, faults=still)
        >>> with TemporaryDirectory() as folder:
        ...     for name in ("box", "can"):
        ...         _ = trimesh.creation.box((0.05, 0.06, 0.07)).export(f"{folder}/{name}.stl")
        ...     for _ in range(2):
        ...         found = list(grasp_many(folder, f"{folder}/out", num=1, priors=[], config=small))
        ...         print([(outcome.name, outcome.status) for outcome in found])
        [('box', 'done'), ('can', 'done')]
        [('box', 'kept'), ('can', 'kept')]
    """
    check_num(num)
    check_settings(settings, grasp_many, grasp, OF_EACH)
    out = Path(out)
    check_not_single(out)
    items = mesh_items(meshes)
    many = ManyGrasps(text, num, {**settings, "simulate": simulate, "reach": reach})
    work = Work("grasp", GRASPS.index_name, many, many.key, report)
    return run_many(items, work, out, workers=workers, engine=engine, cluster=cluster, gpus=gpus_for(settings), say=say)


def check_not_single(out: Path) -> None:
    """Refuses a folder that holds grasps of one mesh.

    Raises:
        HopriorError: it does.
    """
    if (out / GRASPS.index_name).exists():
        raise HopriorError(f"{out}: holds grasps of one mesh: choose another folder for those of many")
