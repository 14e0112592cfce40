"""How well a clip was reconstructed: the object's shape, the hand's pose, and where one is to the other.

The protocol of DiffHOI (Ye et al., ICCV 2023), which G-HOP follows. Metres in; F-scores and AUC are shares, lengths
come out in cm and squared distances in cm², as the papers give them.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from hoprior.errors import HopriorError
from hoprior.geometry.rotations import similarity_registration

ALIGN_POINTS, ALIGN_STARTS, ALIGN_STEPS, ALIGN_SEED = 1_000, 10, 60, 123
POINTS = 10_000
PCK_LIMIT, PCK_STEPS = 0.05, 100
ROOT = 1
"""Joints are compared about the index finger's MCP."""


class Similarity(NamedTuple):
    """x -> scale * rotation @ x + translation.

    Example:
        >>> turn = Rotation.from_euler("z", 90, degrees=True).as_matrix()
        >>> Similarity(2.0, turn, np.array([0.0, 0.0, 1.0]))(np.array([[1.0, 0.0, 0.0]])).round(6)
        array([[0., 2., 1.]])
    """

    scale: float
    rotation: Float[np.ndarray, "3 3"]
    translation: Float[np.ndarray, " 3"]

    def __call__(self, points: Float[np.ndarray, "*n 3"]) -> Float[np.ndarray, "*n 3"]:
        """Points moved."""
        return self.scale * points @ self.rotation.T + self.translation


def fit_similarity(source: Float[np.ndarray, "n 3"], target: Float[np.ndarray, "n 3"]) -> Similarity:
    """The similarity that brings points nearest to their targets in the mean square (Umeyama 1991).

    Example:
        >>> corners = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
        >>> found = fit_similarity(corners, 2 * corners + [0.0, 0.0, 1.0])
        >>> round(found.scale, 6), found.translation.round(6) + 0.0
        (2.0, array([0., 0., 1.]))
    """
    rotation, translation, scale = similarity_registration(
        torch.from_numpy(np.asarray(source, dtype=float)),
        torch.from_numpy(np.asarray(target, dtype=float)),
    )
    return Similarity(float(scale), rotation.numpy(), translation.numpy())


def align(
    predicted: Float[np.ndarray, "n 3"], truth: Float[np.ndarray, "m 3"], starts: int = ALIGN_STARTS
) -> Similarity:
    """Scaled ICP of one surface's points to another's: the best of ten starts, the first as it is.

    Both are centred and brought to one size, each start is turned at random and refined by ICP on nearest neighbours
    both ways, at 1,000 points; kept is the one with the least two-way chamfer distance. Seeded.

    Raises:
        HopriorError: a surface without extent, or points that are not finite.

    Example:
        >>> cloud = np.random.default_rng(0).normal(size=(50, 3))
        >>> found = align(cloud, 3 * cloud + [0.0, 0.0, 1.0], starts=1)
        >>> round(float(found.scale), 6), bool(np.allclose(found(cloud), 3 * cloud + [0.0, 0.0, 1.0]))
        (3.0, True)
    """
    rng = np.random.default_rng(ALIGN_SEED)
    source, target = (points[rng.permutation(len(points))[:ALIGN_POINTS]] for points in (predicted, truth))
    if not (len(source) and len(target)):
        raise HopriorError("a surface to align has no points")
    if not (np.isfinite(source).all() and np.isfinite(target).all()):
        raise HopriorError("surfaces to align have points that are NaN or infinite")
    sizes = [np.linalg.norm(points - points.mean(axis=0), axis=1).mean() for points in (source, target)]
    if min(sizes) <= 0:
        raise HopriorError("surfaces to align have no extent: is a mesh empty?")
    tree = cKDTree(target)
    turns = [np.eye(3), *(Rotation.from_quat(rng.normal(size=4)).as_matrix() for _ in range(starts - 1))]
    best: tuple[float, Similarity] | None = None
    for rotation in turns:
        scale = sizes[1] / sizes[0]
        found = Similarity(scale, rotation, target.mean(axis=0) - scale * rotation @ source.mean(axis=0))
        last = np.inf
        for _ in range(ALIGN_STEPS):
            moved = found(source)
            forward, nearest = tree.query(moved)
            backward, nearest_back = cKDTree(moved).query(target)
            error = float((forward**2).mean() + (backward**2).mean())
            if best is None or error < best[0]:
                best = (error, found)
            if last - error < 1e-4 * error:
                break
            last = error
            found = fit_similarity(
                np.concatenate([source, source[nearest_back]]), np.concatenate([target[nearest], target])
            )
    assert best is not None
    return best[1]


