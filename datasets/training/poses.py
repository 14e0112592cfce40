"""Poses with words: what the pose prior learns from, as one table in one file.

A row is how a right open hand is bent at an object, and the sentences that fit it: wordings of its affordance
(`hoprior.language`) with the object named, whose size is among its kind, and with the object unnamed, whose size is
how thick it is between the thumb and the fingers opposite.
"""

import hashlib
import json
import math
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import trimesh
from jaxtyping import Float, Int
from safetensors.torch import save
from torch import Tensor

from hoprior.common.io import write_atomically
from hoprior.common.reading import interpreting
from hoprior.datasets.benchmarks.recorded_grids import family_of, size_of
from hoprior.datasets.myodm.source import MyoDM, verb_of
from hoprior.datasets.samples.sample import GraspSet
from hoprior.datasets.samples.tensor_file import digest_of, read_tensor_file
from hoprior.datasets.synthetic.source import Synthetic
from hoprior.datasets.training.empty_hands import FreeHands, resting_hands
from hoprior.datasets.training.grasp_table import even_shares
from hoprior.datasets.training.held_out import held_out
from hoprior.errors import HopriorError
from hoprior.geometry.sdf import SdfGrid
from hoprior.hand import load_hand
from hoprior.hand.joint_order import JOINT_NAMES
from hoprior.language.categories import classes
from hoprior.language.object_words import intention_of, shape_words
from hoprior.language.phrases import VERB_PHRASES
from hoprior.language.schema import Affordance
from hoprior.language.template import NOTHING, describe, plain, wordings
from hoprior.language.wordings import pool, seeded

FORMAT = 1
SMALL, LARGE = 0.025, 0.05
"""Thickness (m) at the thumb below which a thing is small in the hand, and above which it is large."""
SAME_NAME = 4
"""Poses of an object, one after the other, that are told of under the same foreign name."""
EVERYDAY = 8
"""Of a pose's sentences those that people say who name no kind of grasp."""
DESCRIBED_ALL = 2
"""Of those, how many say all but the kind."""
SURFACE_POINTS = 4000
NEAR_LINE, BEYOND_TIPS = 0.015, 0.015
"""Metres from the line between the fingertips, and beyond its ends, within which the object counts as between them."""
THUMB_TIP, OPPOSITE_TIPS = JOINT_NAMES.index("thumb_tip"), [JOINT_NAMES.index(f"{f}_tip") for f in ("index", "middle")]
DESCRIBED = 1
"""Of the synthetic set's wordings the one that describes the object with all that is known of it."""
SYNTHETIC_SIZES = {"small": "small", "medium-sized": "medium", "large": "large"}
PURPOSES = {"use": "to use it", "hand over": "to hand it over", "move": "to move it", "hold": "to hold it"}


@dataclass(frozen=True)
class PoseRow:
    """What is known of a row beside its pose; many rows share one."""

    object: str
    category: str
    source: str
    sequence: str
    affordance: Affordance


@dataclass(frozen=True)
class PoseTable:
    """n poses of right open hands.

    `angles` are twist, flexion and abduction of the 15 finger joints (radians), `betas` the hand's shape.
    `rows[row_id[i]]` is what is known of pose i, and `sentences[text_id[i, k]]` its wording k.
    """

    angles: Float[Tensor, "n 15 3"]
    betas: Float[Tensor, "n 10"]
    row_id: Int[Tensor, " n"]
    text_id: Int[Tensor, "n w"]
    rows: tuple[PoseRow, ...]
    sentences: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.angles)

    def __getitem__(self, index: Int[Tensor, " k"]) -> "PoseTable":
        """Some of the poses."""
        columns = {name: getattr(self, name)[index] for name in ("angles", "betas", "row_id", "text_id")}
        return PoseTable(**columns, rows=self.rows, sentences=self.sentences)

    def row(self, i: int) -> PoseRow:
        """What is known of pose i."""
        return self.rows[int(self.row_id[i])]

    def hand_pose(self) -> Float[Tensor, "n 15 3"]:
        """Axis-angle in the right hand's frame."""
        return load_hand().angles_to_pose(self.angles)

    def split(self, val_fraction: float) -> tuple["PoseTable", "PoseTable"]:
        """Training poses, and those of the objects that are held out: the same for whoever asks."""
        kept_out = held_out([row.object for row in self.rows], val_fraction)
        out = torch.tensor([row.object in kept_out for row in self.rows])[self.row_id]
        return self[(~out).nonzero()[:, 0]], self[out.nonzero()[:, 0]]

    def weights(self, source_weights: dict[str, float] | None = None) -> Float[Tensor, " n"]:
        """Probability of each pose to be drawn: even over sources (by weight), kinds of grasp, categories, objects,
        sequences."""
        paths: list[tuple[str, ...]] = []
        for i, row in enumerate(self.rows[int(k)] for k in self.row_id):
            paths.append((row.source, str(row.affordance.grasp), row.category, row.object, row.sequence, str(i)))
        weight = [(source_weights or {}).get(path[0], 1.0) for path in paths]
        return even_shares(paths, weight).float()


