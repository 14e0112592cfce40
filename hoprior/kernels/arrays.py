"""What kernels are given, as tuples of arrays. They compute in double precision; grids are kept in single."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Int64
from torch import Tensor

from hoprior.hand import HandModel
from hoprior.hand.bones import BONE_ENDS, BONE_STARTS, FINGER_CHAINS, KNUCKLES
from hoprior.physics.bone_samples import BONE_SHARES, PALM_BONE_SHARES
from hoprior.physics.posed import SkinZones
from hoprior.physics.soft_tissue import FleshSpheres


class Grid(NamedTuple):
    """Values on a box of cells, x running fastest.

    `lower` and `upper` (m) are where the first and the last are, `per_metre` how many lie in a metre, and `last` the
    index of the last cell along x, y and z. Numbers, since numba counts who holds an array, at every look-up.
    """

    values: Float32[np.ndarray, " n"]
    lower: tuple[float, float, float]
    upper: tuple[float, float, float]
    per_metre: tuple[float, float, float]
    last: tuple[int, int, int]

    @classmethod
    def of(cls, values: Float[Tensor, "D H W"], lower: Float[Tensor, " 3"], upper: Float[Tensor, " 3"]) -> "Grid":
        """From the tensors of an `SdfGrid` or a `CavityGrid`."""
        cells = torch.tensor(values.shape[::-1]) - 1
        per_metre = cells / (upper.double() - lower.double())
        flat = values.float().contiguous().view(-1).numpy()
        return cls(flat, *(tuple(each.tolist()) for each in (lower, upper, per_metre, cells - 1)))


class Walls(NamedTuple):
    """An object: its signed distance, and how deep places are in its mouths, which bones keep out of if it has any."""

    distance: Grid
    depth: Grid
    has_mouths: bool


class Skin(NamedTuple):
    """A hand of V vertices that is skinned linearly, and what of it energies look at.

    Vertex v follows the bones `followed[starts[v]:starts[v + 1]]`; in the same rows `weighted` has its place at rest
    (x, y, z, 1) times each bone's weight. `bone_starts`, `followers` and `bone_weighted` are the same by bones: that of
    bone p is followed by `followers[bone_starts[p]:bone_starts[p + 1]]`. Sample points lie in bones, `share` of the way
    from one joint to another; the first `NUM_FINGER_SAMPLES` are the fingers', and each belongs to one of six bones'
    groups.
    """

    starts: Int64[np.ndarray, " V1"]
    followed: Int64[np.ndarray, " n"]
    weighted: Float64[np.ndarray, "n 4"]
    bone_starts: Int64[np.ndarray, " 17"]
    followers: Int64[np.ndarray, " n"]
    bone_weighted: Float64[np.ndarray, "n 4"]
    rest: Float64[np.ndarray, "16 3"]
    axes: Float64[np.ndarray, "15 3 3"]
    angle_low: Float64[np.ndarray, "15 3"]
    angle_high: Float64[np.ndarray, "15 3"]
    tips: Int64[np.ndarray, " 5"]
    palmar: Int64[np.ndarray, " p"]
    group_ids: Int64[np.ndarray, " q"]
    group_starts: Int64[np.ndarray, " 7"]
    sphere_skin: Int64[np.ndarray, " s"]
    sphere_opposite: Int64[np.ndarray, " s"]
    sphere_radius: Float64[np.ndarray, " s"]
    sample_from: Int64[np.ndarray, " 162"]
    sample_to: Int64[np.ndarray, " 162"]
    sample_share: Float64[np.ndarray, " 162"]
    sample_group: Int64[np.ndarray, " 162"]

    @classmethod
    def of(cls, hand: HandModel) -> "Skin":
        """The arrays of a hand of average shape, which must be skinned linearly, as `OpenHand` is."""
        zones, spheres = SkinZones(hand), FleshSpheres(hand)
        weights = real_array(hand.weights)
        vertex, bone = np.nonzero(weights)
        at_rest = np.concatenate([real_array(hand.v_template), np.ones((len(weights), 1))], axis=1)
        weighted = weights[vertex, bone, None] * at_rest[vertex]
        by_bone = np.argsort(bone, kind="stable")
        groups = [*zones.fingers, zones.palm]
        samples = _samples()
        return cls(
            starts=_starts(np.bincount(vertex, minlength=len(weights))),
            followed=bone.astype(np.uintp),
            weighted=weighted,
            bone_starts=_starts(np.bincount(bone, minlength=weights.shape[1])),
            followers=vertex[by_bone].astype(np.uintp),
            bone_weighted=weighted[by_bone],
            rest=real_array(hand.joints_template),
            axes=real_array(hand.axes),
            angle_low=real_array(hand.angle_low),
            angle_high=real_array(hand.angle_high),
            tips=_whole(hand.tip_ids),
            palmar=_whole(zones.palmar),
            group_ids=_whole(torch.cat(groups)),
            group_starts=_starts([len(ids) for ids in groups]),
            sphere_skin=_whole(spheres.skin),
            sphere_opposite=_whole(spheres.opposite_skin),
            sphere_radius=real_array(spheres.radius),
            sample_from=samples[:, 0].astype(np.int64),
            sample_to=samples[:, 1].astype(np.int64),
            sample_share=np.ascontiguousarray(samples[:, 2]),
            sample_group=samples[:, 3].astype(np.int64),
        )


class Weights(NamedTuple):
    """Of all terms of `ContactEnergy` and `FleshEnergy`, under the names that they have there; 0 leaves one out.

    touching, touch_gap, touch_softness are `FleshWeights.contact_*`; hold_position, hold_rotation and hold_angles those
    of `DescentConfig`.
    """

    penetration: float
    penetration_tolerance: float
    touching: float
    touch_gap: float
    touch_softness: float
    spheres: float
    compliance: float
    bones: float
    bone_radius: float
    hand: float
    hand_reach: float
    hand_gap: float
    fingers: float
    finger_reach: float
    press_depth: float
    balance: float
    limit: float
    spread: float
    coupling: float
    crossing: float
    crossing_distance: float
    hold_position: float
    hold_rotation: float
    hold_angles: float


class Slopes(NamedTuple):
    """Of priors, where the hands were when these were asked last: what they add to the energy's gradient."""

    T_object_hand: Float64[np.ndarray, "b 4 4"]
    joints_hand: Float64[np.ndarray, "b 21 3"]
    hand_pose: Float64[np.ndarray, "b 15 3"]

    @classmethod
    def none(cls, num: int) -> "Slopes":
        """Flat ones."""
        return cls(np.zeros((num, 4, 4)), np.zeros((num, 21, 3)), np.zeros((num, 15, 3)))


