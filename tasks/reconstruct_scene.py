"""What reconstruction solves for: one object's signed distances, and a hand and the object's place in each frame."""

from dataclasses import dataclass

import numpy as np
import roma
import torch
import torch.nn.functional as F
import trimesh
from jaxtyping import Float
from scipy.ndimage import distance_transform_edt, label
from torch import Tensor, nn

from hoprior.datasets.clip import CROP_SIZE, Clip
from hoprior.errors import HopriorError
from hoprior.geometry.isosurface import extract_surface
from hoprior.geometry.sdf import signed_distance
from hoprior.hand import HandModel
from hoprior.hand.pose import HandOutput
from hoprior.rendering.soft import FAR, splat_mask
from hoprior.state import rigid, transform_points

HAND_CENTRE = (0.09, 0.0, 0.02)
"""About where a hand is turned (hand frame, m): its rotation and its place then mean different things to a picture."""
SEARCH_EXTENT = 0.30
"""Half the side of the cube around the hand in which the object is looked for, metres."""
SEARCH_RESOLUTION = 56
BOX_MARGIN = 0.03
"""Free space around the first guess of the object, metres."""
HAND_MARGIN = 0.004
"""The hand's inside is taken out of the first guess, but for a skin so thick (m): estimated fingers cut through it."""
HAND_CELL = 4
"""Pixels of a crop in one of the hand's depth as carving uses it: its triangles are about as large."""
FRONT_MARGIN = 0.008
"""Depth (m) by which a point has to be before the seen hand to be known to be air."""
COARSENING = (8, 4, 2, 1)
"""Cells of the levels of the distances' pyramid, in cells of the finest."""
OUTSIDE_QUANTILE, SEEN_QUANTILE = 0.95, 0.06
"""A point is outside if a twentieth of the frames put it beside the masks; as many must have it in the object's."""


@dataclass(frozen=True)
class Placed:
    """The scene at some of its frames: hands in their own frame, and the transforms between the frames."""

    hand: HandOutput
    T_camera_hand: Float[Tensor, "b 4 4"]
    T_hand_object: Float[Tensor, "b 4 4"]
    intrinsics: Float[Tensor, "b 4"]

    @property
    def T_object_camera(self) -> Float[Tensor, "b 4 4"]:
        """From the camera's frame into the object's."""
        return invert(self.T_camera_hand @ self.T_hand_object)

    @property
    def joints_camera(self) -> Float[Tensor, "b 21 3"]:
        """The hands' joints before the camera."""
        return transform_points(self.T_camera_hand, self.hand.joints)

    @property
    def verts_camera(self) -> Float[Tensor, "b v 3"]:
        """The hands' vertices before the camera."""
        return transform_points(self.T_camera_hand, self.hand.verts)


