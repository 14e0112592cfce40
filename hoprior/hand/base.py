"""The one interface of all hand models: a skinned hand in the hand frame, with anatomical axes and joint limits.

Hand frame: wrist at the origin, +x to the middle MCP, +z out of the palm, so a right hand's thumb is at -y.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal, cast

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from hoprior.errors import HopriorError
from hoprior.geometry.rotations import rotvec_to_rotmat
from hoprior.hand.joint_order import PARENTS
from hoprior.hand.kinematics import forward_kinematics
from hoprior.hand.limits import ANGLE_HIGH, ANGLE_LOW, HOLDING, RELAXED
from hoprior.hand.pose import HandOutput, mirror_points, mirror_rotvec

Side = Literal["right", "left"]

# Vertices that touch what a hand holds, on the flat hand. A finger's pad looks out of the palm; the thumb's last two
# bones are turned sideways, so their pads are cut looser; the palm leaves out the wrist.
PAD_NORMAL_Z = 0.2
THUMB_PAD_NORMAL_Z = -0.2
PALM_NORMAL_Z = 0.6
PALM_START_X = 0.04


@dataclass(frozen=True)
class HandTemplate:
    """The arrays that define a hand model, in the hand frame, metres.

    `axes` rows are twist (along the bone), flexion (> 0 towards the palm) and abduction, for the 15 finger joints.
    """

    v_template: Float[Tensor, "v 3"]
    faces: Int[Tensor, "f 3"]
    weights: Float[Tensor, "v 16"]
    joints: Float[Tensor, "16 3"]
    shapedirs: Float[Tensor, "v 3 10"]
    joint_shapedirs: Float[Tensor, "16 3 10"]
    tip_ids: Int[Tensor, "5"]
    axes: Float[Tensor, "15 3 3"]

    def mirrored(self) -> "HandTemplate":
        """The other hand: everything in the mirror y -> -y, faces turned so that they still look outwards."""
        return HandTemplate(
            v_template=mirror_points(self.v_template),
            faces=self.faces.flip(-1),
            weights=self.weights,
            joints=mirror_points(self.joints),
            shapedirs=mirror_points(self.shapedirs.mT).mT,
            joint_shapedirs=mirror_points(self.joint_shapedirs.mT).mT,
            tip_ids=self.tip_ids,
            axes=mirror_rotvec(self.axes),
        )


class HandModel(nn.Module, ABC):
    """A hand: parameters in, mesh and 21 joints out; batched and differentiable. All tensors are buffers.

    `T_hand_model` maps the frame of the model's own file into the hand frame; everything else here is in the hand
    frame. `angle_low` and `angle_high` are safe ranges in the coordinates of `axes`, the same for both sides.

    Attributes:
        name, side: "open" or "mano", or another; "right" or "left".
        parents: of each of the 16 joints that turn, the one before it; -1 of the wrist.
        v_template: vertices of the flat average hand (v, 3), m.
        faces: of them, wound outwards (f, 3).
        weights: skinning weights of the vertices (v, 16).
        joints_template: the 16 joints of the flat average hand (16, 3), m.
        shapedirs, joint_shapedirs: what one unit of each beta moves (v, 3, 10), (16, 3, 10), m.
        tip_ids: vertices that are the five fingertips (5,).
        axes: of the finger joints' angles: twist, abduction or flexion (15, 3, 3), unit vectors.
        angle_low, angle_high, relaxed_angles, holding_angles: the angles' ranges, those of a hand at rest, and those of
            one that holds something (15, 3), rad.
        vertex_part: the joint that moves a vertex most (v,).
        vertex_normals: of the flat hand (v, 3), unit vectors.
        pad_ids, palm_ids: vertices of the fingers' pads (p,) and of the palm (q,).

    Example:
        >>> from hoprior.hand import HandPose, load_hand
        >>> hand, flat = load_hand(), HandPose.zeros(2)
        >>> hand(flat.hand_pose).joints.shape, hand.mirrored().side
        (torch.Size([2, 21, 3]), 'left')
    """

    name: str
    side: Side
    source: str
    """The file, or the class, that the arrays are from."""
    source_side: Side
    """Of the hand in there: the model may be its mirror image."""
    parents: tuple[int, ...] = PARENTS
    v_template: Tensor
    faces: Tensor
    weights: Tensor
    joints_template: Tensor
    shapedirs: Tensor
    joint_shapedirs: Tensor
    tip_ids: Tensor
    axes: Tensor
    angle_low: Tensor
    angle_high: Tensor
    relaxed_angles: Tensor
    holding_angles: Tensor
    vertex_part: Tensor
    vertex_normals: Tensor
    pad_ids: Tensor
    palm_ids: Tensor
    T_hand_model: Tensor
    betas: Tensor
    """The shape (10,) that the hand has where none is given; shapes that are given add to it."""
    size: float = 1.0
    """The length of that hand over the average one's."""

    def __init__(
        self, name: str, side: Side, template: HandTemplate, T_hand_model: Float[Tensor, "4 4"] | None = None
    ) -> None:
        super().__init__()
        self.name, self.side = name, side
        self.source, self.source_side = type(self).__name__, side
        self._buffer("v_template", template.v_template)
        self._buffer("faces", template.faces)
        self._buffer("weights", template.weights)
        self._buffer("joints_template", template.joints)
        self._buffer("shapedirs", template.shapedirs)
        self._buffer("joint_shapedirs", template.joint_shapedirs)
        self._buffer("tip_ids", template.tip_ids)
        self._buffer("axes", template.axes)
        self._buffer("angle_low", torch.tensor(ANGLE_LOW))
        self._buffer("angle_high", torch.tensor(ANGLE_HIGH))
        self._buffer("relaxed_angles", torch.tensor(RELAXED))
        self._buffer("holding_angles", torch.tensor(HOLDING))
        self._buffer("T_hand_model", torch.eye(4) if T_hand_model is None else T_hand_model)
        self._buffer("betas", torch.zeros(template.shapedirs.shape[-1]))
        self._buffer("vertex_part", template.weights.argmax(dim=1))
        self._buffer("vertex_normals", self.posed_normals(template.v_template[None])[0])
        pads, palm = self._contact_zones()
        self._buffer("pad_ids", pads)
        self._buffer("palm_ids", palm)

    def _buffer(self, name: str, value: Tensor) -> None:
        # A hand is data of its own licence: it never travels inside somebody's checkpoint.
        self.register_buffer(name, value, persistent=False)

    def _contact_zones(self) -> tuple[Int[Tensor, " p"], Int[Tensor, " q"]]:
        upward, part = self.vertex_normals[:, 2], self.vertex_part
        thumb = part >= 14
        pads = ((part > 0) & (upward > PAD_NORMAL_Z)) | (thumb & (upward > THUMB_PAD_NORMAL_Z))
        palm = (part == 0) & (upward > PALM_NORMAL_Z) & (self.v_template[:, 0] > PALM_START_X)
        return pads.nonzero()[:, 0], palm.nonzero()[:, 0]

    @property
    def other_side(self) -> Side:
        """Right of a left hand, left of a right one."""
        return "left" if self.side == "right" else "right"

    def origin(self, side: str | None = None) -> str:
        """What the hand of a side is made from, as results tell it: this model's source, or its mirror image.

        `side` is the model's own if None.
        """
        return self.source if (side or self.side) == self.source_side else f"{self.source}, mirrored"

    def mirrored(self) -> "HandModel":
        """The other side's model, from the same arrays, on the same device; a new one, this one stays as it is.

        What this model does in its hand frame the mirrored one does in the mirror y -> -y: `hand_pose` through
        `mirror_rotvec`, the same `betas`.

        Raises:
            HopriorError: a model of the caller's own that does not say how it is mirrored.
        """
        raise HopriorError(
            f"hand model '{self.name}' is of a {self.side} hand and does not say how it is mirrored: write the method"
            f" `mirrored` of {type(self).__name__}, or ask for {self.side} hands"
        )

    def shaped(self, betas: Float[Tensor, " 10"]) -> "HandModel":
        """The same model of a hand of another shape, on the same device; a new one, this one stays as it is.

        With no `betas` it does what this one does with these, but for what is of the average hand: pads and frame.

        Raises:
            HopriorError: a model of the caller's own that does not say how it is shaped.
        """
        raise HopriorError(
            f"hand model '{self.name}' does not say how it is shaped: write the method `shaped` of "
            f"{type(self).__name__}, or leave the hand's length and its betas out"
        )

    def forward(
        self,
        hand_pose: Float[Tensor, "b 15 3"],
        betas: Float[Tensor, "b 10"] | None = None,
        global_orient: Float[Tensor, "b 3"] | None = None,
        transl: Float[Tensor, "b 3"] | None = None,
    ) -> HandOutput:
        """Meshes and joints of b hands.

        Args:
            hand_pose: axis-angle of the finger joints from the flat hand, in the hand frame's axes, radians.
            betas: shape; the average hand without.
            global_orient: axis-angle that turns the hand about its wrist, into the target frame; none without.
            transl: where the wrist is in the target frame, metres; the origin without.

        Returns:
            Vertices and joints in the target frame; in the hand frame without `global_orient` and `transl`.
        """
        verts, joints = self.skin(self.rotations(hand_pose, global_orient), betas)
        joints = torch.cat([joints, verts[:, self.tip_ids]], dim=1)
        if transl is not None:
            verts, joints = verts + transl[:, None], joints + transl[:, None]
        return HandOutput(verts, joints)

    @abstractmethod
    def skin(
        self, rotations: Float[Tensor, "b 16 3 3"], betas: Float[Tensor, "b 10"] | None
    ) -> tuple[Float[Tensor, "b v 3"], Float[Tensor, "b 16 3"]]:
        """Vertices and rotating joints, metres, wrist at the origin; the first rotation turns the whole hand."""

    def rotations(
        self, hand_pose: Float[Tensor, "b 15 3"], global_orient: Float[Tensor, "b 3"] | None = None
    ) -> Float[Tensor, "b 16 3 3"]:
        """Rotation matrices of the 16 joints, the wrist's first."""
        if global_orient is None:
            global_orient = hand_pose.new_zeros(len(hand_pose), 3)
        return rotvec_to_rotmat(torch.cat([global_orient[:, None], hand_pose], dim=1))

    def joints_rest(self, betas: Float[Tensor, "b 10"] | None) -> Float[Tensor, "#b 16 3"]:
        """The rotating joints of the flat hand, metres; a batch of one for the average shape."""
        if betas is None:
            return self.joints_template[None]
        return self.joints_template + torch.einsum("jcs,bs->bjc", self.joint_shapedirs, betas)

    def joints_only(
        self,
        hand_pose: Float[Tensor, "b 15 3"],
        betas: Float[Tensor, "b 10"] | None = None,
        global_orient: Float[Tensor, "b 3"] | None = None,
        transl: Float[Tensor, "b 3"] | None = None,
    ) -> Float[Tensor, "b 21 3"]:
        """The joints of `forward`, without its mesh: several times faster.

        Example:
            >>> from hoprior.hand import load_hand
            >>> joints = load_hand().joints_only(torch.zeros(1, 15, 3), transl=torch.tensor([[0.0, 0.0, 0.5]]))
            >>> joints.shape, joints[0, 0]
            (torch.Size([1, 21, 3]), tensor([0.0000, 0.0000, 0.5000]))
        """
        rotations = self.rotations(hand_pose, global_orient)
        turned, placed = forward_kinematics(rotations, self.joints_rest(betas))
        tips = self.tip_positions(rotations, turned, placed, betas)
        joints = torch.cat([placed, tips], dim=1)
        return joints if transl is None else joints + transl[:, None]

    def tip_positions(
        self,
        rotations: Float[Tensor, "b 16 3 3"],
        turned: Float[Tensor, "b 16 3 3"],
        placed: Float[Tensor, "b 16 3"],
        betas: Float[Tensor, "b 10"] | None,
    ) -> Float[Tensor, "b 5 3"]:
        """The five fingertip vertices, skinned, from what `forward_kinematics` gives."""
        tips_rest = self.tips_rest(rotations, betas)
        from_bone = tips_rest[:, :, None] - self.joints_rest(betas)[:, None]
        on_bone = torch.einsum("bjkc,bijc->bijk", turned, from_bone.expand(len(turned), -1, -1, -1)) + placed[:, None]
        return torch.einsum("ij,bijk->bik", self.weights[self.tip_ids], on_bone)

    def tips_rest(
        self, rotations: Float[Tensor, "b 16 3 3"], betas: Float[Tensor, "b 10"] | None
    ) -> Float[Tensor, "#b 5 3"]:
        """The fingertip vertices before skinning, metres; a model may bend them with the pose."""
        tips = self.v_template[self.tip_ids][None]
        if betas is None:
            return tips
        return tips + torch.einsum("ics,bs->bic", self.shapedirs[self.tip_ids], betas)

    def angles_to_pose(self, angles: Float[Tensor, "*b 15 3"]) -> Float[Tensor, "*b 15 3"]:
        """Axis-angle in the hand frame from its coordinates (twist, flexion, abduction) on `axes`, radians."""
        return torch.einsum("...ja,jac->...jc", angles, self.axes)

    def pose_to_angles(self, hand_pose: Float[Tensor, "*b 15 3"]) -> Float[Tensor, "*b 15 3"]:
        """Coordinates (twist, flexion, abduction) on `axes` of axis-angles in the hand frame, radians.

        Example:
            >>> from hoprior.hand import load_hand
            >>> hand = load_hand()
            >>> hand.pose_to_angles(hand.angles_to_pose(torch.full((1, 15, 3), 0.5)))[0, 0].round(decimals=4)
            tensor([0.5000, 0.5000, 0.5000])
        """
        return torch.einsum("...jc,jac->...ja", hand_pose, self.axes)

    def within_limits(self, hand_pose: Float[Tensor, "b 15 3"]) -> tuple[Float[Tensor, "b 15 3"], Float[Tensor, " b"]]:
        """Poses brought within the joint limits, and how far (radians) the worst joint of each was beyond.

        Example:
            >>> from hoprior.hand import load_hand
            >>> hand = load_hand()
            >>> bent_back = hand.angles_to_pose(torch.tensor([0.0, -1.0, 0.0]).expand(1, 15, 3))
            >>> pose, beyond = hand.within_limits(bent_back)
            >>> pose.shape, [round(x, 2) for x in beyond.tolist()]
            (torch.Size([1, 15, 3]), [0.86])
        """
        angles = self.pose_to_angles(hand_pose)
        inside = angles.clamp(self.angle_low, self.angle_high)
        return self.angles_to_pose(inside), (angles - inside).abs().flatten(1).amax(dim=1)

    def limit_energy(self, angles: Float[Tensor, "b 15 3"]) -> Float[Tensor, " b"]:
        """Sum of squared excess of the joint limits, rad²; zero inside.

        Example:
            >>> from hoprior.hand import load_hand
            >>> hand = load_hand()
            >>> hand.limit_energy(torch.stack([hand.relaxed_angles, hand.angle_high + 0.1])).round(decimals=3)
            tensor([0.0000, 0.4500])
        """
        excess = torch.relu(self.angle_low - angles) + torch.relu(angles - self.angle_high)
        return excess.square().sum(dim=(1, 2))

    def posed_normals(self, verts: Float[Tensor, "b v 3"]) -> Float[Tensor, "b v 3"]:
        """Unit vertex normals of a posed mesh, looking outwards, weighted by the area of the faces."""
        corners = verts[:, self.faces]
        area = torch.cross(corners[:, :, 1] - corners[:, :, 0], corners[:, :, 2] - corners[:, :, 0], dim=-1)
        total = torch.zeros_like(verts).index_add(1, self.faces.reshape(-1), area.repeat_interleave(3, dim=1))
        return cast(Tensor, nn.functional.normalize(total, dim=-1, eps=1e-20))


def hand_length(hand: HandModel) -> float:
    """From the wrist to the middle finger's tip of the flat hand, metres.

    Example:
        >>> from hoprior.hand import load_hand
        >>> 0.17 < hand_length(load_hand()) < 0.2
        True
    """
    return float(hand.v_template[hand.tip_ids[2]].norm())
