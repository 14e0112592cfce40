"""What reconstruction solves for: one object's signed distances, and a hand and the object's place in each frame."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
import trimesh
from jaxtyping import Float
from torch import Tensor, nn

from hoprior.datasets.clips.clip import Clip
from hoprior.geometry.isosurface import extract_surface
from hoprior.geometry.lookup import resized, trilinear_distance
from hoprior.geometry.regions import large_parts
from hoprior.geometry.rotations import rotmat_to_rotvec, rotvec_to_rotmat
from hoprior.geometry.sdf import SdfGrid
from hoprior.geometry.state import transform_points
from hoprior.geometry.transforms import invert, rotate_about
from hoprior.hand import HandModel
from hoprior.hand.landmarks import HAND_CENTRE
from hoprior.hand.pose import HandOutput
from hoprior.kernels.choice import why_none

CRUMB_SHARE = 0.1
"""Parts of a surface with less of the largest part's volume are crumbs."""
NEAREST_SEEN = 0.05
"""Depth (m) at which points are seen that are nearer to the camera."""
COARSENING = (8, 4, 2, 1)
"""Cells of the levels of the distances' pyramid, in cells of the finest."""
SMOOTHING, SMOOTHINGS = 0.5, 6
"""How far vertices move to their neighbours' mean, and how often (Taubin 1995)."""