class Scene(nn.Module):
    """n frames of a right hand with an object. The object's frame is the hand's, up to `object_*` of each frame.

    Corrections start at zero. Rotations turn about the middle of the hand, and of the object's box.
    """

    lower: Tensor
    upper: Tensor
    base: Tensor
    angles_start: Tensor
    betas_start: Tensor
    T_camera_hand_start: Tensor
    intrinsics_start: Tensor

    def __init__(self, clip: Clip, model: HandModel) -> None:
        super().__init__()
        n = len(clip)
        self.model = model
        angles = model.pose_to_angles(clip.hand_pose.hand_pose).clamp(model.angle_low, model.angle_high)
        self.register_buffer("angles_start", angles)
        self.register_buffer("betas_start", clip.hand_pose.betas.mean(dim=0))
        self.register_buffer("T_camera_hand_start", clip.T_camera_hand)
        self.register_buffer("intrinsics_start", clip.intrinsics)
        self.angles = nn.Parameter(torch.zeros(n, 15, 3))
        self.betas = nn.Parameter(torch.zeros(10))
        self.hand_turn, self.hand_shift = nn.Parameter(torch.zeros(n, 3)), nn.Parameter(torch.zeros(n, 3))
        self.object_turn, self.object_shift = nn.Parameter(torch.zeros(n, 3)), nn.Parameter(torch.zeros(n, 3))
        self.log_focal = nn.Parameter(torch.zeros(()))
        self.levels = nn.ParameterList()
        self.register_buffer("base", torch.zeros(2, 2, 2))
        self.register_buffer("lower", torch.zeros(3))
        self.register_buffer("upper", torch.ones(3))

    def __len__(self) -> int:
        return len(self.angles)

    def set_object(
        self, values: Float[Tensor, "D H W"], lower: Float[Tensor, " 3"], upper: Float[Tensor, " 3"]
    ) -> None:
        """Puts an object's signed distances (metres, (z, y, x)) into the box between two corners of its frame."""
        self.base, self.lower, self.upper = values, lower, upper
        shapes = [tuple(max(2, -(-size // coarse)) for size in values.shape) for coarse in COARSENING]
        device = values.device
        self.levels = nn.ParameterList([nn.Parameter(torch.zeros(1, 1, *shape, device=device)) for shape in shapes])

    def distances(self) -> Float[Tensor, "D H W"]:
        """The object's signed distances on the box's grid: coarse levels move it as a whole, fine ones give detail."""
        values = self.base[None, None]
        for level in self.levels:
            values = values + F.interpolate(level, size=self.base.shape, mode="trilinear", align_corners=True)
        return values[0, 0]

    def sdf(self, values: Float[Tensor, "D H W"], points: Float[Tensor, "b n 3"]) -> Float[Tensor, "b n"]:
        """Signed distance at points of the object's frame, from what `distances` gave; beyond the box it grows."""
        unit = 2 * (points - self.lower) / (self.upper - self.lower) - 1
        boxed = unit.clamp(-1, 1)
        inside = F.grid_sample(
            values[None, None], boxed.reshape(1, -1, 1, 1, 3), align_corners=True, padding_mode="border"
        ).reshape(points.shape[:-1])
        return inside + ((unit - boxed) * (self.upper - self.lower) / 2).norm(dim=-1)

    @property
    def cell(self) -> float:
        """Size of a cell of the finest level, metres."""
        return float(self.upper[0] - self.lower[0]) / (self.base.shape[2] - 1)

    def hand_angles(self) -> Float[Tensor, "n 15 3"]:
        """Twist, flexion and abduction of the fingers."""
        return self.angles_start + self.angles

    def place(self, index: Tensor | slice = slice(None), mesh: bool = True) -> Placed:
        """The scene at the frames `index`; without `mesh` the hands have joints only."""
        angles = self.hand_angles()[index]
        pose, betas = self.model.angles_to_pose(angles), (self.betas_start + self.betas).expand(len(angles), 10)
        if mesh:
            hand = self.model(pose, betas)
        else:
            hand = HandOutput(pose.new_zeros(len(angles), 0, 3), self.model.joints_only(pose, betas))
        centre = pose.new_tensor(HAND_CENTRE)
        middle = (self.lower + self.upper) / 2
        intrinsics = self.intrinsics_start[index]
        return Placed(
            hand,
            self.T_camera_hand_start[index] @ about(centre, self.hand_turn[index], self.hand_shift[index]),
            about(middle, self.object_turn[index], self.object_shift[index]),
            torch.cat([intrinsics[:, :2] * self.log_focal.exp(), intrinsics[:, 2:]], dim=1),
        )

    def mesh(self) -> trimesh.Trimesh:
        """The object's surface in its frame; crumbs with less than a tenth of the largest part's volume are left out.

        Raises:
            HopriorError: there is no surface in the box.
        """
        values = F.pad(self.distances().detach()[None, None], (1,) * 6, value=self.cell)[0, 0]
        found = extract_surface(values.cpu().numpy(), tuple((self.lower - self.cell).tolist()), self.cell)
        parts = found.split(only_watertight=False)
        volumes = np.abs([part.volume for part in parts])
        kept = [part for part, volume in zip(parts, volumes, strict=True) if volume > 0.1 * volumes.max()]
        joined = trimesh.util.concatenate(kept)
        assert isinstance(joined, trimesh.Trimesh)
        return joined


def about(
    centre: Float[Tensor, " 3"], turn: Float[Tensor, "b 3"], shift: Float[Tensor, "b 3"]
) -> Float[Tensor, "b 4 4"]:
    """Turns by axis-angles about a point, then moves."""
    rotation = roma.rotvec_to_rotmat(turn)
    return rigid(rotation, centre + shift - rotation @ centre)


def invert(T: Float[Tensor, "b 4 4"]) -> Float[Tensor, "b 4 4"]:
    """The inverse of rigid transforms."""
    rotation = T[:, :3, :3].mT
    return rigid(rotation, -(rotation @ T[:, :3, 3:])[..., 0])


@torch.no_grad()
def carve(clip: Clip, scene: Scene, resolution: int) -> None:
    """The object's first guess: what the masks leave of space, as distances, with the hand taken out of it.

    Distances in a picture, times depth over focal length, bound distances in space. A point lies outside by the
    distance that one frame in twenty puts it beside the union of both masks; and as far from the object as it is from
    its mask in the frames that show it best. Masks and poses that err a little blur this, and do not empty it.

    Raises:
        HopriorError: nothing is left: the masks do not overlap where the hands are.
    """
    placed = scene.place()
    centre = torch.tensor(HAND_CENTRE)
    axis = torch.linspace(-SEARCH_EXTENT, SEARCH_EXTENT, SEARCH_RESOLUTION)
    size = CROP_SIZE // HAND_CELL
    depth = splat_mask(placed.verts_camera, scene.model.faces, placed.intrinsics / HAND_CELL, size).depth
    coarse = _hull(clip, placed, depth, _lattice([axis + c for c in centre]))
    inside = coarse < 0
    if not inside.any():
        raise HopriorError(
            f"{clip.name}: no place is inside the object's masks in enough frames: do masks, cameras and hand estimates"
            " belong together?"
        )
    points = _lattice([axis + c for c in centre])[inside]
    low, high = points.amin(dim=0) - BOX_MARGIN, points.amax(dim=0) + BOX_MARGIN
    cell = float((high - low).prod()) ** (1 / 3) / resolution
    counts = ((high - low) / cell).ceil().long() + 1
    high = low + cell * (counts - 1)
    axes = [torch.linspace(float(low[k]), float(high[k]), int(counts[k])) for k in range(3)]
    lattice = _lattice(axes)
    hull = _hull(clip, placed, depth, lattice)
    middle = len(clip) // 2
    hand = trimesh.Trimesh(
        transform_points(invert(placed.T_hand_object), placed.hand.verts)[middle].numpy(),
        scene.model.faces.numpy(),
        process=False,
    )
    to_hand = torch.from_numpy(signed_distance(hand, lattice.numpy())).float()
    values = torch.maximum(hull, -HAND_MARGIN - to_hand).clamp(-0.05, 0.05).reshape(*counts.flip(0).tolist())
    scene.set_object(_largest(_smoothed(values)), low, high)


def _hull(
    clip: Clip, placed: Placed, hand_depth: Float[Tensor, "n s s"], points: Float[Tensor, "p 3"]
) -> Float[Tensor, " p"]:
    """Signed distances (m) of points to the robust visual hull; `hand_depth` is the hands', `FAR` beside them."""
    size = clip.object_mask.shape[-1]
    outside: list[Tensor] = []
    unseen: list[Tensor] = []
    for i in clip.has_object.nonzero()[:, 0].tolist():
        camera = transform_points(invert(placed.T_object_camera[i : i + 1])[0], points)
        depth = camera[:, 2:].clamp(min=0.05)
        pixel = camera[:, :2] / depth * placed.intrinsics[i, :2] + placed.intrinsics[i, 2:]
        unit = (pixel / size * 2 - 1)[None, None]
        metres = depth[:, 0] / placed.intrinsics[i, 0]
        beyond = ((unit - unit.clamp(-1, 1)) * size / 2).norm(dim=-1)[0, 0]
        held, hand = clip.object_mask[i], clip.hand_mask[i]
        edges = torch.stack([picture_distance(mask) for mask in (torch.maximum(held, hand), held, hand * (1 - held))])
        found = F.grid_sample(edges[None], unit, padding_mode="border", align_corners=False)[0, :, 0]
        either, own, by_hand = (found + beyond) * metres
        if clip.has_hand[i]:
            behind = F.grid_sample(hand_depth[i][None, None], unit, mode="nearest", align_corners=False)[0, 0, 0]
            # Where the hand is seen, what is before it is air.
            before = torch.where((behind > 0) & (behind < FAR / 2), behind - camera[:, 2] - FRONT_MARGIN, -FAR)
            either = torch.maximum(either, torch.minimum(-by_hand, before))
        outside.append(either)
        unseen.append(own)
    bound = torch.stack(outside).quantile(OUTSIDE_QUANTILE, dim=0)
    return torch.maximum(bound, torch.stack(unseen).quantile(SEEN_QUANTILE, dim=0))


def picture_distance(mask: Float[Tensor, "h w"]) -> Float[Tensor, "h w"]:
    """Signed distance to a mask's edge, pixels, negative inside."""
    inside = mask.numpy() > 0.5
    if not inside.any():
        return torch.full_like(mask, float(max(mask.shape)))
    return torch.from_numpy(distance_transform_edt(~inside) - distance_transform_edt(inside)).float()


def _lattice(axes: list[Tensor]) -> Float[Tensor, "p 3"]:
    """Points of a box whose x, y, z are `axes`, in the order of a flattened (z, y, x) tensor."""
    z, y, x = torch.meshgrid(axes[2], axes[1], axes[0], indexing="ij")
    return torch.stack([x, y, z], dim=-1).reshape(-1, 3)


def _smoothed(values: Float[Tensor, "D H W"]) -> Float[Tensor, "D H W"]:
    padded = F.pad(values[None, None], (1,) * 6, mode="replicate")
    return F.avg_pool3d(padded, 3, stride=1)[0, 0]


def _largest(values: Float[Tensor, "D H W"]) -> Float[Tensor, "D H W"]:
    """Distances in which only the largest connected part is inside; the others' cells become just outside."""
    parts, count = label(values.numpy() < 0)
    if count < 2:
        return values
    kept = 1 + int(np.bincount(parts.ravel())[1:].argmax())
    return torch.where(torch.from_numpy((parts > 0) & (parts != kept)), 0.002, values)
