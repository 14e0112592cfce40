"""A recorded dataset as a source of the training cache: its grasps by object, as poses of a hand model."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, fields
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trimesh
from jaxtyping import Float, Int
from torch import Tensor

from hoprior.common.io import strict_json, write_atomically
from hoprior.datasets.myodm.source import diverse_subset, frames_in_contact
from hoprior.datasets.recordings.adapter import Adapter, FrameSkipped
from hoprior.datasets.recordings.files import is_file
from hoprior.datasets.recordings.index import SIDES, SPLITS, Entry, FrameIndex, folder_stamp, index_path
from hoprior.datasets.recordings.labels import label_of
from hoprior.datasets.recordings.notes import SHOWN
from hoprior.datasets.recordings.record import RecordedSample, joints_of
from hoprior.datasets.recordings.registry import open_dataset
from hoprior.datasets.recordings.words import sentence_of
from hoprior.datasets.samples.sample import GraspSet, ObjectInfo, Split
from hoprior.datasets.samples.skin import posed_set
from hoprior.errors import HopriorError
from hoprior.geometry.mesh import mirrored
from hoprior.geometry.sdf import SdfGrid
from hoprior.geometry.state import transform_points
from hoprior.hand import HandModel, HandPose, fit_joints
from hoprior.hand.mano import find_mano
from hoprior.hand.pose import mirror_points
from hoprior.language.caption_file import read_sentences
from hoprior.language.labels import GraspLabel

MIRRORED = "~left"
"""What the name of an object ends with that was held by left hands: it is mirrored with them."""
FIT_BATCH = 1024


@dataclass(frozen=True)
class Recorded:
    """Grasps of a recorded dataset, one view of each moment, those frames in which the hand holds the object.

    Args:
        dataset, root, protocol, mano_dir: see `open_dataset`.
        split: which of the official splits; all of them without.
        frames_per_sequence: at most so many frames of a recording, far from each other.
        contact_distance: a frame is a grasp where three fingertips (two, where a recording never has three) are
            within so many metres of the surface.
        sentences: a file of sentences by a frame's key (`hoprior.language.caption_file`), instead of the template's.
        notes: folder in which it is written what was skipped and what is damaged, and what is known of the kept frames,
            a file an object.
    """

    dataset: str
    root: Path
    split: Split | None = "train"
    protocol: str | None = None
    mano_dir: Path | None = None
    frames_per_sequence: int = 48
    contact_distance: float = 0.015
    # Of a file with all sentences, an object's fingerprint has those of its frames.
    sentences: Path | None = field(default=None, repr=False)
    # Not in the fingerprint, which has the rest: files that are the same have the same name, wherever they are made.
    notes: Path | None = field(default=None, compare=False, repr=False)

    lenient = True
    """An object that cannot be prepared is named and left out; the rest goes on."""

    @property
    def name(self) -> str:
        """The adapter's."""
        return self.dataset

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (*(getattr(self, item.name) for item in fields(self)), self._digest)

    @cached_property
    def _digest(self) -> str:
        return self.adapter.index().digest()

    @cached_property
    def adapter(self) -> Adapter:
        """The opened dataset.

        Raises:
            HopriorError: besides what `open_dataset` does, in a worker: its machine sees other files.
        """
        adapter = open_dataset(self.dataset, self.root, self.mano_dir, self.protocol)
        wanted = self.__dict__.get("_listed")
        # Grasps are found by their numbers in the index, and a machine may have kept an older one.
        if wanted is not None and adapter.index().digest() != wanted and adapter.index(refresh=True).digest() != wanted:
            raise HopriorError(
                f"{self.root}: this machine sees other frames there than the one that began: let all see the same disk"
            )
        return adapter

    @cached_property
    def _catalogue(self) -> tuple[FrameIndex, Int[np.ndarray, " n"]]:
        """The frames of the split, one view of each moment, with the object of each; and their rows in the index.

        Listing alone gives the object in most datasets. In the others frames are opened, once: the answer is kept.
        """
        adapter = self.adapter
        index, rows = adapter.index(), adapter.indices(self.split)
        place = index_path(f"{self.dataset}-objects", self.root)
        stamp = f"{self!r} {adapter.revision} {folder_stamp(self.root)} {self._digest}"
        if "" in index.objects:
            stamp += f" {self._annotated(rows)}"
        kept = FrameIndex.load(place, stamp)
        if kept is None:
            named = [entry._replace(item=str(row)) for row, entry in self._named_entries(index, rows)]
            kept = FrameIndex.from_entries(named)
            kept.save(place, stamp)
        return kept, kept.items.astype(np.int64)

    def _named_entries(self, index: FrameIndex, rows: Int[np.ndarray, " n"]) -> Iterator[tuple[int, Entry]]:
        """One view of each moment, with the object's name; none for frames that by themselves do not tell it."""
        adapter = self.adapter
        seen: set[tuple[str, str, str]] = set()
        of_group: dict[str, str] = {}
        waiting: dict[str, list[tuple[int, Entry]]] = {}
        for row in map(int, rows):
            entry = index[row]
            moment = (*adapter.moment(entry), entry.side)
            if moment in seen:
                continue
            seen.add(moment)
            name = entry.object or of_group.get(entry.group, "")
            if not name:
                try:
                    thing = adapter.sample(entry).object
                    name = "" if thing is None else thing.info.name
                except (FrameSkipped, HopriorError):
                    name = ""
            if not name and adapter.one_object_a_group:
                waiting.setdefault(entry.group, []).append((row, entry))
                continue
            if adapter.one_object_a_group:
                of_group[entry.group] = name
                yield from ((r, e._replace(object=name)) for r, e in waiting.pop(entry.group, []))
            yield row, entry._replace(object=name)
        yield from (item for items in waiting.values() for item in items)

    def unplaced(self) -> int:
        """Frames that tell no object: skipped ones and damaged ones, of recordings without a single good frame."""
        index, _ = self._catalogue
        return int((np.asarray(index.objects)[index.object_id] == "").sum()) if len(index) else 0

    def objects(self) -> list[ObjectInfo]:
        """The objects of the split, those of left hands apart."""
        index, _ = self._catalogue
        pairs = np.unique(np.stack([index.object_id, index.side_id.astype(np.int32)], axis=1), axis=0)
        return [self._info(index.objects[thing], SIDES[side]) for thing, side in pairs if index.objects[thing]]

    def _info(self, name: str, side: str) -> ObjectInfo:
        info = self.adapter.object(name).info
        if side == "right":
            return info
        return ObjectInfo(
            f"{info.name}{MIRRORED}", info.category, info.source, info.licence, f"{info.mesh}{MIRRORED}", info.text
        )

    def _rows(self, info: ObjectInfo) -> Int[np.ndarray, " n"]:
        index, rows = self._catalogue
        side = "left" if info.name.endswith(MIRRORED) else "right"
        thing = index.objects.index(info.name.removesuffix(MIRRORED))
        return rows[(index.object_id == thing) & (index.side_id == SIDES.index(side))]

    def fingerprint(self, info: ObjectInfo) -> str:
        """Of the settings, the mesh's file, which frames there are and their annotations' files, and the MANO files."""
        digest = hashlib.sha256(f"{self!r} {self.adapter.revision}".encode())
        digest.update(self._annotated(self._rows(info)).encode())
        digest.update(self._mano.encode())
        if self.sentences is not None:
            digest.update(strict_json(self._sentences_of(info)).encode())
        mesh = self.adapter.object(info.name.removesuffix(MIRRORED)).path
        digest.update(mesh.read_bytes() if is_file(mesh) else b"missing")
        return digest.hexdigest()

    def _annotated(self, rows: Int[np.ndarray, " n"]) -> str:
        """A digest of frames' names, and of the size and time of each file that they are read from.

        Reading the files would take as long as preparing them.
        """
        digest, index = hashlib.sha256(), self.adapter.index()
        for row in rows:
            entry = index[int(row)]
            states = [f"{path.name} {self._state_of(path)}" for path in self.adapter.annotations(entry)]
            digest.update("\0".join([str(row), entry.key, *states, ""]).encode())
        return digest.hexdigest()

    @cached_property
    def _state_of(self):  # type: ignore[no-untyped-def]  # thousands of frames share a few of these files
        return lru_cache(maxsize=4096)(_state)

    @cached_property
    def _mano(self) -> str:
        """Of the MANO files that are there: parameters in the annotations are read by them."""
        digest = hashlib.sha256()
        for side in SIDES:
            if self.adapter.hands.has_mano(side):
                digest.update(side.encode() + find_mano(side, self.adapter.hands.mano_dir).read_bytes())
        return digest.hexdigest()

    @cached_property
    def _sentences(self) -> dict[str, str]:
        sentences = read_sentences(self.sentences)
        if sentences and not any(entry.key in sentences for entry in self.adapter.index()):
            raise HopriorError(
                f"{self.sentences}: none of its {len(sentences):,} names is a frame of {self.dataset}, the first is "
                f"'{next(iter(sentences))}': labels.json of a preparation has the names"
            )
        return sentences

    def _sentences_of(self, info: ObjectInfo) -> dict[str, str]:
        index = self.adapter.index()
        keys = (index[int(row)].key for row in self._rows(info))
        return {key: self._sentences[key] for key in keys if key in self._sentences}

    def mesh(self, info: ObjectInfo) -> trimesh.Trimesh:
        """The object's solid, metres; mirrored for left hands."""
        solid = self.adapter.object(info.name.removesuffix(MIRRORED)).mesh().solid
        return mirrored(solid) if info.name.endswith(MIRRORED) else solid

    def grasps(self, info: ObjectInfo, mesh: trimesh.Trimesh, sdf: SdfGrid, hand: HandModel) -> GraspSet | None:
        """The recorded grasps of an object as poses of a right hand, or None where no frame is one."""
        samples, skipped, damaged = [], Counter[str](), []
        for _, outcome in self.adapter.walk(self._rows(info)):
            if isinstance(outcome, RecordedSample):
                samples.append(outcome)
            elif isinstance(outcome, FrameSkipped):
                skipped[str(outcome)] += 1
            else:
                damaged.append(str(outcome))
        kept, joints = self._held(samples, sdf)
        if len(samples) > len(kept):
            skipped["not in contact, or like another frame of its recording"] += len(samples) - len(kept)
        self._note(info, kept, mirrored(mesh) if info.name.endswith(MIRRORED) else mesh, skipped, damaged)
        if not kept:
            return None
        texts = [self._sentences.get(sample.key) or sentence_of(sample, mesh, i) for i, sample in enumerate(kept)]
        return _grasp_set(info, kept, joints, hand, [text or info.text for text in texts])

    def _held(
        self, samples: Sequence[RecordedSample], sdf: SdfGrid
    ) -> tuple[list[RecordedSample], Float[Tensor, "n 21 3"]]:
        """Frames in which the hand holds the object, and the joints in the (mirrored) object's frame."""
        if not samples:
            return [], torch.zeros(0, 21, 3)
        T_object_scene = torch.stack([s.T_object_scene for s in samples])
        # All hands at once: one by one, MANO's joints take longer than all the rest of reading.
        joints = transform_points(T_object_scene, joints_of(samples))
        if samples[0].side == "left":
            joints = mirror_points(joints)
        recordings: dict[str, list[int]] = {}
        for i, sample in enumerate(samples):
            recordings.setdefault(sample.sequence, []).append(i)
        chosen: list[int] = []
        for rows in recordings.values():
            mine = torch.tensor(rows)
            touching = frames_in_contact(sdf, joints[mine], self.contact_distance, 3)
            if not touching.any():
                touching = frames_in_contact(sdf, joints[mine], self.contact_distance, 2)
            mine = mine[touching]
            if len(mine):
                most = 1 if self.adapter.one_grasp_a_sequence else self.frames_per_sequence
                chosen += mine[diverse_subset(joints[mine], most)].tolist()
        return [samples[i] for i in chosen], joints[chosen]

    def note_of(self, info: ObjectInfo) -> Path | None:
        """Where it is written what was skipped and kept of an object; other settings and data have their own notes."""
        if self.notes is None:
            return None
        return self.notes / f"{hashlib.sha256(f'{info.key} {self.fingerprint(info)}'.encode()).hexdigest()[:16]}.json"

    def _note(
        self,
        info: ObjectInfo,
        kept: Sequence[RecordedSample],
        mesh: trimesh.Trimesh,
        skipped: Counter[str],
        damaged: list[str],
    ) -> None:
        if self.notes is None:
            return
        content = {
            "object": info.key,
            "kept": len(kept),
            "described": sum(sample.key in self._sentences for sample in kept),
            "skipped": dict(skipped),
            "damaged": len(damaged),
            "damaged_first": damaged[:SHOWN],
            "labels": {sample.key: label_of(sample, mesh) for sample in kept},
        }
        path = self.note_of(info)
        assert path is not None
        text = strict_json(content)
        write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def _state(path: Path) -> str:
    try:
        state = path.stat()
    except OSError:
        return "missing"
    return f"{state.st_size} {state.st_mtime_ns}"


