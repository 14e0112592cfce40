"""The prior of words: does this sentence speak of this grasp, rather than of another grasp of the same object?

Where people put their hands is the other priors' business; this one adds what a sentence says: "by the handle", "with a
tripod grasp", "to hand it over". It is a likelihood ratio, p(sentence | grasp) / p(sentence | any grasp of the object),
learnt by noise-contrastive estimation (Gutmann and Hyvaerinen 2010) of sentences that fit a grasp against sentences
that fit another one. Where a sentence fits every grasp of an object, as its bare name does, the ratio is one and
the prior says nothing. Added to an energy of placements it makes that energy a conditional one, by Bayes' rule.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from hoprior.common.constants import places
from hoprior.geometry.grid import GridSpec
from hoprior.geometry.state import HandObjectState
from hoprior.hand.landmarks import PALM_CENTRE
from hoprior.kernels.grids import object_grid
from hoprior.models.base import TrainedPrior, with_modules
from hoprior.models.networks.placement_encoder import FEATURES, JOINTS_SEEN, field_encoder, folded, relaxed_joints
from hoprior.models.training.measures import binary_auroc
from hoprior.moved import old_names_of
from hoprior.priors.protocols import PriorInfo

Cond = Float[Tensor, "b tokens dim"]


class TextMatchNet(nn.Module):
    """The object around the palm, and sentences -> the sentences' log-odds, and the joints that they lead to expect.

    Place and sentence meet in an inner product, and in a linear map to the joints: what a word means is learnt in
    hundreds of steps, where layers that mix the two first need thousands.
    """

    def __init__(self, resolution: int, width: int, dropout: float, text_dim: int) -> None:
        super().__init__()
        self.body = field_encoder(resolution, width, dropout)
        self.look = nn.Linear(FEATURES, FEATURES)
        self.listen = nn.Sequential(nn.Linear(text_dim, 256), nn.SiLU(), nn.Dropout(dropout))
        self.claim = nn.Linear(256, FEATURES)
        self.turn, self.shift = nn.Linear(256, FEATURES), nn.Linear(256, FEATURES)
        self.joints = nn.Linear(FEATURES, 3 * len(JOINTS_SEEN))
        for layer in (self.turn, self.shift, self.joints):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(
        self, field: Float[Tensor, "b 1 D H W"], texts: Float[Tensor, "b k dim"]
    ) -> tuple[Float[Tensor, "b k"], Float[Tensor, "b k j 3"], Float[Tensor, "b j 3"]]:
        """The log-odds of k sentences for each of b places, the joints with each, and the joints with none."""
        features = self.body(folded(field))
        # Features of unit length have small entries: they are brought to the size that layers are made for.
        heard = self.listen(texts * texts.shape[-1] ** 0.5)
        logit = (self.look(features)[:, None] * self.claim(heard)).sum(dim=-1) / FEATURES**0.5
        told = self.joints(features[:, None] * (1 + self.turn(heard)) + self.shift(heard))
        return logit, told.unflatten(2, (-1, 3)), self.joints(features).unflatten(1, (-1, 3))


class TextMatchPrior(TrainedPrior):
    """Energy of a grasp, given a sentence; without one it is zero.

    `energy = -logit + joint_weight * mean over joints of (|joint - told|² - |joint - untold|²) / (2 joint_sigma²)`:
    the sentence's log-odds at this placement, and how much more likely the sentence makes the joints, of which
    `told` and `untold` are where they are expected with the sentence and without.

    Args:
        center, half_extent, resolution: of the grid in the hand's frame (m); the resolution is a multiple of 4.
        truncation: signed distances are clamped to this (m) and divided by it.
        width, dropout: of the networks.
        members: networks whose answers are averaged.
        quick: widths, fine and coarse, of a small body for the first network that has learnt to give the same features
            (`tools/distil_placements.py`), for looks at thousands of placements; none of them for none.
        bound: log-odds are bent to stay within this, so that no sentence can shout down every other prior.
        joint_sigma: how far joints scatter around those expected (m).
        joint_weight: of the joints in the energy.
        joint_loss_weight: of the joints in training, beside the contrastive loss.
        text_encoder, text_dim: whose features the sentences come as, and how many these are.
        learning_rate, weight_decay, warmup_steps: of AdamW.
    """

    # Log-odds that differ by less than one are no reason to prefer a grasp.
    info = PriorInfo(requires_text=True, min_score_std=1.0, repeats=True, fingertips_only=True)
    in_bytes = True

    def __init__(
        self,
        center: Sequence[float] = PALM_CENTRE,
        half_extent: float = 0.12,
        resolution: int = 16,
        truncation: float = 0.05,
        width: int = 48,
        dropout: float = 0.2,
        members: int = 1,
        quick: Sequence[int] = (),
        bound: float = 6.0,
        joint_sigma: float = 0.02,
        joint_weight: float = 1.0,
        joint_loss_weight: float = 1.0,
        text_encoder: str = "minilm",
        text_dim: int = 384,
        learning_rate: float = 2e-3,
        weight_decay: float = 1e-2,
        warmup_steps: int = 100,
    ) -> None:
        super().__init__()
        x, y, z = center
        self.spec = GridSpec((x, y, z), half_extent, resolution)
        self.truncation, self.bound = truncation, bound
        self.joint_sigma, self.joint_weight, self.joint_loss_weight = joint_sigma, joint_weight, joint_loss_weight
        self.text_encoder_name = text_encoder
        self.members = nn.ModuleList(TextMatchNet(resolution, width, dropout, text_dim) for _ in range(members))
        self.quick_body = field_encoder(resolution, quick[0], 0.0, quick[1]) if quick else None
        self.mean_joints: Tensor
        self.register_buffer("mean_joints", relaxed_joints())

    def quick_look(self) -> "TextMatchPrior":
        """A prior of the first network with the small body; itself where it has none."""
        if self.quick_body is None:
            return self
        net = with_modules(self.members[0], body=self.quick_body)
        return with_modules(self, members=nn.ModuleList([net]), quick_body=None)

    def energy(self, state: HandObjectState, cond: Cond | None = None) -> Float[Tensor, " b"]:
        """See the class. Differentiable in `T_object_hand` and `joints_hand`."""
        if cond is None:
            return state.joints_hand.new_zeros(len(state))
        logit, told, untold = self._told(state, cond)
        joints = state.joints_hand[:, places(JOINTS_SEEN, logit)]
        off = (joints - told).square() - (joints - untold).square()
        return self.joint_weight * off.sum(dim=-1).mean(dim=1) / (2 * self.joint_sigma**2) - logit

    def placement_energy(
        self, state: HandObjectState, cond: Cond | None = None
    ) -> tuple[Float[Tensor, " b"], Float[Tensor, "b 21 3"]]:
        """The energy of each placement, whatever its fingers do; and the joints of `state` as the sentence shifts them.

        `state.joints_hand` are those that another prior expects there: what a sentence changes is added to them.
        """
        if cond is None:
            return state.joints_hand.new_zeros(len(state)), state.joints_hand
        logit, told, untold = self._told(state, cond)
        joints = state.joints_hand.clone()
        joints[:, places(JOINTS_SEEN, logit)] += told - untold
        return -logit, joints

    def propose_joints(
        self, state: HandObjectState, cond: Cond | None = None, generator: torch.Generator | None = None
    ) -> Float[Tensor, "b 21 3"]:
        """The joints of `state` (hand frame, m) as the sentence shifts them; there is nothing to draw."""
        return self.placement_energy(state, cond)[1]

    def _told(
        self, state: HandObjectState, cond: Cond
    ) -> tuple[Float[Tensor, " b"], Float[Tensor, "b j 3"], Float[Tensor, "b j 3"]]:
        """`_heard` of one sentence for each of b states."""
        logit, told, untold = self._heard(object_grid(state, self.spec), cond[:, None])
        return logit[:, 0], told[:, 0], untold

    def _heard(
        self, field: Float[Tensor, "b 1 D H W"], texts: Float[Tensor, "b k tokens dim"]
    ) -> tuple[Float[Tensor, "b k"], Float[Tensor, "b k j 3"], Float[Tensor, "b j 3"]]:
        """Log-odds of k sentences for each place, and the joints (hand frame, m) with each of them and without."""
        unit = self._unit(field)
        with self.judging(unit):
            answers = [net(unit, texts.mean(dim=2)) for net in self.members]
        logit, told, untold = (torch.stack(answer).float().mean(dim=0) for answer in zip(*answers, strict=True))
        # Offsets are learnt in decimetres: about the size of the logits they share features with.
        return self._bent(logit), self.mean_joints + 0.1 * told, self.mean_joints + 0.1 * untold

    def _bent(self, logit: Float[Tensor, "b k"]) -> Float[Tensor, "b k"]:
        return self.bound * torch.tanh(logit / self.bound)

    def _unit(self, field: Float[Tensor, "b 1 D H W"]) -> Float[Tensor, "b 1 D H W"]:
        return (field / self.truncation).clamp(-1, 1)

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        """Each place's own sentence against others', and recorded joints with the sentence and without."""
        recorded = batch["recorded"].float()
        unit, target = self._unit(batch["object_sdf"]), batch["joints_hand"][:, None, JOINTS_SEEN]
        texts = torch.cat([batch["text"][:, None], batch["other_texts"]], dim=1).mean(dim=2)
        contrast, joint_error = [], []
        for net in self.members:
            logit, told, untold = net(unit, texts)
            contrast.append(_contrast(self._bent(logit.float())))
            expected = self.mean_joints + 0.1 * torch.cat([told[:, :1], untold[:, None]], dim=1)
            miss = (expected - target).norm(dim=-1).mean(dim=(1, 2))
            joint_error.append((miss * recorded).sum() / recorded.sum().clamp(min=1))
        nce, joints = torch.stack(contrast).mean(), torch.stack(joint_error).mean()
        self.log_dict({"train/nce": nce, "train/joints_cm": 100 * joints}, prog_bar=True)
        return nce + self.joint_loss_weight * 10 * joints

    def evaluate(self, batch: dict[str, Any], batch_idx: int, stage: str) -> None:
        """AUC of the right sentence against others; the joints' error with the sentence and without."""
        texts = torch.cat([batch["text"][:, None], batch["other_texts"]], dim=1)
        logit, told, untold = self._heard(batch["object_sdf"], texts)
        target = batch["joints_hand"][:, JOINTS_SEEN]
        differ = (texts[:, 1:] - texts[:, :1]).flatten(2).abs().amax(dim=2) > 1e-4
        wrong = logit[:, 1:][differ]
        right = logit[:, :1].expand_as(differ)[differ]
        labels = torch.cat([torch.ones_like(right), torch.zeros_like(wrong)]).long()
        self.log(f"{stage}/auc", binary_auroc(torch.cat([right, wrong]), labels), prog_bar=True)
        self.log(f"{stage}/nce", _contrast(logit))
        recorded = batch["recorded"]
        self.log(f"{stage}/told_cm", 100 * (told[:, 0] - target)[recorded].norm(dim=-1).mean(), prog_bar=True)
        self.log(f"{stage}/untold_cm", 100 * (untold - target)[recorded].norm(dim=-1).mean(), prog_bar=True)


def _contrast(logit: Float[Tensor, "b k"]) -> Float[Tensor, ""]:
    """Binary noise-contrastive loss of each place's first sentence against the others, which count as one."""
    return F.softplus(-logit[:, 0]).mean() + F.softplus(logit[:, 1:]).mean()


__getattr__ = old_names_of(__name__)
