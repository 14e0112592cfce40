"""The synthetic set (`hoprior data synthesize`) in the form of recordings: the open hand, in the object's frame."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path

import trimesh

from hoprior.datasets.recordings.adapter import Adapter
from hoprior.datasets.recordings.index import Entry
from hoprior.datasets.recordings.record import RecordedObject, RecordedSample
from hoprior.datasets.samples.sample import ObjectInfo
from hoprior.datasets.synthetic.manifest import read_manifest
from hoprior.datasets.synthetic.objects import LICENCE
from hoprior.datasets.synthetic.shards import SyntheticShard, read_shard


@dataclass(frozen=True)
class ShardObject(RecordedObject):
    """An object whose mesh is in its shard."""

    shard: Path = field(default_factory=Path)

    @property
    def path(self) -> Path:
        """The shard."""
        return self.shard

    def surface(self) -> trimesh.Trimesh:
        """The mesh, metres, object frame."""
        return read_shard(self.shard).mesh


class SyntheticRecordings(Adapter):
    """Grasps that hoprior made and checked itself."""

    name = "synthetic"
    title = "the synthetic set"
    homepage = "docs/synthetic.md"
    licence = LICENCE
    layout = "manifest.json and a shard an object"
    markers = ("manifest.json",)
    grasps_only = True

    @cached_property
    def _files(self) -> dict[str, tuple[str, int]]:
        return {e["object"]: (e["file"], e["grasps"]) for e in read_manifest(self.root)["shards"]}

    @cached_property
    def _shard(self):  # type: ignore[no-untyped-def]  # an object's grasps follow each other
        return lru_cache(maxsize=4)(self._read_shard)

    def _read_shard(self, name: str) -> SyntheticShard:
        return read_shard(self.root / self._files[name][0])

    def scan(self) -> Iterator[Entry]:
        """Every grasp of the manifest."""
        for name, (_, grasps) in self._files.items():
            for row in range(grasps):
                yield Entry(name, str(row), name)

    @property
    def revision(self) -> str:
        """The set's hash."""
        return str(read_manifest(self.root)["hash"])

    def mesh_path(self, name: str) -> Path:
        """The shard, which holds the mesh."""
        return self.root / self._files[name][0]

    def info(self, name: str, word: str | None = None) -> ObjectInfo:
        """As the shard has it."""
        return self._shard(name).info

    def make_object(self, name: str) -> RecordedObject:
        """The object of a shard."""
        return ShardObject(self.info(name), shard=self.mesh_path(name))

    def annotations(self, entry: Entry) -> Iterator[Path]:
        """The object's shard."""
        yield self.mesh_path(entry.group)

    def read(self, entry: Entry) -> RecordedSample:
        """One grasp, in the object's frame."""
        grasps = self._shard(entry.group).grasps
        assert grasps is not None
        sample = grasps[int(entry.item)]
        return RecordedSample(
            dataset=self.name,
            key=entry.key,
            side=sample.side,
            hands=self.hands,
            subject=sample.subject,
            sequence=sample.sequence,
            frame=int(entry.item),
            split="train",
            joints_given=sample.joints_object,
            object=self.object(entry.object),
            label=sample.label,
            text=sample.text,
            in_contact=True,
        )