@lru_cache(maxsize=4)
def _restored(*settings: Any) -> Recorded:
    """A source that was sent to another process: one there for all its jobs, as opening and listing take seconds."""
    source = Recorded(*settings[:-1])
    # What it lists must be the same in all processes.
    source.__dict__["_listed"] = settings[-1]
    return source


def _grasp_set(
    info: ObjectInfo,
    samples: Sequence[RecordedSample],
    joints: Float[Tensor, "n 21 3"],
    hand: HandModel,
    texts: Sequence[str],
) -> GraspSet:
    T_object_hand, angles, betas = _poses(samples, joints, hand)
    sentences, sequences = tuple(dict.fromkeys(texts)), tuple(dict.fromkeys(s.sequence for s in samples))
    labels: tuple[GraspLabel, ...] = tuple(dict.fromkeys(sample.label for sample in samples))
    subjects = {sample.subject for sample in samples}
    ups = [torch.zeros(3) if s.up_scene is None else s.T_object_scene[:3, :3] @ s.up_scene for s in samples]
    up = torch.stack(ups)
    return posed_set(
        info,
        hand,
        angles,
        T_object_hand,
        recorded=True,
        betas=betas,
        text_id=torch.tensor([sentences.index(text) for text in texts]),
        sequence_id=torch.tensor([sequences.index(sample.sequence) for sample in samples]),
        sentences=sentences,
        sequences=sequences,
        up_object=mirror_points(up) if samples[0].side == "left" else up,
        subject=subjects.pop() if len(subjects) == 1 else "several",
        labels=labels,
        label_id=torch.tensor([labels.index(sample.label) for sample in samples]),
    )