def synthetic_rows(
    folder: Path, only: Collection[str] | None = None
) -> Iterator[tuple[GraspSet, list[PoseRow], list[tuple[str, ...]]]]:
    """The grasps of a synthetic set, object by object, with what is known of each and its sentences; `only` of some."""
    source = Synthetic(folder)
    for info in source.objects():
        if only is not None and info.key not in only:
            continue
        shard = source.shard(info)
        if shard.grasps is None:
            continue
        rows, texts = [], []
        size = SYNTHETIC_SIZES.get(shard.words[0], "")
        in_hand = sizes_in_hand(shard.mesh, shard.grasps.joints_object)
        for i, sample in enumerate(shard.grasps):
            own = shard.texts(i)
            doing = _interaction(own[0])
            affordance = Affordance(
                object_category=info.category,
                object_shape=_shape(shard.words[1:]),
                object_size=size,
                interaction=doing,
                intention=PURPOSES.get(sample.label.intention, ""),
                grasp=sample.label.taxonomy,
            )
            rows.append(PoseRow(info.key, info.category, source.name, sample.sequence, affordance))
            texts.append((own[DESCRIBED], *_sentences(affordance, in_hand[i], f"{sample.sequence} {i // SAME_NAME}")))
        yield shard.grasps, rows, texts


def myodm_rows(
    folder: Path, frames: int = 48, only: Collection[str] | None = None
) -> Iterator[tuple[GraspSet, list[PoseRow], list[tuple[str, ...]]]]:
    """MyoDM's recorded grasps, object by object; what kind of grasp they are, nobody knows; `only` of some objects."""
    source, hand = MyoDM(folder, frames_per_sequence=frames), load_hand()
    for info in source.objects():
        if only is not None and info.key not in only:
            continue
        mesh = source.mesh(info)
        grasps = source.grasps(info, mesh, SdfGrid.from_mesh(mesh, resolution=64, margin=0.06), hand)
        if grasps is None:
            continue
        rows, texts = [], []
        in_hand = sizes_in_hand(mesh, grasps.joints_object)
        for i, sample in enumerate(grasps):
            verb = verb_of(sample.sequence)
            affordance = Affordance(
                object_category=family_of(info.category),
                object_shape=_shape(shape_words(mesh)),
                object_size=size_of(info.category) or "",
                interaction=VERB_PHRASES.get(verb, VERB_PHRASES["hold"]),
                intention=PURPOSES[intention_of(verb)],
            )
            rows.append(PoseRow(info.key, info.category, source.name, sample.sequence, affordance))
            texts.append(_sentences(affordance, in_hand[i], f"{sample.sequence} {i // SAME_NAME}"))
        yield grasps, rows, texts


def free_rows(
    sets: Iterable[GraspSet], only: Collection[str] | None = None
) -> Iterator[tuple[GraspSet, list[PoseRow], list[tuple[str, ...]]]]:
    """Hands that hold nothing, block by block, as the grasps of a source; `only` of some blocks."""
    affordance = Affordance(object_category=NOTHING)
    sentences = (*wordings(affordance), plain(affordance))
    for hands in sets:
        info = hands.object
        if only is None or info.key in only:
            row = PoseRow(info.key, info.category, info.source, hands.sequences[0], affordance)
            yield hands, [row] * len(hands), [sentences] * len(hands)


