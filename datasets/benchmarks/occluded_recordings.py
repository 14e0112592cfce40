"""Recorded hands before their own cameras, as `hoprior eval refine` takes them: the paper's protocol on a user's copy.

Suzuki et al., Sec. 3: frames of HOGraspNet's test subjects by how many of 21 joints are occluded. Any dataset of
`hoprior.datasets.recordings` with cameras will do.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from hoprior.common.array_files import read_arrays
from hoprior.datasets.benchmarks.occluded_hands import EstimateNoise, OccludedHands, level_of, of_others, stacked
from hoprior.datasets.recordings.adapter import Adapter, FrameSkipped
from hoprior.datasets.recordings.record import RecordedSample
from hoprior.errors import HopriorError
from hoprior.geometry.camera import mirrored_camera
from hoprior.geometry.state import transform_points
from hoprior.hand import HandModel, HandPose, fit_joints, load_hand
from hoprior.hand.occlusion import hidden_by_hand, hidden_by_mesh
from hoprior.hand.pose import mirror_points
from hoprior.language.schema import Affordance
from hoprior.language.template import describe
from hoprior.vision.estimates import read_estimates

NEAREST_HAND = 0.05
"""Depth (m) from which a hand is before its camera."""


@dataclass(frozen=True)
class _Candidate:
    """A recorded hand as a right one before its camera."""

    truth: HandPose
    joints: Float[Tensor, "21 3"]
    K: Float[Tensor, "3 3"]
    occluded: Bool[Tensor, "21"]
    text: str
    object: str
    key: str


def recorded_benchmark(
    adapter: Adapter,
    hand: HandModel,
    num: int,
    seed: int = 0,
    estimates: Path | None = None,
    noise: EstimateNoise | None = None,
) -> OccludedHands:
    """`num` test frames, as many of each level of occlusion as there are.

    The true joints are the annotations'; the true pose is the open hand fitted to them. Which joints are occluded the
    dataset says where it does, else rays against the hand and the object's mesh. The description is the object's name
    and, where the dataset has it, the kind of grasp.

    Args:
        adapter: a user's copy of a dataset.
        hand: the right open hand.
        estimates: an estimator's .npz as docs/refine.md has it, with `key` (n,), the frames' keys: only those frames
            are taken, and begin with these hands. Without it they begin with the truth under `EstimateNoise`.

    Raises:
        HopriorError: the dataset has no cameras, or no usable test frames, or an estimate is of no frame of it.
    """
    generator = torch.Generator().manual_seed(seed)
    given = None if estimates is None else _estimates_by_key(estimates)
    wanted = Counter({name: num // 3 + (k < num % 3) for k, name in enumerate(("low", "medium", "high"))})
    chosen: list[tuple[_Candidate, str]] = []
    seen, refused = 0, Counter[str]()
    for found in _candidates(adapter, given, generator):
        if isinstance(found, str):
            refused[found] += 1
            continue
        seen += 1
        level = level_of(int(found.occluded.sum()))
        if wanted[level] > 0:
            wanted[level] -= 1
            chosen.append((found, level))
        if not +wanted:
            break
    if not chosen:
        why = "; ".join(f"{count} x {reason}" for reason, count in refused.most_common(2)) or "no test frames"
        raise HopriorError(f"{adapter.root}: no hand to refine ({why})")
    hands = [candidate for candidate, _ in chosen]
    truth = stacked([candidate.truth for candidate in hands])
    occluded = torch.stack([candidate.occluded for candidate in hands])
    if given is None:
        angles = hand.pose_to_angles(truth.hand_pose)
        estimated = (noise or EstimateNoise())(hand, angles, occluded, generator)
        first = replace(truth, hand_pose=hand.angles_to_pose(estimated))
        K = torch.stack([candidate.K for candidate in hands])
    else:
        first = stacked([given[candidate.key][0] for candidate in hands])
        K = torch.stack([given[candidate.key][1] for candidate in hands])
    texts, objects = [candidate.text for candidate in hands], [candidate.object for candidate in hands]
    return OccludedHands(
        truth=truth,
        first=first,
        K=K,
        occluded=occluded,
        levels=tuple(level for _, level in chosen),
        texts=tuple(texts),
        wrong_texts=of_others(texts, objects),
        objects=tuple(objects),
        alone=(False,) * len(hands),
        joints=torch.stack([candidate.joints for candidate in hands]),
    )


def _candidates(
    adapter: Adapter, given: Mapping[str, Any] | None, generator: torch.Generator
) -> Iterator[_Candidate | str]:
    """Test frames in a random order, and why those that cannot be used cannot."""
    indices = adapter.indices("test")
    order = indices[torch.randperm(len(indices), generator=generator).numpy()]
    if given is not None:
        index = adapter.index()
        of_key = {index[int(i)].key: int(i) for i in adapter.indices()}
        if unknown := [key for key in given if key not in of_key]:
            raise HopriorError(f"{adapter.root}: has no frame '{unknown[0]}', which an estimate is of")
        order = np.array([of_key[key] for key in given])
    for _, outcome in adapter.walk(order):
        if isinstance(outcome, RecordedSample):
            try:
                yield _candidate(outcome)
            except HopriorError as error:
                yield str(error)
        else:
            yield str(outcome) if isinstance(outcome, FrameSkipped) else "damaged annotation"


def _candidate(sample: RecordedSample) -> _Candidate:
    if sample.camera is None:
        raise HopriorError(f"{sample.dataset} has no cameras")
    camera = sample.camera
    joints = transform_points(camera.T_camera_scene, sample.joints)
    if float(joints[:, 2].min()) < NEAREST_HAND:
        raise HopriorError("the hand is not before the camera")
    model = load_hand("open", sample.side)
    pose = fit_joints(model, joints[None], fit_betas=True).pose
    occluded = sample.occluded
    if occluded is None:
        output = model(pose.hand_pose, pose.betas, pose.global_orient, pose.transl)
        occluded = hidden_by_hand(model, output.verts, output.joints)[0]
        if sample.object is not None:
            surface = sample.object.surface()
            T_camera_object = camera.T_camera_scene @ sample.T_scene_object
            verts = transform_points(T_camera_object, torch.as_tensor(np.array(surface.vertices)).float())
            faces = torch.as_tensor(np.array(surface.faces)).long()
            occluded = occluded | hidden_by_mesh(joints[None], verts[None], faces)[0]
    is_left = sample.side == "left"
    affordance = Affordance(object_category=sample.category, grasp=sample.label.taxonomy)
    return _Candidate(
        truth=pose.mirrored() if is_left else pose,
        joints=mirror_points(joints) if is_left else joints,
        K=mirrored_camera(camera.K) if is_left else camera.K,
        occluded=occluded,
        text=describe(affordance),
        object=sample.object.info.key if sample.object is not None else "",
        key=sample.key,
    )


def _estimates_by_key(path: Path) -> dict[str, tuple[HandPose, Float[Tensor, "3 3"]]]:
    """An estimator's hands as right ones, with their cameras, by the keys of the frames that they are of."""
    hands, skipped = read_estimates(path)
    if skipped:
        raise HopriorError(f"{path}: {skipped[0].name}: {skipped[0].reason}")
    found = read_arrays(path, ["key"], advice="`key` says of which frame each hand is, see docs/refine.md")
    keys = [str(key) for key in np.atleast_1d(found["key"])]
    if len(keys) != len(hands):
        raise HopriorError(f"{path}: {len(keys)} keys for {len(hands)} hands")
    return {
        key: (item.pose, item.K) if item.side == "right" else (item.pose.mirrored(), mirrored_camera(item.K))
        for key, item in zip(keys, hands, strict=True)
    }
