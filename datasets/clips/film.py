"""Films a scene: pictures, masks, cameras, estimates as an estimator errs, and the truth, as a clip folder."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import trimesh
from jaxtyping import Float, Int
from PIL import Image
from scipy.ndimage import binary_dilation, binary_erosion, gaussian_filter
from torch import Tensor

from hoprior.datasets.clips.scene import ClipScene
from hoprior.errors import HopriorError
from hoprior.geometry.mesh import mirrored
from hoprior.geometry.rotations import rotvec_to_rotmat
from hoprior.geometry.state import rigid, transform_points
from hoprior.geometry.transforms import mirrored_transform
from hoprior.hand import HandModel
from hoprior.rendering.pinhole import project, render_through, visible_faces, visible_points
from hoprior.rendering.rasterizer import SKIN

OBJECT_COLOURS = ((0.25, 0.45, 0.70), (0.75, 0.30, 0.25), (0.30, 0.60, 0.40), (0.85, 0.70, 0.25), (0.55, 0.40, 0.65))
DISTANCE = 0.45
"""Of the camera from the hand and object, metres."""
VIEWS = 32
"""Directions among which the camera's is chosen."""
CORRELATED = 0.7
"""Share of an estimate's error that stays from one frame to the next; a third of its variance stays all along."""


@dataclass(frozen=True)
class FilmConfig:
    """How a scene is filmed.

    Attributes:
        size: pixels of the pictures' sides.
        occlusion: share of the object that the hand should hide; the camera is put where it comes nearest to it.
        camera_motion: degrees that the camera goes around the scene, handheld.
        hand_noise: mean error (m) of the estimated joints about the index finger's knuckle; the wrist's place errs by
            as much sideways and twice as much in depth.
        keypoint_noise: standard deviation of a keypoint, pixels.
        mask_noise: pixels by which masks' edges are off, here and there.
        mask_faults: share of the frames in which a piece as large as a finger is given to the object's mask that is
            none of it, or taken from it, some frames long.
        missing: share of the frames in which the object's mask is empty.
        missing_hands: share of the frames without an estimate of the hand, as of a hand that moves fast; some long.
        cut: share of the frames, one after another, in which the picture's edge cuts through what is filmed.
        seed: of the camera and of all errors.
    """

    size: int = 400
    occlusion: float = 0.3
    camera_motion: float = 10.0
    hand_noise: float = 0.012
    keypoint_noise: float = 3.0
    mask_noise: float = 1.0
    mask_faults: float = 0.0
    missing: float = 0.0
    missing_hands: float = 0.0
    cut: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not 64 <= self.size <= 4096:
            raise HopriorError(f"--film-config.size is {self.size} pixels: use 64 to 4096")
        shares = (self.missing, self.missing_hands, self.mask_faults, self.cut)
        if not 0 <= self.occlusion <= 1 or not all(0 <= share < 1 for share in shares):
            raise HopriorError(
                "--film-config.occlusion, .missing, .missing-hands, .mask-faults and .cut are shares: use 0 to 1"
            )
        if min(self.hand_noise, self.keypoint_noise, self.mask_noise, self.camera_motion) < 0:
            raise HopriorError("--film-config: noises and motions are not negative")