def _sentences(affordance: Affordance, size_in_hand: str, some: str) -> tuple[str, ...]:
    """Some wordings of a named object, of the same object unnamed, and of one by a name that is not its own."""
    unnamed = Affordance(
        object_shape=affordance.object_shape,
        object_size=size_in_hand,
        intention=affordance.intention,
        grasp=affordance.grasp,
    )
    bare = replace(unnamed, object_shape="", intention="")
    named, without_name = wordings(affordance), wordings(bare)
    misnamed = replace(affordance, object_category=_another_name(some))
    return (
        named[0],
        named[2],
        plain(affordance),
        describe(unnamed),
        *without_name[:3],
        describe(misnamed),
        plain(misnamed),
        *_everyday(affordance, some),
    )


def _everyday(affordance: Affordance, some: str) -> tuple[str, ...]:
    """What people say of it who name no kind of grasp, always the same for `some` poses: little, or all else."""
    told = replace(affordance, grasp=0)
    said = pool(replace(told, object_shape="", intention=""))
    rng = seeded(some)
    little = rng.choice(said, EVERYDAY - DESCRIBED_ALL, replace=False)
    return (*map(str, little), *map(str, rng.choice(wordings(told), DESCRIBED_ALL, replace=False)))


@cache
def _another_name(some: str) -> str:
    """Some name of an object, always the same for `some` poses. It teaches that a name never heard at a grasp says
    nothing of it, and takes little from a name that is; a name must come at many grasps for that."""
    names = [category.name for category in classes()]
    return names[int(hashlib.sha256(some.encode()).hexdigest(), 16) % len(names)]


def sizes_in_hand(mesh: trimesh.Trimesh, joints_object: Float[Tensor, "n 21 3"]) -> list[str]:
    """Small, medium or large by each hand's thickness of the object; empty where nothing is between the fingers."""
    points, _ = trimesh.sample.sample_surface(mesh, SURFACE_POINTS, seed=0)
    thick = thickness_in_hand(torch.tensor(np.asarray(points), dtype=torch.float32), joints_object).tolist()
    return ["" if math.isnan(t) else "small" if t < SMALL else "large" if t > LARGE else "medium" for t in thick]


def thickness_in_hand(points: Float[Tensor, "p 3"], joints_object: Float[Tensor, "n 21 3"]) -> Float[Tensor, " n"]:
    """How thick (m) an object is along the line from the thumb's tip to between the tips of index and middle finger.

    Args:
        points: samples of the object's surface.
        joints_object: in the same frame.

    Returns:
        NaN where no surface is near the line.

    Example:
        >>> joints = torch.zeros(1, 21, 3)
        >>> joints[0, JOINT_NAMES.index("thumb_tip"), 2] = -0.05
        >>> joints[0, [JOINT_NAMES.index("index_tip"), JOINT_NAMES.index("middle_tip")], 2] = 0.05
        >>> plate = torch.tensor([[0.0, 0.0, -0.01], [0.0, 0.0, 0.01]])  # two points of its sides, between the fingers
        >>> thickness_in_hand(plate, joints)
        tensor([0.0200])
    """
    thumb, opposite = joints_object[:, THUMB_TIP], joints_object[:, OPPOSITE_TIPS].mean(dim=1)
    length = (opposite - thumb).norm(dim=-1, keepdim=True)
    direction = (opposite - thumb) / length.clamp(min=1e-6)
    from_thumb = points - thumb[:, None]
    along = torch.einsum("npc,nc->np", from_thumb, direction)
    off = (from_thumb - along[..., None] * direction[:, None]).norm(dim=-1)
    between = (off < NEAR_LINE) & (along > -BEYOND_TIPS) & (along < length + BEYOND_TIPS)
    last = along.masked_fill(~between, -torch.inf).amax(dim=1)
    first = along.masked_fill(~between, torch.inf).amin(dim=1)
    return torch.where(between.any(dim=1), last - first, torch.nan)


def _shape(words: Sequence[str]) -> str:
    return " ".join(words[:2])


