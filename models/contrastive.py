"""The contrastive prior: is this where a person would put a hand on this object, and how would the fingers lie?

Noise-contrastive estimation (Gutmann and Hyvaerinen 2010) of recorded grasps against grasps that an optimiser made
without any prior. It sees the object's coarse shape around the palm and, where it is known, which way is up; it does
not see the fingers, whose finish would give an optimiser away. A second head says where recorded fingers lie at such a
placement. Both together are an energy, so the prior judges and guides but does not sample.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from hoprior.common.constants import places
from hoprior.errors import HopriorError
from hoprior.geometry.grid import GridSpec
from hoprior.geometry.state import HandObjectState, transform_points
from hoprior.hand.landmarks import PALM_CENTRE
from hoprior.kernels.grids import object_grid
from hoprior.models.base import TrainedPrior, with_modules
from hoprior.models.networks.placement_encoder import FEATURES, JOINTS_SEEN, field_encoder, folded, relaxed_joints
from hoprior.models.training.measures import binary_auroc
from hoprior.priors.protocols import INTERACTION, PriorInfo

TABLE_SOFTNESS = 0.005
"""Depth (m) beneath the table that makes a placement e times less likely."""


class PlacementNet(nn.Module):
    """The object's signed distances around the palm -> a logit and the joints."""

    def __init__(self, resolution: int, width: int, dropout: float, deep: int | None = None) -> None:
        super().__init__()
        self.body = field_encoder(resolution, width, dropout, deep)
        self.logit = nn.Linear(FEATURES, 1)
        self.joints = nn.Linear(FEATURES, 3 * len(JOINTS_SEEN))
        nn.init.zeros_(self.joints.weight)
        nn.init.zeros_(self.joints.bias)

    def forward(self, field: Float[Tensor, "b 1 D H W"]) -> tuple[Float[Tensor, " b"], Float[Tensor, "b j 3"]]:
        features = self.body(folded(field))
        return self.logit(features)[:, 0], self.joints(features).unflatten(1, (-1, 3))


