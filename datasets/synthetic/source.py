"""A synthetic set as a source of the training cache."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import trimesh

from hoprior.datasets.samples.sample import GraspSet, ObjectInfo
from hoprior.datasets.synthetic.manifest import read_manifest
from hoprior.datasets.synthetic.objects import SOURCE
from hoprior.datasets.synthetic.shards import SyntheticShard, read_shard
from hoprior.errors import HopriorError
from hoprior.geometry.sdf import SdfGrid
from hoprior.hand import HandModel


@dataclass(frozen=True)
class Synthetic:
    """The grasps of a folder that `hoprior data synthesize` made; objects without grasps are left out.

    Raises:
        HopriorError: on use, if the folder has no manifest, or a shard is missing or damaged.
    """

    folder: Path
    name: str = SOURCE

    @cached_property
    def _entries(self) -> dict[str, dict[str, Any]]:
        return {entry["object"]: entry for entry in read_manifest(self.folder)["shards"] if entry["grasps"]}

    def shard(self, info: ObjectInfo) -> SyntheticShard:
        """An object's shard."""
        entry = self._entries[info.name]
        shard = read_shard(Path(self.folder) / entry["file"])
        if shard.digest != entry["digest"]:
            raise HopriorError(f"{entry['file']}: is not the one of the manifest; run `hoprior data synthesize` again")
        return shard

    def objects(self) -> list[ObjectInfo]:
        """The objects that have grasps, in the manifest's order."""
        return [read_shard(Path(self.folder) / entry["file"]).info for entry in self._entries.values()]

    def fingerprint(self, info: ObjectInfo) -> str:
        """The shard's digest."""
        return str(self._entries[info.name]["digest"])

    def mesh(self, info: ObjectInfo) -> trimesh.Trimesh:
        """The object's mesh, metres."""
        return self.shard(info).mesh

    def grasps(self, info: ObjectInfo, mesh: trimesh.Trimesh, sdf: SdfGrid, hand: HandModel) -> GraspSet | None:
        """The object's grasps, each with its kind, part and intention; wordings take turns.

        Raises:
            HopriorError: they are of another hand model than the cache is for.
        """
        grasps = self.shard(info).grasps
        if grasps is not None and grasps.hand != hand.name:
            raise HopriorError(f"{info.name}: grasps of the hand '{grasps.hand}', but the cache is for '{hand.name}'")
        return grasps
