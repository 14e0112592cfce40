"""A few points of a hand's skin, posed fast: what the datasets' optimisers need, at a third of a hand's cost."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hoprior.datasets.samples.sample import GraspSet, ObjectInfo
from hoprior.geometry.rotations import rotvec_to_rotmat
from hoprior.hand import HandModel
from hoprior.hand.kinematics import forward_kinematics
from hoprior.language.labels import GraspLabel


class SkinPoints:
    """Linear blend skinning of the vertices `ids` of a hand model, as one matrix product.

    With `betas` there is a hand of its own shape for each of a batch; else all are the mean hand.

    A skinned point is `sum_j w_j (R_j v + t_j)`, linear in the bones' transforms: (points, 4 bones) @ (4 bones, 3).

    Example:
        >>> from hoprior.hand import load_hand
        >>> hand = load_hand()
        >>> skin = SkinPoints(hand, torch.arange(10))
        >>> points, joints = skin(torch.zeros(2, 15, 3), torch.eye(3).repeat(2, 1, 1), torch.zeros(2, 3))
        >>> points.shape, joints.shape
        (torch.Size([2, 10, 3]), torch.Size([2, 16, 3]))
    """

    def __init__(self, hand: HandModel, ids: Int[Tensor, " n"], betas: Float[Tensor, "b 10"] | None = None) -> None:
        self.ids, self.hand, self.joints_rest = ids, hand, hand.joints_rest(betas)
        rest = hand.v_template[ids]
        if betas is not None:
            rest = rest + torch.einsum("vcs,bs->bvc", hand.shapedirs[ids], betas)
        homogeneous = torch.cat([rest, torch.ones_like(rest[..., :1])], dim=-1)
        self.blend = (hand.weights[ids][:, :, None] * homogeneous[..., None, :]).flatten(-2)

    def __call__(
        self, angles: Float[Tensor, "b 15 3"], rotation: Float[Tensor, "b 3 3"], translation: Float[Tensor, "b 3"]
    ) -> tuple[Float[Tensor, "b n 3"], Float[Tensor, "b 16 3"]]:
        """The points and the 16 joints, metres, of hands turned by `rotation` about the wrist at `translation`."""
        local = rotvec_to_rotmat(self.hand.angles_to_pose(angles))
        joints_rest = self.joints_rest
        turned, placed = forward_kinematics(torch.cat([rotation[:, None], local], dim=1), joints_rest)
        shift = placed - (turned @ joints_rest[..., None])[..., 0] + translation[:, None]
        transforms = torch.cat([turned.transpose(-1, -2), shift[:, :, None]], dim=2).flatten(1, 2)
        return self.blend @ transforms, placed + translation[:, None]


def posed_set(
    info: ObjectInfo,
    hand: HandModel,
    angles: Float[Tensor, "n 15 3"],
    T_object_hand: Float[Tensor, "n 4 4"],
    *,
    recorded: bool,
    text_id: Int[Tensor, " n"] | None = None,
    sequence_id: Int[Tensor, " n"] | None = None,
    sentences: tuple[str, ...] | None = None,
    sequences: tuple[str, ...] = ("",),
    up_object: Float[Tensor, "n 3"] | None = None,
    subject: str = "unknown",
    betas: Float[Tensor, "n 10"] | None = None,
    labels: tuple[GraspLabel, ...] = (GraspLabel(),),
    label_id: Int[Tensor, " n"] | None = None,
) -> GraspSet:
    """A grasp set from poses, of the mean hand without `betas`; without sentences each has the object's own text."""
    n = len(angles)
    return GraspSet(
        object=info,
        T_object_hand=T_object_hand,
        angles=angles,
        betas=torch.zeros(n, 10) if betas is None else betas,
        joints_hand=hand.joints_only(hand.angles_to_pose(angles), betas),
        recorded=torch.full((n,), recorded),
        text_id=torch.zeros(n, dtype=torch.long) if text_id is None else text_id,
        sequence_id=torch.zeros(n, dtype=torch.long) if sequence_id is None else sequence_id,
        up_object=torch.zeros(n, 3) if up_object is None else up_object,
        sentences=sentences or (info.text,),
        sequences=sequences,
        subject=subject,
        hand=hand.name,
        labels=labels,
        label_id=label_id,
    )
