"""Grasps whose kind is known, for the prior of kinds: where their joints were, and where the object was about them."""

import json
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import igl
import numpy as np
import torch
import trimesh
from jaxtyping import Float, Int
from safetensors.torch import save
from scipy.cluster.vq import kmeans2
from torch import Tensor
from torch.utils.data import Dataset

from hoprior.common.console import counting_bar
from hoprior.common.io import write_atomically
from hoprior.datasets.samples.sample import GraspSet
from hoprior.datasets.samples.seeding import batch_generator
from hoprior.datasets.samples.text_features import text_features
from hoprior.datasets.synthetic.manifest import read_manifest
from hoprior.datasets.synthetic.source import Synthetic
from hoprior.datasets.training.datamodule import Batch
from hoprior.datasets.training.held_out import held_out, warn_none_held_out
from hoprior.datasets.training.object_store import read_kept
from hoprior.datasets.training.split_module import DividedModule
from hoprior.errors import HopriorError
from hoprior.geometry.sdf import signed_distance
from hoprior.geometry.state import transform_points
from hoprior.hand import load_hand
from hoprior.hand.bones import bone_points
from hoprior.language.captions import DOING, OF_ALL, OF_KIND, OF_PART
from hoprior.language.categories import classes
from hoprior.language.phrases import GENERIC_TEXT, VERB_PHRASES, sentence_for, with_article
from hoprior.language.taxonomy import TAXONOMY
from hoprior.models.grasp_type import PLACE_OF

logger = logging.getLogger(__name__)

JOINT_NOISE = 0.003
"""Standard deviation of the augmenting noise of joints (m)."""
SIZE_NOISE = 0.04
"""The same of the hand's size, as a share."""
OF_USUAL_SIZE = 0.005
"""Joints (m, mean) of a posture's own hand that are nearer than this to those of the usual hand in the same posture."""
SIZE_COUNTS = 0.02
"""How far (m) from the usual size is as bad as no neighbour of the same kind."""
NEIGHBOURS, PURE = 10, 0.8
"""Of a grasp that is unmistakable, so many and at least this share of them are of its kind."""
CHOICE = 2
"""Examples are chosen among at least so many times as many."""
COMPARED_AT_ONCE = 1024
PLACE_COUNTS, PLACE_REACH = 0.5, 0.05
"""How much a bone's distance to the object counts beside a joint's coordinate, and up to which distance (m)."""
NAMING = (
    *OF_KIND,
    OF_ALL[1],
    "{kind}",
    "{thing}, {kind}",
    "{thing} with {grip}",
    "{thing} held in {grip}",
    "by the {part} with {kind}",
)
"""What names a kind; `sentence_for` makes a sentence of what people type."""
NAMING_NONE = (
    "{thing}",
    "{thing} by the {part}",
    *OF_PART,
    OF_ALL[0],
    "{thing} with a firm grip",
    "a good grasp of {thing}",
    "a hand grasping {thing}",
    "a hand {doing} a {look} {name}",
)
"""What names none."""
LOOKS = ("small", "large", "red", "white", "heavy", "wooden", "metal", "plastic", "glass", "full", "empty", "thin")
SENTENCES_OF_KIND = 3
"""Of each kind about each sort of object."""


TENSORS = ("joints", "place", "anchor", "usual", "kind", "owner")
NAMES = ("keys", "categories", "parts")


@dataclass(frozen=True)
class KnownGrasps:
    """n grasps of a set, and the objects' names."""

    joints: Float[Tensor, "n 21 3"]
    """In the hand's frame (m)."""
    place: Float[Tensor, "n p"]
    """Signed distances of the bones' places to the object (m)."""
    anchor: Float[Tensor, "n 6"]
    """The point of the surface nearest to the bone that is nearest to it, and the normal there (hand's frame, m)."""
    usual: Float[Tensor, " n"]
    """How far (m, mean) the joints are from where the usual hand has them."""
    kind: Int[Tensor, " n"]
    """Place in the table of kinds."""
    owner: Int[Tensor, " n"]
    """Place in `keys`."""
    keys: tuple[str, ...]
    categories: tuple[str, ...]
    parts: tuple[str, ...]

    def of(self, keys: Collection[str]) -> "KnownGrasps":
        """Those at some of the objects."""
        mine = torch.tensor([key in keys for key in self.keys])[self.owner]
        return replace(self, **{name: getattr(self, name)[mine] for name in TENSORS})


