"""The prior of kinds of grasp: "a tripod grasp", "a medium wrap" - how fingers are then bent, and around what.

It hears which kind of the GRASP taxonomy (Feix et al. 2016) a sentence names, if any, recognises the kind of a hand by
its joints, and keeps examples of every kind: joints, and how far each bone was from the object. A placement suits a
kind as well as the best of its examples fits the object there, and that example's fingers are what is proposed.
Recognition is a likelihood ratio, p(kind | joints) / p(kind), so that it adds to other energies by Bayes' rule.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from hoprior.common.constants import places
from hoprior.geometry.rotations import rotvec_to_rotmat
from hoprior.geometry.state import HandObjectState, rigid, transform_points
from hoprior.hand.bones import NUM_BONE_POINTS, bone_points
from hoprior.language.taxonomy import TAXONOMY
from hoprior.models.base import TrainedPrior
from hoprior.models.networks.placement_encoder import JOINTS_SEEN, relaxed_joints
from hoprior.moved import old_names_of
from hoprior.priors.protocols import PriorInfo

Cond = Float[Tensor, "b tokens dim"]

KINDS = len(TAXONOMY)
PLACE_OF = {kind.number: i for i, kind in enumerate(TAXONOMY)}
"""Place in the table of each number."""
FITTED_AT_ONCE, FITTED_BY_A_GPU = 64, 1024
"""Hands for which examples are tried in one piece, by a processor and by a GPU."""


class GraspTypeNet(nn.Module):
    """Two small networks that share nothing: one hears sentences, the other sees joints."""

    def __init__(self, width: int, text_dim: int, dropout: float) -> None:
        super().__init__()
        # Sentences are told apart by what is left of them without what all have in common.
        self.hears = nn.Sequential(
            nn.BatchNorm1d(text_dim, affine=False),
            nn.Linear(text_dim, width),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Linear(width, KINDS + 1),
        )
        self.sees = nn.Sequential(
            nn.Linear(3 * len(JOINTS_SEEN), width),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Dropout(dropout),
            nn.Linear(width, KINDS),
        )


class GraspTypePrior(TrainedPrior):
    """Energy of how a hand is bent, given a sentence that names a kind of grasp; zero where none is named.

    `energy = -log(sum over kinds of p(named | sentence) p(kind | joints) / p(kind) + p(none named) + softness)`, and,
    where a kind is named, `+ mean over joints of |joint - example's|² / (2 posture_scale²)` for the nearest example of
    it: what the recogniser was never shown it may take for anything.

    Args:
        examples: of each kind.
        width, dropout: of the networks.
        softness: added to the ratio: no kind is out of the question.
        posture_scale: how far joints scatter around those of the nearest example (m).
        fit_scale: by which distances of bones to the object may miss an example's (m).
        fit_reach: distances beyond this (m) are all alike.
        text_encoder, text_dim: whose features the sentences come as, and how many these are.
        learning_rate, weight_decay, warmup_steps: of AdamW.
    """

    # Log-odds that differ by less than one are no reason to prefer a grasp.
    info = PriorInfo(requires_text=True, min_score_std=1.0, repeats=True)

    def __init__(
        self,
        examples: int = 64,
        width: int = 128,
        dropout: float = 0.1,
        softness: float = 0.02,
        posture_scale: float = 0.005,
        fit_scale: float = 0.006,
        fit_reach: float = 0.04,
        text_encoder: str = "minilm",
        text_dim: int = 384,
        learning_rate: float = 2e-3,
        weight_decay: float = 1e-2,
        warmup_steps: int = 50,
    ) -> None:
        super().__init__()
        self.softness, self.posture_scale = softness, posture_scale
        self.fit_scale, self.fit_reach = fit_scale, fit_reach
        self.text_encoder_name = text_encoder
        self.net = GraspTypeNet(width, text_dim, dropout)
        self.mean_joints: Tensor
        self.example_joints: Tensor
        self.example_places: Tensor
        self.example_anchors: Tensor
        self.register_buffer("mean_joints", relaxed_joints())
        self.register_buffer("example_joints", torch.zeros(KINDS, examples, 21, 3))
        self.register_buffer("example_places", torch.zeros(KINDS, examples, NUM_BONE_POINTS))
        self.register_buffer("example_anchors", torch.zeros(KINDS, examples, 6))

    def named(self, cond: Cond) -> Float[Tensor, "b kinds1"]:
        """How likely it is that each kind is meant, in the taxonomy's order; the last, that none is."""
        return self.net.hears(cond.mean(dim=1)).softmax(dim=1)

    def kind_of(self, joints_hand: Float[Tensor, "b 21 3"]) -> Float[Tensor, "b kinds"]:
        """How likely each kind is for hands whose joints (hand frame, m) are there, all being as common."""
        return self._seen(joints_hand).softmax(dim=1)

    def _seen(self, joints_hand: Float[Tensor, "b 21 3"]) -> Float[Tensor, "b kinds"]:
        # Joints are learnt in decimetres, from a relaxed hand's: about the size that layers are made for.
        return self.net.sees(10 * (joints_hand[:, places(JOINTS_SEEN, joints_hand)] - self.mean_joints).flatten(1))

    def energy(self, state: HandObjectState, cond: Cond | None = None) -> Float[Tensor, " b"]:
        """See the class. Differentiable in `joints_hand`."""
        if cond is None:
            return state.joints_hand.new_zeros(len(state))
        named = self.named(cond)
        ratio = KINDS * (named[:, :-1] * self.kind_of(state.joints_hand)).sum(dim=1) + named[:, -1]
        energy, some = -torch.log(ratio + self.softness), _some_kind(named)
        # What is not needed a GPU computes sooner than it tells so.
        if energy.device.type == "cpu" and not some.any():
            return energy
        seen = places(JOINTS_SEEN, energy)
        examples = self.example_joints[named[:, :-1].argmax(dim=1)][:, :, seen]
        off = (state.joints_hand[:, None, seen] - examples).square().sum(dim=-1).mean(dim=2).amin(dim=1)
        return torch.where(some, energy + off / (2 * self.posture_scale**2), energy)

    def posture_energy(self, state: HandObjectState, cond: Cond | None = None) -> Float[Tensor, " b"]:
        """The energy itself, which is of posture alone: it is asked to the end."""
        return self.energy(state, cond)

    def placement_energy(
        self, state: HandObjectState, cond: Cond | None = None
    ) -> tuple[Float[Tensor, " b"], Float[Tensor, "b 21 3"]]:
        """How badly the best of the named kind's examples fits the object at each placement, and that one's joints.

        It counts in full however surely a kind is named. Where none is, it is zero, and the joints those of `state`.
        """
        some = None if cond is None else _some_kind(named := self.named(cond))
        if some is None or not some.any():
            return state.joints_hand.new_zeros(len(state)), state.joints_hand
        pieces = []
        kinds = named[:, :-1].argmax(dim=1)
        size = FITTED_AT_ONCE if state.device.type == "cpu" else FITTED_BY_A_GPU
        for start in range(0, len(state), size):
            piece = slice(start, start + size)
            pieces.append(self._fitted(state[piece], kinds[piece]))
        misfit, joints = (torch.cat(column) for column in zip(*pieces, strict=True))
        return torch.where(some, misfit, 0.0), torch.where(some[:, None, None], joints, state.joints_hand)

    def propose_joints(
        self, state: HandObjectState, cond: Cond | None = None, generator: torch.Generator | None = None
    ) -> Float[Tensor, "b 21 3"]:
        """The joints (hand frame, m) of the example that fits the object best; there is nothing to draw."""
        return self.placement_energy(state, cond)[1]

    def propose_placements(
        self,
        surface: Float[Tensor, "n 3"],
        normals: Float[Tensor, "n 3"],
        cond: Cond | None,
        generator: torch.Generator,
    ) -> Float[Tensor, "n 4 4"] | None:
        """`T_object_hand` of hands that touch the object at each of n points of its surface as a random example does.

        Args:
            surface, normals: points (object's frame, m) and outward unit normals.
            cond: the sentence, (1, tokens, dim).
            generator: of the draws.

        Returns:
            None where no kind is named.
        """
        named = None if cond is None else self.named(cond)
        if named is None or not _some_kind(named)[0]:
            return None
        kind = int(named[0, :-1].argmax())
        drawn = torch.randint(self.example_anchors.shape[1], (len(surface),), generator=generator)
        at, facing = self.example_anchors[kind, drawn.to(surface.device)].split(3, dim=1)
        to_normal = _shortest_turn(facing, normals)
        spin = 2 * torch.pi * torch.rand(len(surface), 1, generator=generator).to(surface.device)
        rotation = rotvec_to_rotmat(spin * normals) @ to_normal
        return rigid(rotation, surface - (rotation @ at[..., None])[..., 0])

    def _fitted(
        self, state: HandObjectState, kinds: Int[Tensor, " b"]
    ) -> tuple[Float[Tensor, " b"], Float[Tensor, "b 21 3"]]:
        """The least misfit among the examples of each hand's kind, and the joints of that example."""
        examples = self.example_joints[kinds]
        points = bone_points(examples.flatten(0, 1)).view(len(kinds), -1, 3)
        distance = state.sdf(transform_points(state.T_object_hand, points)).view(*examples.shape[:2], -1)
        wanted = self.example_places[kinds].clamp(max=self.fit_reach)
        off = (distance.clamp(max=self.fit_reach) - wanted) / self.fit_scale
        misfit, best = off.square().mean(dim=2).min(dim=1)
        return misfit / 2, examples[torch.arange(len(kinds), device=best.device), best]

    def on_fit_start(self) -> None:
        """Takes the examples that stand for the training grasps."""
        for kept, typical in zip(
            (self.example_joints, self.example_places, self.example_anchors),
            self.trainer.datamodule.typical(),  # type: ignore[attr-defined]
            strict=True,
        ):
            kept.copy_(typical)

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        """Cross-entropy of the kind that joints are of, and of the kind that a sentence names."""
        seen, heard = self._losses(batch)
        self.log("train/seen", seen.detach(), prog_bar=True)
        self.log("train/heard", heard.detach(), prog_bar=True)
        return seen + heard

    def evaluate(self, batch: dict[str, Any], batch_idx: int, stage: str) -> None:
        """The same of grasps at objects held out, and the shares that are right."""
        seen, heard = self._losses(batch)
        self.log(f"{stage}/seen", seen)
        self.log(f"{stage}/heard", heard)
        right = self._seen(batch["joints"]).argmax(dim=1) == batch["kind"]
        self.log(f"{stage}/seen_right", right.float().mean(), prog_bar=True)
        told = self.net.hears(batch["texts"]).argmax(dim=1) == batch["told"]
        self.log(f"{stage}/heard_right", told.float().mean(), prog_bar=True)

    def _losses(self, batch: dict[str, Tensor]) -> Sequence[Tensor]:
        seen = F.cross_entropy(self._seen(batch["joints"]), batch["kind"])
        return seen, F.cross_entropy(self.net.hears(batch["texts"]), batch["told"])


def _some_kind(named: Float[Tensor, "b kinds1"]) -> Bool[Tensor, " b"]:
    """Whether each sentence names a kind rather than none."""
    return named[:, -1] < 0.5


def _shortest_turn(start: Float[Tensor, "n 3"], end: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3 3"]:
    """Rotations that take unit vectors to others the shortest way."""
    axis = torch.linalg.cross(start, end)
    sine, cosine = axis.norm(dim=1, keepdim=True), (start * end).sum(dim=1, keepdim=True)
    return rotvec_to_rotmat(axis / sine.clamp(min=1e-6) * torch.atan2(sine, cosine))


__getattr__ = old_names_of(__name__)