class Moving(NamedTuple):
    """b hands on their way: where they began, and what has changed since.

    `parameters` are 45 joint angles, the turn about the palm (rad) and the move (m); `first` and `second` Adam's
    moments of their gradients; `began_clear` tells which fingers, and the palm, were clear of walls at the start.
    """

    T_start: Float64[np.ndarray, "b 4 4"]
    angles_start: Float64[np.ndarray, "b 45"]
    parameters: Float64[np.ndarray, "b 51"]
    first: Float64[np.ndarray, "b 51"]
    second: Float64[np.ndarray, "b 51"]
    began_clear: Bool[np.ndarray, "b 6"]

    @classmethod
    def start(cls, angles: Float[Tensor, "b 15 3"], T_object_hand: Float[Tensor, "b 4 4"]) -> "Moving":
        """Hands that have not moved yet."""
        bent = real_array(angles.flatten(1))
        parameters = np.concatenate([bent, np.zeros((len(angles), 6))], axis=1)
        first, second = np.zeros_like(parameters), np.zeros_like(parameters)
        return cls(real_array(T_object_hand), bent, parameters, first, second, np.zeros((len(angles), 6), dtype=bool))


class Pace(NamedTuple):
    """Of a descent, as in `DescentConfig`: Adam's rates, the share of the hardness to begin with, and the guard."""

    steps: int
    rate_angles: float
    rate_turn: float
    rate_move: float
    soft_start: float
    guarded: bool
    clearance: float


def _samples() -> Float64[np.ndarray, "162 4"]:
    """For each of `BoneSamples.points`: the joints that it lies between, its share of the way, and its group."""
    rows = [
        (start, end, share, bone // 3)
        for bone, (start, end) in enumerate(zip(BONE_STARTS, BONE_ENDS, strict=True))
        for share in BONE_SHARES[bone % 3]
    ]
    rows += [(0, knuckle, share, len(FINGER_CHAINS)) for knuckle in KNUCKLES for share in PALM_BONE_SHARES]
    return np.array(rows, dtype=np.float64)


def real_array(tensor: Tensor) -> np.ndarray:
    """Its numbers in double precision."""
    # A copy: what a kernel is given nobody else changes, nor the other way round.
    return np.array(tensor.detach().numpy(), dtype=np.float64, order="C")


def _whole(tensor: Tensor) -> np.ndarray:
    return np.array(tensor.numpy(), dtype=np.int64)


def _starts(sizes: Sequence[int] | np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


class Light(NamedTuple):
    """What light pictures are taken in.

    Attributes:
        lamps: of each the direction from the surface, a unit vector in camera axes (x right, y up, z to the viewer),
            and its strength.
        ambient: light from everywhere.
        from_above: what the sky adds to it.
        shine: of highlights.
        sharpness: of them, an exponent.
    """

    lamps: Float64[np.ndarray, "m 4"]
    ambient: float
    from_above: float
    shine: float
    sharpness: int