def known_grasps(folder: Path, kept: Path) -> KnownGrasps:
    """The grasps of a synthetic set, remembered in the file `kept`, which is made anew for another set.

    Raises:
        HopriorError: the set is missing or damaged, or has no grasps.
    """
    digest = str(read_manifest(folder)["hash"])

    def of(header: dict[str, str], columns: list[Tensor]) -> KnownGrasps | None:
        if header["set"] != digest:
            return None
        keys, categories, parts = (tuple(json.loads(header[name])) for name in NAMES)
        tensors = dict(zip(TENSORS, columns, strict=True))
        return KnownGrasps(**tensors, keys=keys, categories=categories, parts=parts)

    found = read_kept(kept, TENSORS, of, "the set is measured anew")
    if found is not None:
        return found
    grasps = _measured(folder)
    tensors = {name: getattr(grasps, name).contiguous() for name in TENSORS}
    content = save(tensors, {"set": digest} | {name: json.dumps(getattr(grasps, name)) for name in NAMES})
    kept.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(kept, lambda temporary: temporary.write_bytes(content))
    return grasps


def _measured(folder: Path) -> KnownGrasps:
    source, hand = Synthetic(folder), load_hand()
    infos = source.objects()
    columns: dict[str, list[Tensor]] = {name: [] for name in TENSORS}
    parts: set[str] = set()
    with counting_bar() as bar:
        task = bar.add_task("objects", total=len(infos))
        for owner, info in enumerate(infos):
            shard = source.shard(info)
            grasps = shard.grasps
            assert grasps is not None, "objects without grasps are left out"
            place, anchor = _about(shard.mesh, grasps)
            labels = [sample.label for sample in grasps]
            parts |= {label.part for label in labels if label.part}
            usual = hand.joints_only(hand.angles_to_pose(grasps.angles))
            row = {
                "joints": grasps.joints_hand,
                "place": place,
                "anchor": anchor,
                "usual": (usual - grasps.joints_hand).norm(dim=-1).mean(dim=1),
                "kind": torch.tensor([PLACE_OF[label.taxonomy] for label in labels]),
                "owner": torch.full((len(grasps),), owner),
            }
            for name, column in row.items():
                columns[name].append(column)
            bar.advance(task)
    if not infos:
        raise HopriorError(f"{folder}: has no grasps to learn kinds from")
    keys, categories = tuple(info.key for info in infos), tuple(info.category for info in infos)
    return KnownGrasps(
        **{name: torch.cat(c) for name, c in columns.items()},
        keys=keys,
        categories=categories,
        parts=tuple(sorted(parts)),
    )


def _about(mesh: trimesh.Trimesh, grasps: GraspSet) -> tuple[Float[Tensor, "n p"], Float[Tensor, "n 6"]]:
    """`place` and `anchor` of grasps."""
    points = transform_points(grasps.T_object_hand, bone_points(grasps.joints_hand)).double()
    distance = torch.from_numpy(signed_distance(mesh, points.flatten(0, 1).numpy())).view(points.shape[:2])
    nearest = points[torch.arange(len(points)), distance.argmin(dim=1)]
    _, face, surface = igl.point_mesh_squared_distance(
        nearest.numpy(), np.asarray(mesh.vertices, dtype=np.float64), np.asarray(mesh.faces, dtype=np.int64)
    )
    T_hand_object = torch.linalg.inv(grasps.T_object_hand.double())
    at = transform_points(T_hand_object, torch.from_numpy(surface)[:, None])[:, 0]
    normal = torch.from_numpy(mesh.face_normals[face])
    facing = (T_hand_object[:, :3, :3] @ normal[..., None])[..., 0]
    return distance.float(), torch.cat([at, facing], dim=1).float()