def _interaction(sentence: str) -> str:
    """ "a hand drinking from a mug" -> "drinking from", for the verbs of `phrases`."""
    return next((p for p in VERB_PHRASES.values() if f" {p} " in sentence), VERB_PHRASES["hold"])


def make_table(
    myodm: Path | None,
    synthetic: Sequence[Path] = (),
    report: Callable[[str], None] = lambda name: None,
    *,
    free: Path | None = None,
    resting: int = 0,
) -> PoseTable:
    """One table of all grasps of the folders that are given.

    Args:
        myodm: prepared MyoDM (grasps.npz, objects/*.ply).
        synthetic: sets of `hoprior data synthesize`, of different seeds.
        report: hears the name of each object that is done.
        free: joints of hands that hold nothing (`FreeHands`).
        resting: how many hands at rest to add (`resting_hands`).

    Raises:
        HopriorError: no grasps are given, or a source is missing or damaged.
    """
    if myodm is None and not synthetic and free is None and not resting:
        raise HopriorError(
            "no poses to take: give --myodm FOLDER, --synthetic FOLDER, or both, --free FILE, or --resting NUMBER"
        )
    sources = [synthetic_rows(folder) for folder in synthetic] + ([myodm_rows(myodm)] if myodm else [])
    hand = load_hand()
    sources += [free_rows(FreeHands(free).blocks(hand))] if free else []
    sources += [free_rows(resting_hands(resting, hand))] if resting else []
    sets: list[GraspSet] = []
    known: list[PoseRow] = []
    texts: list[tuple[str, ...]] = []
    for source in sources:
        for grasps, rows, sentences in source:
            sets.append(grasps)
            known += rows
            texts += sentences
            report(grasps.object.key)
    return PoseTable(
        angles=torch.cat([grasps.angles for grasps in sets]),
        betas=torch.cat([grasps.betas for grasps in sets]),
        row_id=_ids(known, rows_of := tuple(dict.fromkeys(known))),
        text_id=_text_ids(texts, all_texts := tuple(dict.fromkeys(text for row in texts for text in row))),
        rows=rows_of,
        sentences=all_texts,
    )


def _ids(items: Sequence[Any], table: Sequence[Any]) -> Int[Tensor, " n"]:
    place = {item: i for i, item in enumerate(table)}
    return torch.tensor([place[item] for item in items])


def _text_ids(texts: Sequence[tuple[str, ...]], table: Sequence[str]) -> Int[Tensor, "n w"]:
    """Rows with fewer sentences repeat theirs."""
    width = max(len(row) for row in texts)
    place = {text: i for i, text in enumerate(table)}
    return torch.tensor([[place[row[k % len(row)]] for k in range(width)] for row in texts])


def write_poses(path: Path, table: PoseTable) -> None:
    """Writes a table, all or nothing.

    Raises:
        HopriorError: the file cannot be written.
    """
    names = ("angles", "betas", "row_id", "text_id")
    tensors = {name: getattr(table, name).contiguous() for name in names}
    header = json.dumps({"rows": [asdict(row) for row in table.rows], "sentences": table.sentences})
    metadata = {"format": str(FORMAT), "digest": digest_of(tensors), "header": header}
    write_atomically(path, lambda temporary: temporary.write_bytes(save(tensors, metadata=metadata)))


def read_poses(path: Path) -> PoseTable:
    """The table that `write_poses` wrote.

    Raises:
        HopriorError: the file is missing, damaged, or of another format.
    """
    advice = "make it with `hoprior data poses`"
    if not Path(path).is_file():
        raise HopriorError(f"{path}: not there; {advice}")
    tensors, header, _ = read_tensor_file(path, FORMAT, "table of poses", advice)
    with interpreting(path, advice):
        rows = tuple(_row(entry) for entry in header["rows"])
        return PoseTable(**tensors, rows=rows, sentences=tuple(header["sentences"]))


def _row(entry: dict[str, Any]) -> PoseRow:
    values = {field.name: entry[field.name] for field in fields(PoseRow)}
    return PoseRow(**{**values, "affordance": Affordance(**cast(dict[str, Any], entry["affordance"]))})