class ContrastivePrior(TrainedPrior):
    """Energy of a placement, and of the joints at it.

    `energy = -logit + joint_weight * mean over joints of |joint - expected joint|² / (2 joint_sigma²)`; the logit is
    the sum of a part for the shape and a part for the direction that is up, averaged over the ways an object may stand.
    A rule beside what is learnt: an object that stands on a table is not reached from beneath it.

    Args:
        center, half_extent, resolution: of the grid in the hand's frame (m); the resolution is a multiple of 4.
        truncation: signed distances are clamped to this (m) and divided by it.
        width, dropout: of the network.
        members: networks whose logits and joints are averaged; each learns from other weights and the same batches.
        up_members: the same of the networks that see which way is up, which all members share.
        quick: widths, fine and coarse, of a small network that has learnt to answer as the members' mean
            (`tools/distil_placements.py`), for looks at thousands of placements; none of them for none.
        joint_sigma: how far recorded joints scatter around those expected (m).
        joint_weight: of the joints in the energy.
        joint_loss_weight: of the joints in training, beside the contrastive loss.
        up_dropout: share of the batches' elements whose upward direction is hidden in training.
        learning_rate, weight_decay, warmup_steps: of AdamW.
    """

    text_encoder_name = None
    info = PriorInfo(reads=INTERACTION | {"rest"}, repeats=True, fingertips_only=True)
    in_bytes = True

    def __init__(
        self,
        center: Sequence[float] = PALM_CENTRE,
        half_extent: float = 0.12,
        resolution: int = 16,
        truncation: float = 0.05,
        width: int = 48,
        dropout: float = 0.3,
        members: int = 2,
        up_members: int = 1,
        quick: Sequence[int] = (),
        joint_sigma: float = 0.02,
        joint_weight: float = 1.0,
        joint_loss_weight: float = 1.0,
        up_dropout: float = 0.3,
        learning_rate: float = 2e-3,
        weight_decay: float = 1e-2,
        warmup_steps: int = 100,
    ) -> None:
        super().__init__()
        x, y, z = center
        self.spec = GridSpec((x, y, z), half_extent, resolution)
        self.truncation, self.joint_sigma, self.joint_weight = truncation, joint_sigma, joint_weight
        self.joint_loss_weight, self.up_dropout = joint_loss_weight, up_dropout
        self.members = nn.ModuleList(PlacementNet(resolution, width, dropout) for _ in range(members))
        self.quick = PlacementNet(resolution, quick[0], 0.0, quick[1]) if quick else None
        self.up_nets = nn.ModuleList(
            nn.Sequential(nn.Linear(3, 32), nn.SiLU(), nn.Linear(32, 32), nn.SiLU(), nn.Linear(32, 1))
            for _ in range(up_members)
        )
        self.mean_joints: Tensor
        self.register_buffer("mean_joints", relaxed_joints())

    @classmethod
    def together(cls, priors: Sequence["ContrastivePrior"]) -> "ContrastivePrior":
        """One prior whose logits and joints are the mean over priors that see the same grid; its settings the first's.

        Raises:
            HopriorError: their grids differ.
        """
        first = priors[0]
        if any(p.spec != first.spec or p.truncation != first.truncation for p in priors):
            raise HopriorError("contrastive priors see different grids: only those of one grid can be averaged")
        pairs = [(p.members, p.up_nets) for p in priors]
        members, ups = (sum(len(part) for part in parts) for parts in zip(*pairs, strict=True))
        made = cls(**first.config() | {"members": members, "up_members": ups, "quick": ()})
        made.members = nn.ModuleList(net for p in priors for net in p.members)
        made.up_nets = nn.ModuleList(net for p in priors for net in p.up_nets)
        return made

    def quick_look(self) -> "ContrastivePrior":
        """A prior of the small network alone; itself where it has none."""
        if self.quick is None:
            return self
        return with_modules(self, members=nn.ModuleList([self.quick]), quick=None)

    def propose_joints(
        self,
        state: HandObjectState,
        cond: Float[Tensor, "b tokens dim"] | None = None,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "b 21 3"]:
        """Where recorded hands have their joints, on average, at such placements (hand frame, m).

        The thumb's CMC is that of `state`; there is nothing to draw, so the generator is not used.
        """
        return self.placement_energy(state)[1]

    def placement_energy(
        self, state: HandObjectState, cond: Float[Tensor, "b tokens dim"] | None = None
    ) -> tuple[Float[Tensor, " b"], Float[Tensor, "b 21 3"]]:
        """The energy of each placement with the joints expected there, which is its least, and these joints.

        The log-odds, negative, that a person made the placement, against an optimiser without a prior.
        """
        logit, joints = self.judged_fields(object_grid(state, self.spec))
        expected = state.joints_hand.clone()
        expected[:, 0] = 0
        expected[:, places(JOINTS_SEEN, joints)] = joints
        return -self._with_up(logit, replace(state, joints_hand=expected)), expected

    def energy(self, state: HandObjectState, cond: Float[Tensor, "b tokens dim"] | None = None) -> Float[Tensor, " b"]:
        """See the class; it listens to no text. Differentiable in `T_object_hand` and `joints_hand`."""
        logit, joints = self.judged_fields(object_grid(state, self.spec))
        off = (state.joints_hand[:, places(JOINTS_SEEN, joints)] - joints).square().sum(dim=-1).mean(dim=1)
        return self.joint_weight * off / (2 * self.joint_sigma**2) - self._with_up(logit, state)

    def judged_fields(self, field: Float[Tensor, "b 1 D H W"]) -> tuple[Float[Tensor, " b"], Float[Tensor, "b j 3"]]:
        """The shape's logit, and where the joints that are seen are expected (hand frame, m), by all members' means.

        `field` is an object's signed distances (m) at the points of `spec`.
        """
        unit = (field / self.truncation).clamp(-1, 1)
        with self.judging(unit):
            logits, joints = zip(*(net(unit) for net in self.members), strict=True)
        # Offsets are learnt in decimetres: about the size of the logits they share features with.
        return torch.stack(logits).float().mean(dim=0), self.mean_joints + 0.1 * torch.stack(joints).float().mean(dim=0)

    def _with_up(self, logit: Float[Tensor, " b"], state: HandObjectState) -> Float[Tensor, " b"]:
        """The logit with the part of what is up, where that is known."""
        rest = state.rest
        if rest is None:
            return logit
        up_hand = rest.up_object @ state.T_object_hand[:, :3, :3]
        seen = state.joints_hand[:, places(JOINTS_SEEN, logit)]
        joints_object = transform_points(state.T_object_hand, seen)
        height = joints_object @ rest.up_object.transpose(-1, -2) - rest.base[..., None, :]
        beneath = torch.relu(-height).amax(dim=1) / TABLE_SOFTNESS
        return logit + torch.logsumexp(self._up_logit(up_hand) + rest.log_prob - beneath, dim=-1)

    def _up_logit(self, up_hand: Float[Tensor, "*b 3"]) -> Float[Tensor, "*b"]:
        return torch.stack([net(up_hand)[..., 0] for net in self.up_nets]).mean(dim=0)

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        """Contrastive loss of every member on its own, and the recorded joints."""
        unit = (batch["object_sdf"] / self.truncation).clamp(-1, 1)
        recorded = batch["recorded"].float()
        up_logit = self._up_logit(batch["up_hand"])
        shown = batch["up_known"] & (torch.rand(len(unit), device=unit.device) >= self.up_dropout)
        target = batch["joints_hand"][:, JOINTS_SEEN]
        contrast, joint_error = [], []
        for net in self.members:
            logit, offset = net(unit)
            contrast.append(F.binary_cross_entropy_with_logits(logit.float() + shown * up_logit, recorded))
            miss = (self.mean_joints + 0.1 * offset - target).norm(dim=-1).mean(dim=1)
            joint_error.append((miss * recorded).sum() / recorded.sum().clamp(min=1))
        nce, joints = torch.stack(contrast).mean(), torch.stack(joint_error).mean()
        self.log_dict({"train/nce": nce, "train/joints_cm": 100 * joints}, prog_bar=True)
        return nce + self.joint_loss_weight * 10 * joints

    def evaluate(self, batch: dict[str, Any], batch_idx: int, stage: str) -> None:
        """AUC of the logit, and the error of the joints, on objects held out."""
        logit, joints = self.judged_fields(batch["object_sdf"])
        recorded: Bool[Tensor, " b"] = batch["recorded"].bool()
        logit = logit + batch["up_known"] * self._up_logit(batch["up_hand"])
        miss = (joints - batch["joints_hand"][:, JOINTS_SEEN]).norm(dim=-1).mean(dim=1)
        self.log(f"{stage}/auc", binary_auroc(logit, recorded.long()), prog_bar=True)
        self.log(f"{stage}/nce", F.binary_cross_entropy_with_logits(logit, recorded.float()))
        self.log(f"{stage}/joints_cm", 100 * miss[recorded].mean(), prog_bar=True)