def typical(grasps: KnownGrasps, num: int, seed: int) -> Int[Tensor, "kinds num"]:
    """`num` grasps of each kind that stand for it: by joints, and by where the object is about these.

    Of usual hands, and unmistakable: those most like them, at other objects, are of their kind. Where fewer are so, the
    nearest to it. Kinds of which there are less than `num` have some twice.

    Raises:
        HopriorError: there is no grasp of some kind.
    """
    looks = torch.cat([grasps.joints.flatten(1), PLACE_COUNTS * grasps.place.clamp(max=PLACE_REACH)], dim=1)
    doubt = (1 - purity(grasps)).clamp(min=1 - PURE) + (grasps.usual - OF_USUAL_SIZE).clamp(min=0) / SIZE_COUNTS
    rows = []
    for kind, row in enumerate(TAXONOMY):
        mine = (grasps.kind == kind).nonzero()[:, 0]
        if not len(mine):
            raise HopriorError(f"the set has no grasp of the kind '{row.name}', of which examples are needed")
        clear = int((doubt[mine] <= 1 - PURE).sum())
        mine = mine[doubt[mine].argsort(stable=True)][: max(CHOICE * num, clear)]
        seen = looks[mine].double().numpy()
        centres, _ = kmeans2(seen, min(num, len(mine)), minit="++", seed=seed)
        nearest = torch.cdist(torch.from_numpy(centres), torch.from_numpy(seen)).argmin(dim=1)
        rows.append(mine[nearest.repeat(-(-num // len(nearest)))[:num]])
    return torch.stack(rows)


def purity(grasps: KnownGrasps) -> Float[Tensor, " n"]:
    """The share of each grasp's kind among the `NEIGHBOURS` at other objects whose joints are most like its own."""
    joints = grasps.joints.flatten(1)
    shares = []
    for piece in torch.arange(len(joints)).split(COMPARED_AT_ONCE):
        distance = torch.cdist(joints[piece], joints)
        distance[grasps.owner[piece, None] == grasps.owner[None]] = torch.inf
        near = distance.topk(min(NEIGHBOURS, len(joints)), largest=False).indices
        shares.append((grasps.kind[near] == grasps.kind[piece, None]).float().mean(dim=1))
    return torch.cat(shares)


class KindBatches(Dataset[Batch]):
    """Batch k of an endless, seeded sequence of grasps and of sentences, which have nothing to do with each other.

    `joints` (b, 21, 3) with `kind` (b), each kind as often as any other; `texts` (b, dim) with `told` (b): the kind
    that a sentence names, or `len(TAXONOMY)` where it names none.
    """

    def __init__(
        self, grasps: KnownGrasps, folder: Path, text_encoder: str, batch_size: int, augmented: bool, seed: int
    ) -> None:
        self.grasps, self.batch_size, self.augmented, self.seed = grasps, batch_size, augmented, seed
        counts = torch.bincount(grasps.kind, minlength=len(TAXONOMY)).clamp(min=1)
        self.weights = 1 / counts.double()[grasps.kind]
        mine = {grasps.categories[k] for k in grasps.owner.unique().tolist()}
        told = sentences_of_kinds(sorted(mine | {row.name for row in classes()}), grasps.parts)
        self.told = [
            torch.tensor([i for i, (_, kind) in enumerate(told) if kind == k]) for k in range(len(TAXONOMY) + 1)
        ]
        self.features = text_features(folder, [text for text, _ in told], text_encoder).mean(dim=1)

    def __getitem__(self, k: int) -> Batch:
        generator = batch_generator(self.seed, k)
        drawn = torch.multinomial(self.weights, self.batch_size, replacement=True, generator=generator)
        joints = self.grasps.joints[drawn]
        if self.augmented:
            size = 1 + SIZE_NOISE * torch.randn(self.batch_size, 1, 1, generator=generator)
            joints = size * joints + JOINT_NOISE * torch.randn(joints.shape, generator=generator)
        # A third name none: much is said of hands, and little of it is a kind of grasp.
        kinds = torch.randint(len(TAXONOMY), (self.batch_size,), generator=generator)
        kinds[: self.batch_size // 3] = len(TAXONOMY)
        share = torch.rand(self.batch_size, generator=generator)
        rows = torch.stack(
            [self.told[kind][int(s * len(self.told[kind]))] for kind, s in zip(kinds.tolist(), share, strict=True)]
        )
        return {"joints": joints, "kind": self.grasps.kind[drawn], "texts": self.features[rows], "told": kinds}


def sentences_of_kinds(names: Sequence[str], parts: Sequence[str]) -> list[tuple[str, int]]:
    """What may be said of grasps of objects, each with the place of the kind that it names, or the number of kinds.

    Objects, wordings and kinds take turns, so that each has met most of the others.
    """
    said: dict[str, int] = {GENERIC_TEXT: len(TAXONOMY)}
    doing, phrases = list(DOING.values()), sorted(set(VERB_PHRASES.values()))
    for i, name in enumerate(names):
        thing = with_article(name)
        words = {"thing": thing, "name": name, "part": parts[i % len(parts)] if parts else "body"}
        words |= {"doing": doing[i % len(doing)], "look": LOOKS[i % len(LOOKS)]}
        for text in NAMING_NONE:
            said[sentence_for(text.format(**words))] = len(TAXONOMY)
        for k in range(SENTENCES_OF_KIND):
            said[f"a hand {phrases[(SENTENCES_OF_KIND * i + k) % len(phrases)]} {thing}"] = len(TAXONOMY)
        for kind, row in enumerate(TAXONOMY):
            named = {"kind": with_article(f"{row.name} grasp"), "grip": with_article(f"{row.name} grip")}
            for k in range(SENTENCES_OF_KIND):
                text = NAMING[(SENTENCES_OF_KIND * i + k + kind) % len(NAMING)]
                said[sentence_for(text.format(**words, **named))] = kind
    return list(said.items())


class KindPosturesModule(DividedModule[KindBatches]):
    """Grasps and sentences for the prior of kinds; see `KindBatches`. The objects are divided by their names.

    Args:
        grasps: folder of a synthetic set (`hoprior data synthesize`).
        folder: where what was measured of it, and the sentences' features, are kept.
        examples: grasps of each kind that the prior keeps.
        batch_size, batches_per_epoch, val_batches: of training and validation.
        val_fraction: share of the objects that are held out.
        text_encoder: whose features the sentences come as.
        seed: of the draws.

    Raises:
        HopriorError: on setup, where the set is missing, damaged, or lacks a kind.
    """

    def __init__(
        self,
        grasps: str | Path,
        folder: str | Path,
        examples: int = 64,
        batch_size: int = 256,
        batches_per_epoch: int = 200,
        val_batches: int = 16,
        val_fraction: float = 0.1,
        text_encoder: str = "minilm",
        seed: int = 0,
    ) -> None:
        super().__init__(batches_per_epoch, val_batches, val_fraction)
        self.grasps, self.folder, self.examples, self.seed = Path(grasps), Path(folder), examples, seed
        self.batch_size, self.text_encoder = batch_size, text_encoder

    def setup(self, stage: str | None = None) -> None:
        """Reads and measures the set (once) and divides it."""
        if self.train_batches is not None:
            return
        known = known_grasps(self.grasps, self.folder / "grasps.safetensors")
        kept_out = held_out(known.keys, self.val_fraction)
        train, val = known.of(set(known.keys) - kept_out), known.of(kept_out)
        if not len(val.kind):
            warn_none_held_out(self.grasps, self.val_fraction)
            val = train
        self.train_batches = self._batches(train, True)
        self.val_batches_of = self._batches(val, False)

    def _batches(self, grasps: KnownGrasps, augmented: bool) -> KindBatches:
        return KindBatches(grasps, self.folder, self.text_encoder, self.batch_size, augmented, self.seed)

    def typical(self) -> tuple[Float[Tensor, "kinds e 21 3"], Float[Tensor, "kinds e p"], Float[Tensor, "kinds e 6"]]:
        """Joints, places and anchors of the examples that stand for the training grasps of each kind."""
        assert self.train_batches is not None, "setup() comes first"
        grasps = self.train_batches.grasps
        chosen = typical(grasps, self.examples, self.seed)
        return grasps.joints[chosen], grasps.place[chosen], grasps.anchor[chosen]