class SurfaceErrors(NamedTuple):
    """Two surfaces compared; F-scores at 5 and 10 mm, chamfer distance in cm² and, not squared, in cm."""

    f5: float
    f10: float
    cd_cm2: float
    cd_cm: float


def surface_errors(predicted: Float[np.ndarray, "n 3"], truth: Float[np.ndarray, "m 3"]) -> SurfaceErrors:
    """F-scores, and mean distances both ways, squared and plain, of points on two surfaces (m).

    `F = 2 P R / (P + R)`, where `P = mean_x [d(x, Y) < limit]` and `R = mean_y [d(y, X) < limit]`;
    `CD = mean_x d(x, Y)² + mean_y d(y, X)²`, and in cm `(mean_x d(x, Y) + mean_y d(y, X)) / 2`.

    Example:
        >>> flat = np.stack([*np.mgrid[0:0.1:0.01, 0:0.1:0.01].reshape(2, -1), np.zeros(100)], axis=1)
        >>> errors = surface_errors(flat + [0.0, 0.0, 0.008], flat)  # 8 mm above: 0.64 cm² each way
        >>> errors.f5, errors.f10, round(errors.cd_cm2, 3), round(errors.cd_cm, 3)
        (0.0, 1.0, 1.28, 0.8)
    """
    to_truth, _ = cKDTree(truth).query(predicted)
    to_predicted, _ = cKDTree(predicted).query(truth)
    f5, f10 = (_f_score(to_truth, to_predicted, limit) for limit in (0.005, 0.010))
    squared = float((to_truth**2).mean() + (to_predicted**2).mean())
    return SurfaceErrors(f5, f10, 1e4 * squared, 50 * float(to_truth.mean() + to_predicted.mean()))


def one_way_cm2(truth: Float[np.ndarray, "m 3"], predicted: Float[np.ndarray, "n 3"]) -> float:
    """Mean squared distance from points of the truth to the nearest predicted one, cm²; NaN without points.

    `mean_y min_x |y - x|²`.

    Example:
        >>> one_way_cm2(np.zeros((1, 3)), np.array([[0.02, 0.0, 0.0], [1.0, 0.0, 0.0]]))  # the nearest is 2 cm away
        4.0
    """
    if not len(truth):
        return float("nan")
    return 1e4 * float((cKDTree(predicted).query(truth)[0] ** 2).mean())


class JointErrors(NamedTuple):
    """Mean errors of the joints, cm: about the root, also with the best scale, also with the best similarity; AUC."""

    mpjpe_cm: float
    mpjpe_scaled_cm: float
    mpjpe_pa_cm: float
    auc: float


