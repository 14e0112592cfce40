"""The open hand: the hand that ships in the package and that anyone may use (assets/README.md)."""

from importlib.resources import files

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.hand.base import HandModel, HandTemplate, Side, hand_length
from hoprior.hand.kinematics import bone_matrices, skinned

ASSET = "open_hand_right.npz"


class OpenHand(HandModel):
    """Linear blend skinning of the embedded hand: 1,610 vertices, watertight, shapes ~ N(0, 1).

    The asset is a right hand; the left one is its mirror image.
    """

    skin_basis: Tensor

    def __init__(self, side: Side = "right", betas: Float[Tensor, " 10"] | None = None) -> None:
        template = read_open_hand()
        super().__init__("open", side, template if side == "right" else template.mirrored())
        self.source, self.source_side = ASSET, "right"
        if betas is not None and betas.any():
            average = hand_length(self)
            self.betas = betas.to(self.v_template)
            self.v_template = self.v_template + self.shapedirs @ self.betas
            self.joints_template = self.joints_template + self.joint_shapedirs @ self.betas
            self.vertex_normals = self.posed_normals(self.v_template[None])[0]
            self.size = hand_length(self) / average
        self.register_buffer("skin_basis", self._skin_basis(), persistent=False)

    def mirrored(self) -> "OpenHand":
        """The other side's open hand, on the same device."""
        return OpenHand(self.other_side, self.betas.cpu()).to(self.v_template)

    def shaped(self, betas: Float[Tensor, " 10"]) -> "OpenHand":
        """The open hand of another shape, on the same device."""
        return OpenHand(self.side, betas.cpu()).to(self.v_template)

    def skin(
        self, rotations: Float[Tensor, "b 16 3 3"], betas: Float[Tensor, "b 10"] | None
    ) -> tuple[Float[Tensor, "b v 3"], Float[Tensor, "b 16 3"]]:
        """Vertices and rotating joints, metres, wrist at the origin."""
        bones, placed = bone_matrices(rotations, self.joints_rest(betas))
        if betas is None:
            return self._skin_average(bones), placed
        return skinned(
            self.weights, bones, self.v_template + torch.einsum("vcs,bs->bvc", self.shapedirs, betas)
        ), placed

    def _skin_basis(self) -> Float[Tensor, "64 v"]:
        """The average hand's homogeneous vertices times their weights: skinning is linear in the bones' matrices."""
        homogeneous = torch.cat([self.v_template, torch.ones_like(self.v_template[:, :1])], dim=1)
        return torch.einsum("vj,vk->jkv", self.weights, homogeneous).flatten(0, 1).contiguous()

    def _skin_average(self, bones: Float[Tensor, "b 16 3 4"]) -> Float[Tensor, "b v 3"]:
        # One matrix product for the whole batch: ten times faster, forward and backward, than blending a matrix for
        # each vertex.
        rows = bones.transpose(1, 2).reshape(3 * len(bones), 64)
        return (rows @ self.skin_basis).unflatten(0, (-1, 3)).mT.contiguous()


def read_open_hand() -> HandTemplate:
    """The embedded right hand's arrays."""
    with (files("hoprior") / "assets" / ASSET).open("rb") as stream, np.load(stream) as data:
        arrays = {key: data[key] for key in data.files}

    def real(key: str) -> Tensor:
        return torch.from_numpy(arrays[key].astype(np.float32))

    def index(key: str) -> Tensor:
        return torch.from_numpy(arrays[key].astype(np.int64))

    return HandTemplate(
        v_template=real("v_template"),
        faces=index("faces"),
        weights=real("weights"),
        joints=real("joints"),
        shapedirs=real("shapedirs"),
        joint_shapedirs=real("joint_shapedirs"),
        tip_ids=index("tip_ids"),
        axes=real("axes")[1:],
    )
