"""The one sample type of every dataset: a hand at an object, in the canonical right-hand frame.

Units are metres and radians. A left hand is mirrored in y (hand and object alike) before it becomes a sample, so that
priors see right hands only; `side` remembers what was recorded. `joints_object` is always
`T_object_hand` applied to `joints_hand`: there is one pose, seen from two frames.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from hoprior.common.reading import expect, is_file_name
from hoprior.errors import HopriorError
from hoprior.geometry.state import transform_points
from hoprior.language.labels import NO_LABEL, GraspLabel

Side = Literal["right", "left"]
Split = Literal["train", "val", "test"]


@dataclass(frozen=True)
class ObjectInfo:
    """What is known of an object beside its shape.

    `name` is unique within its source ("mug", "mug_0012"); `category` is what a person would call it ("large cube").
    `mesh` says where the mesh comes from: a file, or `procedural:FAMILY:SEED`. `text` is the sentence that fits any
    grasp of the object ("a hand holding a mug").

    Example:
        >>> ObjectInfo("mug", "mug", "myodm", "CC-BY", "mug.ply", "a hand holding a mug").key
        'myodm-mug'
    """

    name: str
    category: str
    source: str
    licence: str
    mesh: str
    text: str

    def __post_init__(self) -> None:
        if not is_file_name(f"{self.source}-{self.name}"):
            raise HopriorError(
                f"object {self.name!r} of {self.source}: cannot be the name of a file, which its cache is: its data set"
                " has to call it otherwise"
            )

    @classmethod
    def of(cls, content: Any) -> "ObjectInfo":
        """The object whose entries a file has.

        Raises:
            TypeError: they are others.
            HopriorError: its name is none of a file.
        """
        expect(content, {item.name: str for item in fields(cls)})
        return cls(**content)

    @property
    def key(self) -> str:
        """Unique over all sources; a file name."""
        return f"{self.source}-{self.name}"


@dataclass(frozen=True)
class HandObjectSample:
    """One hand at one object.

    `angles` are twist, flexion and abduction of the 15 finger joints of the hand model named `hand`;
    `betas` its shape. `up_object` is the direction that was up where the object lay, zero where unknown.
    `recorded` is False for grasps that no human made (an optimiser's own): examples of what geometry alone allows.
    """

    object: ObjectInfo
    T_object_hand: Float[Tensor, "4 4"]
    angles: Float[Tensor, "15 3"]
    betas: Float[Tensor, " 10"]
    joints_hand: Float[Tensor, "21 3"]
    up_object: Float[Tensor, " 3"]
    text: str
    subject: str
    sequence: str
    recorded: bool
    split: Split = "train"
    side: Side = "right"
    hand: str = "open"
    label: GraspLabel = NO_LABEL

    @property
    def joints_object(self) -> Float[Tensor, "21 3"]:
        """The 21 joints (docs/conventions.md, MANO order) in the object's frame."""
        return transform_points(self.T_object_hand, self.joints_hand)


@dataclass(frozen=True)
class GraspSet:
    """n grasps of one object, stacked; item i is a `HandObjectSample`.

    `sentences[text_id[i]]` is the text of grasp i and `sequences[sequence_id[i]]` the recording it comes from.
    `side` and `hand` are the same for all of them. `up_object` is the direction, in the object's frame, that was up
    where the object lay before the hand took it; zero where nobody knows. `labels[label_id[i]]` is the kind of grasp i;
    without `label_id`, nothing is known of any of them.

    Example:
        >>> info = ObjectInfo("mug", "mug", "mine", "CC0", "mug.ply", "a hand holding a mug")
        >>> poses = torch.eye(4).repeat(2, 1, 1), torch.zeros(2, 15, 3), torch.zeros(2, 10), torch.zeros(2, 21, 3)
        >>> ids = torch.zeros(2, dtype=torch.long)
        >>> grasps = GraspSet(info, *poses, ids == 0, ids, ids, torch.zeros(2, 3), ("a hand holding a mug",), ("",))
        >>> len(grasps), grasps[0].text, len(concatenate([grasps, grasps]))
        (2, 'a hand holding a mug', 4)
    """

    object: ObjectInfo
    T_object_hand: Float[Tensor, "n 4 4"]
    angles: Float[Tensor, "n 15 3"]
    betas: Float[Tensor, "n 10"]
    joints_hand: Float[Tensor, "n 21 3"]
    recorded: Bool[Tensor, " n"]
    text_id: Int[Tensor, " n"]
    sequence_id: Int[Tensor, " n"]
    up_object: Float[Tensor, "n 3"]
    sentences: tuple[str, ...]
    sequences: tuple[str, ...]
    subject: str = "unknown"
    side: Side = "right"
    hand: str = "open"
    labels: tuple[GraspLabel, ...] = (GraspLabel(),)
    label_id: Int[Tensor, " n"] | None = None

    def __post_init__(self) -> None:
        if self.label_id is None:
            object.__setattr__(self, "label_id", torch.zeros(len(self.T_object_hand), dtype=torch.long))
        lengths = {len(t) for t in self.tensors().values()}
        if len(lengths) != 1:
            raise HopriorError(f"{self.object.key}: grasp tensors of different lengths {sorted(lengths)}")
        tables = (("text_id", self.sentences), ("sequence_id", self.sequences), ("label_id", self.labels))
        for ids, names in ((self.tensors()[name], table) for name, table in tables):
            if len(ids) and not 0 <= int(ids.min()) <= int(ids.max()) < len(names):
                raise HopriorError(f"{self.object.key}: an id is outside its list of {len(names)} names")

    def __len__(self) -> int:
        return len(self.T_object_hand)

    def __getitem__(self, i: int) -> HandObjectSample:
        if not -len(self) <= i < len(self):
            raise IndexError(i)
        return HandObjectSample(
            object=self.object,
            T_object_hand=self.T_object_hand[i],
            angles=self.angles[i],
            betas=self.betas[i],
            joints_hand=self.joints_hand[i],
            up_object=self.up_object[i],
            text=self.sentences[int(self.text_id[i])],
            subject=self.subject,
            sequence=self.sequences[int(self.sequence_id[i])],
            recorded=bool(self.recorded[i]),
            side=self.side,
            hand=self.hand,
            label=self.labels[int(self.tensors()["label_id"][i])],
        )

    def __iter__(self) -> Iterator[HandObjectSample]:
        return (self[i] for i in range(len(self)))

    def tensors(self) -> dict[str, Tensor]:
        """The stacked tensors by name, n along the first axis of each."""
        shapes = ("T_object_hand", "angles", "betas", "joints_hand", "recorded", "up_object")
        names = (*shapes, "text_id", "sequence_id", "label_id")
        return {name: getattr(self, name) for name in names}

    @property
    def joints_object(self) -> Float[Tensor, "n 21 3"]:
        """The joints of every grasp in the object's frame."""
        return transform_points(self.T_object_hand, self.joints_hand)


def concatenate(sets: Sequence[GraspSet]) -> GraspSet:
    """One set of all grasps of one object; sentences, sequences and labels are merged.

    Raises:
        HopriorError: the sets are of different objects, hands or sides, or there are none.
    """
    if not sets or len({(s.object.key, s.side, s.hand) for s in sets}) != 1:
        raise HopriorError("only grasp sets of one object, one hand and one side can be joined")
    sentences = tuple(dict.fromkeys(text for s in sets for text in s.sentences))
    sequences = tuple(dict.fromkeys(name for s in sets for name in s.sequences))
    labels = tuple(dict.fromkeys(label for s in sets for label in s.labels))
    tensors = {name: torch.cat([s.tensors()[name] for s in sets]) for name in sets[0].tensors()}
    merged_tables: tuple[tuple[str, tuple[Any, ...], str], ...] = (
        ("text_id", sentences, "sentences"),
        ("sequence_id", sequences, "sequences"),
        ("label_id", labels, "labels"),
    )
    for ids, merged, field in merged_tables:
        place = {name: i for i, name in enumerate(merged)}
        tables = [torch.tensor([place[name] for name in getattr(s, field)], dtype=torch.long) for s in sets]
        tensors[ids] = torch.cat([table[s.tensors()[ids].long()] for table, s in zip(tables, sets, strict=True)])
    first = sets[0]
    return GraspSet(
        object=first.object,
        **tensors,
        sentences=sentences,
        sequences=sequences,
        labels=labels,
        subject=first.subject,
        side=first.side,
        hand=first.hand,
    )