def joint_errors(predicted: Float[np.ndarray, "n 21 3"], truth: Float[np.ndarray, "n 21 3"]) -> JointErrors:
    """Errors of n hands' joints (m, one frame's axes); AUC is of the share of joints within 0 to 5 cm, raw.

    `MPJPE = mean_j |x_j - y_j|` once both roots are the origin, and once x has been scaled, or moved by a similarity,
    to fit y best.

    Example:
        >>> joints = np.random.default_rng(0).normal(size=(1, 21, 3))
        >>> errors = joint_errors(1.5 * joints + 0.3, joints)  # elsewhere, and too large
        >>> errors.mpjpe_cm > 0, round(errors.mpjpe_scaled_cm, 6), round(errors.mpjpe_pa_cm, 6)
        (True, 0.0, 0.0)
    """
    centred, target = (joints - joints[:, ROOT : ROOT + 1] for joints in (predicted, truth))
    raw = np.linalg.norm(centred - target, axis=-1)
    scaled, procrustes = [], []
    for one, other in zip(predicted, truth, strict=True):
        a, b = one - one.mean(axis=0), other - other.mean(axis=0)
        scaled.append(np.linalg.norm(a * (a * b).sum() / (a * a).sum() - b, axis=-1))
        procrustes.append(np.linalg.norm(fit_similarity(one, other)(one) - other, axis=-1))
    limits = np.linspace(0, PCK_LIMIT, PCK_STEPS)
    pck = (raw.reshape(-1, 1) <= limits).mean(axis=0)
    auc = float((pck[1:] + pck[:-1]).mean() / 2)
    return JointErrors(100 * float(raw.mean()), 100 * float(np.mean(scaled)), 100 * float(np.mean(procrustes)), auc)


def relation_cm2(
    predicted: Float[np.ndarray, "n 3"],
    truth: Float[np.ndarray, "m 3"],
    T_hand_predicted: Float[np.ndarray, "t 4 4"],
    T_hand_truth: Float[np.ndarray, "t 4 4"],
) -> float:
    """CD_h: the chamfer distance (cm²) of the object in the hand's frame, not aligned, mean over t frames.

    `mean_t CD(T_hand_predicted[t] x, T_hand_truth[t] y)`.

    Example:
        >>> T = np.eye(4)
        >>> T[0, 3] = 0.01  # the object is 1 cm too far from the hand: 1 cm² each way
        >>> round(relation_cm2(np.zeros((1, 3)), np.zeros((1, 3)), T[None], np.eye(4)[None]), 6)
        2.0
    """
    found = [
        surface_errors(predicted @ T[:3, :3].T + T[:3, 3], truth @ U[:3, :3].T + U[:3, 3]).cd_cm2
        for T, U in zip(T_hand_predicted, T_hand_truth, strict=True)
    ]
    return float(np.mean(found))


class MotionErrors(NamedTuple):
    """How far an object's motion in the hand is from the true one: turns in degrees, the place of its middle in cm."""

    motion_deg: float
    motion_cm: float


def motion_errors(
    T_hand_predicted: Float[np.ndarray, "t 4 4"],
    T_hand_truth: Float[np.ndarray, "t 4 4"],
    middle: Float[np.ndarray, " 3"],
) -> MotionErrors:
    """Mean errors of an object's poses in the hand, whatever frame of its own the object was given.

    Args:
        T_hand_predicted, T_hand_truth: object to hand, the objects' frames differing by one unknown rigid transform; it
            is taken as the one that brings all poses nearest to each other.
        middle: of the true object, in its frame (m).

    Example:
        >>> still, slid = np.stack([np.eye(4)] * 2), np.stack([np.eye(4)] * 2)
        >>> slid[1, 0, 3] = 0.02  # in truth it slides by 2 cm, which the prediction lacks: 1 cm off in each frame
        >>> [round(error, 3) for error in motion_errors(still, slid, np.zeros(3))]
        [0.0, 1.0]
    """
    turned, true = T_hand_predicted[:, :3, :3], T_hand_truth[:, :3, :3]
    u, _, vt = np.linalg.svd(np.einsum("tij,tik->jk", turned, true))
    between = u @ np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))]) @ vt
    away = Rotation.from_matrix(np.swapaxes(turned @ between, 1, 2) @ true).magnitude()
    place = true @ middle + T_hand_truth[:, :3, 3]
    own = np.einsum("tij,ti->tj", turned, place - T_hand_predicted[:, :3, 3]).mean(axis=0)
    missed = turned @ own + T_hand_predicted[:, :3, 3] - place
    return MotionErrors(float(np.degrees(away).mean()), 100 * float(np.linalg.norm(missed, axis=1).mean()))


def _f_score(to_truth: np.ndarray, to_predicted: np.ndarray, limit: float) -> float:
    precision, recall = float((to_truth < limit).mean()), float((to_predicted < limit).mean())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0