def film(
    scene: ClipScene,
    hand: HandModel,
    folder: Path,
    config: FilmConfig,
    fps: float = 15.0,
    progress: Callable[[float], object] = lambda share: None,
) -> None:
    """Writes the clip folder of a scene (see `hoprior.datasets.clips.clip`); a left hand films its mirror image."""
    rng = np.random.default_rng([config.seed, 3])
    n, betas = len(scene.angles), scene.betas.expand(len(scene.angles), -1)
    T_world_object, T_object_hand, mesh = scene.T_world_object, scene.T_object_hand, scene.mesh
    if hand.side == "left":
        T_world_object, T_object_hand = mirrored_transform(T_world_object), mirrored_transform(T_object_hand)
        mesh = mirrored(mesh)
    output = hand(hand.angles_to_pose(scene.angles), betas)
    T_world_hand = T_world_object @ T_object_hand
    verts_hand = transform_points(T_world_hand, output.verts).numpy()
    verts_object = transform_points(T_world_object, _tensor(mesh.vertices).expand(n, -1, -1)).numpy()
    faces = np.concatenate([hand.faces.numpy(), mesh.faces + verts_hand.shape[1]])
    is_object = np.arange(len(faces)) >= len(hand.faces)
    intrinsics = np.array([1.6 * config.size, 1.6 * config.size, config.size / 2, config.size / 2])
    T_camera_world = _choose_cameras(verts_hand, verts_object, faces, is_object, intrinsics, config, rng)
    # What not every clip has is drawn apart, so that a clip without it is what it was.
    faults = np.random.default_rng([config.seed, 4])
    T_camera_world = _turned_away(T_camera_world, verts_object, intrinsics, config, faults)

    verts = np.concatenate([verts_hand, verts_object], axis=1)
    verts_camera = transform_points(T_camera_world, _tensor(verts)).numpy()
    T_camera_hand = T_camera_world @ T_world_hand
    joints_camera = transform_points(T_camera_hand, output.joints).numpy()
    points, _ = trimesh.sample.sample_surface(mesh, 10_000, seed=config.seed)
    points_camera = transform_points(T_camera_world @ T_world_object, _tensor(points).expand(n, -1, -1)).numpy()
    seen = np.zeros(len(points), dtype=bool)
    size = (config.size, config.size)
    hidden = rng.random(n) < config.missing
    faulty, lost = spells(n, config.mask_faults, faults), spells(n, config.missing_hands, faults) > 0
    colour = OBJECT_COLOURS[config.seed % len(OBJECT_COLOURS)]
    for name in ("image", "obj_mask", "hand_mask"):
        (folder / name).mkdir(parents=True)
    for i in range(n):
        face = visible_faces(verts_camera[i], faces, intrinsics, size)
        seen |= visible_points(points_camera[i], verts_camera[i], faces, intrinsics, size)
        meshes = [
            (verts_camera[i, : verts_hand.shape[1]], hand.faces.numpy(), SKIN),
            (verts_camera[i, verts_hand.shape[1] :], mesh.faces, colour),
        ]
        background = np.array([0.75, 0.77, 0.72])
        Image.fromarray(render_through(meshes, intrinsics, size, background)).save(folder / "image" / f"{i:04d}.png")
        hand_mask = (face >= 0) & ~is_object[face]
        object_mask = (face >= 0) & is_object[face]
        object_mask = _misjudged(object_mask, int(faulty[i]), config.seed) & (not hidden[i])
        for name, mask in (("obj_mask", object_mask), ("hand_mask", hand_mask & ~object_mask)):
            mask = ragged(mask, config.mask_noise, rng)
            Image.fromarray(255 * mask.astype(np.uint8)).save(folder / name / f"{i:04d}.png")
        progress((i + 1) / n)

    estimate = disturb(hand, scene.angles, betas, T_camera_hand, config.hand_noise, rng)
    keypoints = project(joints_camera, intrinsics) + config.keypoint_noise * rng.normal(size=(n, 21, 2))
    outside = ((keypoints < 0) | (keypoints > config.size)).any(axis=-1)
    keypoints[lost] = np.nan
    K = np.broadcast_to(np.eye(4), (n, 4, 4)).copy()
    K[:, 0, 0], K[:, 1, 1], K[:, 0, 2], K[:, 1, 2] = intrinsics
    T_world_estimate = (torch.linalg.inv(T_camera_world) @ estimate.T_camera_hand).numpy()
    T_world_estimate[lost] = np.nan
    np.savez(folder / "cameras_hoi.npz", cTw=T_camera_world.numpy(), K_pix=K, wTh=T_world_estimate)
    pose = hand.angles_to_pose(estimate.angles)
    np.savez(folder / "hands.npz", hA=pose.flatten(1).numpy(), beta=estimate.betas.numpy())
    confidence = np.where(lost[:, None] | outside, 0.0, 1.0)
    np.savez(folder / "keypoints.npz", j2d=keypoints, conf=confidence)
    np.savez(
        folder / "eval_poses.npz",
        hTo=torch.linalg.inv(T_object_hand).numpy(),
        cTh=T_camera_hand.numpy(),
        cTo=(T_camera_world @ T_world_object).numpy(),
        jTh=output.joints.numpy(),
        points=points.astype(np.float32),
        seen=seen,
    )
    mesh.export(folder / "oObj.obj")
    (folder / "text.txt").write_text(scene.text + "\n", encoding="utf-8")
    about = {"hand": hand.name, "side": hand.side, "fps": fps, "scene": scene.name, "film": asdict(config)}
    about["seen_share"] = float(seen.mean())
    (folder / "clip.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class Estimate:
    """What an estimator says of n hands."""

    angles: Float[Tensor, "n 15 3"]
    betas: Float[Tensor, "n 10"]
    T_camera_hand: Float[Tensor, "n 4 4"]


def disturb(
    hand: HandModel,
    angles: Float[Tensor, "n 15 3"],
    betas: Float[Tensor, "n 10"],
    T_camera_hand: Float[Tensor, "n 4 4"],
    error: float,
    rng: np.random.Generator,
) -> Estimate:
    """Hands as an estimator sees them: turned, bent and moved wrongly by errors that drift from frame to frame.

    `error` is the mean distance (m) of the joints about the index finger's knuckle, in the camera's frame, from the
    true ones. The shape is the average hand's, as of an estimator that cannot know it.
    """
    n = len(angles)
    turn, bend = (_tensor(drift(n, shape, rng)) for shape in ((3,), (15, 3)))
    shift = _tensor(drift(n, (3,), rng)) * error * torch.tensor([0.6, 0.6, 2.0])
    truth = _centred_joints(hand, angles, betas, T_camera_hand)
    # Bends and turns share the error as estimators' do; how large they are is found by bisection.
    low, high = 0.0, 1.0
    for _ in range(20):
        scale = (low + high) / 2
        wrong_angles = (angles + scale * bend).clamp(hand.angle_low, hand.angle_high)
        rotation = T_camera_hand[:, :3, :3] @ rotvec_to_rotmat(0.6 * scale * turn)
        estimate = Estimate(wrong_angles, torch.zeros_like(betas), rigid(rotation, T_camera_hand[:, :3, 3] + shift))
        found = _centred_joints(hand, wrong_angles, estimate.betas, estimate.T_camera_hand)
        low, high = (scale, high) if (found - truth).norm(dim=-1).mean() < error else (low, scale)
    return estimate


def drift(n: int, shape: tuple[int, ...], rng: np.random.Generator) -> Float[np.ndarray, "n ..."]:
    """Noise of unit variance: a third stays for the whole clip, the rest forgets itself over a few frames.

    Example:
        >>> noise = drift(500, (100,), np.random.default_rng(0))
        >>> noise.shape, bool(0.9 < noise.std() < 1.1)
        ((500, 100), True)
    """
    steady = rng.normal(size=shape)
    walk = np.empty((n, *shape))
    walk[0] = rng.normal(size=shape)
    for i in range(1, n):
        walk[i] = CORRELATED * walk[i - 1] + np.sqrt(1 - CORRELATED**2) * rng.normal(size=shape)
    return np.sqrt(1 / 3) * steady + np.sqrt(2 / 3) * walk


def ragged(mask: np.ndarray, amount: float, rng: np.random.Generator) -> np.ndarray:
    """A mask whose edge is off by about `amount` pixels, outwards here and inwards there."""
    if amount == 0 or not mask.any():
        return mask
    field = gaussian_filter(rng.normal(size=mask.shape), 6)
    field /= field.std()
    steps = max(1, round(amount))
    grown, shrunk = binary_dilation(mask, iterations=steps), binary_erosion(mask, iterations=steps)
    return np.where(field > 0.6, grown, np.where(field < -0.6, shrunk, mask))


def spells(n: int, share: float, rng: np.random.Generator) -> Int[np.ndarray, " n"]:
    """Numbers of the spells, from 1, of two to five frames that make up `share` of n; 0 between them."""
    found, number = np.zeros(n, dtype=int), 0
    while (found > 0).mean() < share:
        begin, number = int(rng.integers(n)), number + 1
        found[begin : begin + int(rng.integers(2, 6))] = number
    return found


def _misjudged(mask: np.ndarray, spell: int, seed: int) -> np.ndarray:
    """A mask that has a disc on its edge too much or too little, the same for all frames of one spell; 0 is none."""
    rows, columns = np.nonzero(mask)
    if not spell or not len(rows):
        return mask
    rng = np.random.default_rng([seed, 5, spell])
    angle, radius, adds = rng.uniform(0, 2 * np.pi), rng.uniform(0.08, 0.16), rng.random() < 0.5
    middle = np.array([columns.mean(), rows.mean()])
    places, direction = np.stack([columns, rows], axis=1), np.array([np.cos(angle), np.sin(angle)])
    edge = places[np.argmax((places - middle) @ direction)]
    y, x = np.mgrid[: mask.shape[0], : mask.shape[1]]
    extent = max(np.ptp(columns), np.ptp(rows))
    disc = np.hypot(x - edge[0], y - edge[1]) < radius * extent
    return mask | disc if adds else mask & ~disc


def _turned_away(
    T_camera_world: Float[Tensor, "n 4 4"],
    verts_object: np.ndarray,
    intrinsics: np.ndarray,
    config: FilmConfig,
    rng: np.random.Generator,
) -> Float[Tensor, "n 4 4"]:
    """Cameras that for `config.cut` of the frames look so far aside that the edge cuts the object about in half."""
    n = len(T_camera_world)
    if not config.cut:
        return T_camera_world
    count, angle = max(1, round(config.cut * n)), rng.choice(4) * np.pi / 2
    begin = int(rng.integers(n - count + 1))
    at = np.arange(n)
    # It goes there and back over a few frames.
    amount = np.clip(1 - np.maximum(begin - at, at - (begin + count - 1)) / 4, 0, 1)
    middle = _in(T_camera_world, verts_object).mean(axis=1)
    seen = project(middle[:, None], intrinsics)[:, 0]
    direction = np.array([np.cos(angle), np.sin(angle)])
    half = config.size / 2
    wanted = (half - (seen - half) @ direction) * rng.uniform(0.8, 1.0) * amount
    turn = np.arctan2(wanted, intrinsics[0])
    axis = np.array([direction[1], -direction[0], 0.0])
    rotation = rotvec_to_rotmat(_tensor(-turn[:, None] * axis))
    return rigid(rotation, torch.zeros(n, 3)) @ T_camera_world


def _centred_joints(hand: HandModel, angles: Tensor, betas: Tensor, T_camera_hand: Tensor) -> Float[Tensor, "n 21 3"]:
    joints = transform_points(T_camera_hand, hand.joints_only(hand.angles_to_pose(angles), betas))
    return joints - joints[:, 1:2]


def _choose_cameras(
    verts_hand: np.ndarray,
    verts_object: np.ndarray,
    faces: np.ndarray,
    is_object: np.ndarray,
    intrinsics: np.ndarray,
    config: FilmConfig,
    rng: np.random.Generator,
) -> Float[Tensor, "n 4 4"]:
    """Cameras around the scene from where the hand hides about as much of the object as is wanted."""
    n = len(verts_hand)
    verts = np.concatenate([verts_hand, verts_object], axis=1)
    target = verts.reshape(-1, 3).mean(axis=0)
    reach = float(np.linalg.norm(verts - target, axis=-1).max())
    distance = max(DISTANCE, 1.1 * reach * intrinsics[0] / intrinsics[2])
    probes = np.linspace(0, n - 1, min(4, n)).round().astype(int)
    small = intrinsics * 64 / config.size
    object_faces = faces[is_object] - verts_hand.shape[1]
    best: tuple[float, Tensor] | None = None
    for _ in range(VIEWS):
        azimuth, elevation = rng.uniform(0, 2 * np.pi), rng.uniform(-0.2, 0.9)
        cameras = _orbit(target, azimuth, elevation, distance, n, config.camera_motion, rng)
        shares = []
        for i in probes:
            alone = visible_faces(_in(cameras[i], verts_object[i]), object_faces, small, (64, 64)) >= 0
            face = visible_faces(_in(cameras[i], verts[i]), faces, small, (64, 64))
            shares.append(1 - ((face >= 0) & is_object[face]).sum() / max(alone.sum(), 1))
        miss = abs(float(np.mean(shares)) - config.occlusion)
        if best is None or miss < best[0]:
            best = (miss, cameras)
    assert best is not None
    return best[1]


def _orbit(
    target: np.ndarray,
    azimuth: float,
    elevation: float,
    distance: float,
    n: int,
    motion: float,
    rng: np.random.Generator,
) -> Float[Tensor, "n 4 4"]:
    """Cameras that look at a target and go around it by `motion` degrees, not quite steadily."""
    jitter = gaussian_filter(rng.normal(size=(n, 3)), (2, 0), mode="nearest") * np.radians(motion) * 0.1
    angle = azimuth + np.radians(motion) * np.linspace(-0.5, 0.5, n) + jitter[:, 0]
    height = elevation + jitter[:, 1]
    away = np.stack([np.cos(angle) * np.cos(height), np.sin(angle) * np.cos(height), np.sin(height)], axis=1)
    right = np.stack([-np.sin(angle), np.cos(angle), np.zeros(n)], axis=1)
    down = np.cross(-away, right)
    rotation = np.stack([right, down, -away], axis=1)
    place = target + distance * away + 0.1 * distance * jitter
    return rigid(_tensor(rotation), _tensor(-(rotation @ place[..., None])[..., 0]))


def _in(T: Tensor, points: np.ndarray) -> np.ndarray:
    return transform_points(T, _tensor(points)).numpy()


def _tensor(array: np.ndarray) -> Tensor:
    return torch.tensor(array, dtype=torch.float32)