def _poses(
    samples: Sequence[RecordedSample], joints: Float[Tensor, "n 21 3"], hand: HandModel
) -> tuple[Float[Tensor, "n 4 4"], Float[Tensor, "n 15 3"], Float[Tensor, "n 10"]]:
    """Where hands are in the object's frame, their angles and shapes, as a right hand of the given model.

    Right MANO hands without a template and size of their own keep the file's parameters; all others are fitted.
    """
    out: tuple[list[Tensor], list[Tensor], list[Tensor]] = ([], [], [])
    exact = hand.name == "mano" and all(
        s.side == "right"
        and s.pose is not None
        and s.reading is not None
        and s.reading.v_template is None
        and s.reading.scale == 1.0
        for s in samples
    )
    for start in range(0, len(samples), FIT_BATCH):
        if exact:
            chunk = samples[start : start + FIT_BATCH]
            poses = [s.pose for s in chunk if s.pose is not None]
            pose = HandPose(*(torch.cat([getattr(p, f.name) for p in poses]) for f in fields(HandPose)))
            T = torch.stack([s.T_object_hand for s in chunk])
        else:
            pose = fit_joints(hand, joints[start : start + FIT_BATCH]).pose
            T = pose.T_target_hand
        for column, value in zip(out, (T, hand.pose_to_angles(pose.hand_pose), pose.betas), strict=True):
            column.append(value)
    T_object_hand, angles, betas = (torch.cat(column) for column in out)
    return T_object_hand, angles, betas


def checked_split(split: str) -> Split | None:
    """A split's name, or None for "all".

    Raises:
        HopriorError: no such split.
    """
    if split == "all":
        return None
    for known in SPLITS:
        if split == known:
            return known
    raise HopriorError(f"no split '{split}': use one of {', '.join(SPLITS)}, all")