@dataclass(frozen=True)
class PosedScene:
    """The scene at some of its frames: hands in their own frame, and the transforms between the frames."""

    hand: HandOutput
    T_camera_hand: Float[Tensor, "b 4 4"]
    T_hand_object: Float[Tensor, "b 4 4"]
    intrinsics: Float[Tensor, "b 4"]
    hand_pose: Float[Tensor, "b 15 3"]
    """How the fingers are bent: axis-angle from the flat hand, radians."""

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

    Corrections start at zero. Rotations turn about the middle of the hand, and of the object's box. A known object has
    a frame of its own, which `T_hand_object_start` takes to the hand's.
    """

    lower: Tensor
    upper: Tensor
    base: Tensor
    angles_start: Tensor
    betas_start: Tensor
    T_camera_hand_start: Tensor
    intrinsics_start: Tensor
    T_hand_object_start: Tensor

    def __init__(self, clip: Clip, model: HandModel) -> None:
        super().__init__()
        n = len(clip)
        self.model = model
        angles = model.pose_to_angles(clip.hand_pose.hand_pose).clamp(model.angle_low, model.angle_high)
        self.register_buffer("angles_start", angles)
        self.register_buffer("betas_start", clip.hand_pose.betas.mean(dim=0))
        self.register_buffer("T_camera_hand_start", clip.T_camera_hand)
        self.register_buffer("intrinsics_start", clip.intrinsics)
        self.register_buffer("T_hand_object_start", torch.eye(4).repeat(n, 1, 1))
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
        self,
        values: Float[Tensor, "D H W"],
        lower: Float[Tensor, " 3"],
        upper: Float[Tensor, " 3"],
        rigid: bool = False,
    ) -> None:
        """Puts an object's signed distances (metres, (z, y, x)) into the box between two corners of its frame.

        The object's place in each frame stays, though it turns about another point now: the middle of its new box. A
        `rigid` one is not fitted.
        """
        with torch.no_grad():
            moved = (lower + upper - self.lower - self.upper) / 2
            self.object_shift.add_(moved @ rotvec_to_rotmat(self.object_turn).mT - moved)
        self.base, self.lower, self.upper = values, lower, upper
        if rigid:
            self.levels = nn.ParameterList()
            return
        shapes = [tuple(max(2, -(-size // coarse)) for size in values.shape) for coarse in COARSENING]
        device = values.device
        self.levels = nn.ParameterList([nn.Parameter(torch.zeros(1, 1, *shape, device=device)) for shape in shapes])

    def distances(self) -> Float[Tensor, "D H W"]:
        """The object's signed distances on the box's grid: coarse levels move it as a whole, fine ones give detail."""
        values = self.base
        for level in self.levels:
            values = values + resized(level[0, 0], (values.shape[0], values.shape[1], values.shape[2]))
        return values

    def sdf(self, values: Float[Tensor, "D H W"], points: Float[Tensor, "b n 3"]) -> Float[Tensor, "b n"]:
        """Signed distance at points of the object's frame, from what `distances` gave; beyond the box it grows."""
        if values.device.type == "cpu" and why_none() is None:
            from hoprior.kernels.fields import DistanceAt

            found: Tensor = DistanceAt.apply(values, self.lower, self.upper, points.reshape(-1, 3))
            return found.reshape(points.shape[:-1])
        half = (self.upper - self.lower) / 2
        unit = (points.reshape(1, -1, 3) - self.lower) / half - 1
        return trilinear_distance(values[None, None], unit, half).reshape(points.shape[:-1])

    def grid(self, values: Float[Tensor, "D H W"]) -> SdfGrid:
        """Distances as priors look at a whole object."""
        return SdfGrid(values, self.lower, self.upper)

    @property
    def cell(self) -> float:
        """Size of a cell of the finest level, metres."""
        return float(self.upper[0] - self.lower[0]) / (self.base.shape[2] - 1)

    def hand_angles(self) -> Float[Tensor, "n 15 3"]:
        """Twist, flexion and abduction of the fingers."""
        return self.angles_start + self.angles

    def place(self, index: Tensor | slice = slice(None), mesh: bool = True) -> PosedScene:
        """The scene at the frames `index`; without `mesh` the hands have joints only."""
        angles = self.hand_angles()[index]
        pose, betas = self.model.angles_to_pose(angles), (self.betas_start + self.betas).expand(len(angles), 10)
        if mesh:
            hand = self.model(pose, betas)
        else:
            hand = HandOutput(pose.new_zeros(len(angles), 0, 3), self.model.joints_only(pose, betas))
        # About its middle, a turn and a shift of the hand mean different things to a picture.
        centre = pose.new_tensor(HAND_CENTRE)
        middle = (self.lower + self.upper) / 2
        intrinsics = self.intrinsics_start[index]
        return PosedScene(
            hand,
            self.T_camera_hand_start[index] @ rotate_about(centre, self.hand_turn[index], self.hand_shift[index]),
            self.T_hand_object_start[index] @ rotate_about(middle, self.object_turn[index], self.object_shift[index]),
            torch.cat([intrinsics[:, :2] * self.log_focal.exp(), intrinsics[:, 2:]], dim=1),
            pose,
        )

    @torch.no_grad()
    def put(self, T_camera_hand: Float[Tensor, "n 4 4"], T_hand_object: Float[Tensor, "n 4 4"]) -> None:
        """Places hands and object; how the object then moves in the hand is what its corrections start from."""
        centre, T = T_camera_hand.new_tensor(HAND_CENTRE), invert(self.T_camera_hand_start) @ T_camera_hand
        self.hand_turn.copy_(rotmat_to_rotvec(T[:, :3, :3]))
        self.hand_shift.copy_(T[:, :3, 3] - centre + T[:, :3, :3] @ centre)
        self.T_hand_object_start = T_hand_object
        self.object_turn.zero_()
        self.object_shift.zero_()

    def corrections(self) -> Float[Tensor, "n 4 4"]:
        """How each frame's object differs from where it was taken to be in the hand, in the object's frame."""
        return rotate_about((self.lower + self.upper) / 2, self.object_turn, self.object_shift)

    def mesh(self) -> trimesh.Trimesh:
        """The object's surface in its frame; crumbs are left out.

        Raises:
            HopriorError: there is no surface in the box.
        """
        values = F.pad(self.distances().detach()[None, None], (1,) * 6, value=self.cell)[0, 0]
        found = extract_surface(values.cpu().numpy(), tuple((self.lower - self.cell).tolist()), self.cell)
        # Marching cubes leaves the cells' steps, at rims most of all; this shrinks nothing.
        whole = large_parts(found, CRUMB_SHARE)
        return trimesh.smoothing.filter_taubin(whole, lamb=SMOOTHING, nu=SMOOTHING + 0.02, iterations=SMOOTHINGS)
