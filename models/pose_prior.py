"""The affordance pose prior: a diffusion model of how a hand is bent, told in words what it does with which object.

After the affordance-guided diffusion prior (Suzuki et al., Sec. 2.2): x0 is the local pose of a right hand, (15, 3)
axis-angle from the flat hand, and the network says from the noisy pose, the timestep and the description's features
what the clean pose was. Left hands are mirrored into right ones by the caller (`HandPose.mirrored`).
"""

from typing import Any, Literal, TypeAlias

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from hoprior.errors import HopriorError
from hoprior.geometry.rotations import rotmat_to_rotvec, rotvec_to_rotmat, special_gramschmidt
from hoprior.geometry.state import Articulated
from hoprior.hand.pose import HandPose
from hoprior.models.base import VALIDATION_SEED, VALIDATION_TIMESTEPS, DiffusionPrior
from hoprior.models.networks.kind_head import AS_SAID, NOTHING_SAID, KindHead
from hoprior.models.networks.pose_denoiser import PoseDenoiser
from hoprior.priors.diffusion import NoiseSchedule, ScheduleName, noise_from_x0
from hoprior.priors.protocols import PriorInfo

Rotation: TypeAlias = Literal["axis_angle", "6d"]

JOINTS = 15
ROTATION_DIMS: dict[str, int] = {"axis_angle": 3, "6d": 6}


class PosePrior(DiffusionPrior):
    """Denoiser of hand poses x (b, 15, d), d = 3 or 6, normalised over the training poses.

    Args:
        rotation: what a joint's rotation is inside: its axis-angle, or the first two columns of its matrix (Zhou et al.
            2019). States are axis-angles in either case.
        min_std: smallest standard deviation (radians, or entries of a matrix) that a coordinate is divided by: what
            hardly varies, such as twist, must not count as much as flexion.
        width, layers, heads, expansion, mlp_blocks, dropout: of the `PoseDenoiser`.
        text_encoder: whose features the condition is (a name of hoprior.priors.text_encoders).
        text_dim: their dimension.
        schedule, timesteps, beta_start, beta_end: the noise schedule.
        null_probability: share of the poses that train the null condition.
        kind_width, kind_dropout: of the network that says which kinds of grasp a sentence may mean; none at width 0.
        learning_rate, weight_decay, warmup_steps: of AdamW and its warm-up.
    """

    info = PriorInfo(reads=frozenset({"hand_pose"}))

    pose_mean: Tensor
    pose_std: Tensor

    def __init__(
        self,
        rotation: Rotation = "axis_angle",
        min_std: float = 0.05,
        width: int = 256,
        layers: int = 2,
        heads: int = 4,
        expansion: int = 2,
        mlp_blocks: int = 2,
        dropout: float = 0.1,
        text_encoder: str = "minilm",
        text_dim: int = 384,
        schedule: ScheduleName = "linear",
        timesteps: int = 1000,
        beta_start: float = 1e-4,
        beta_end: float = 0.02,
        null_probability: float = 0.15,
        kind_width: int = 0,
        kind_dropout: float = 0.3,
        learning_rate: float = 5e-4,
        weight_decay: float = 0.01,
        warmup_steps: int = 200,
    ) -> None:
        super().__init__()
        if rotation not in ROTATION_DIMS:
            raise HopriorError(f"pose prior: rotation '{rotation}' is unknown: use {' or '.join(ROTATION_DIMS)}")
        self.rotation, self.min_std = rotation, min_std
        self.pose_shape = (JOINTS, ROTATION_DIMS[rotation])
        self.schedule = NoiseSchedule(schedule, timesteps, beta_start, beta_end)
        self.network = PoseDenoiser(
            *self.pose_shape,
            text_dim=text_dim,
            width=width,
            layers=layers,
            heads=heads,
            expansion=expansion,
            mlp_blocks=mlp_blocks,
            dropout=dropout,
        )
        self.add_null_condition(text_dim)
        # Measured on the first training batch.
        self.register_buffer("pose_mean", torch.zeros(self.pose_shape))
        self.register_buffer("pose_std", torch.ones(self.pose_shape))
        self.register_buffer("normalized", torch.tensor(False))
        self.kind_head = KindHead(text_dim, kind_width, kind_dropout) if kind_width else None
        self.text_encoder_name = text_encoder
        self.null_probability = null_probability

    # The prior, as tasks see it.

    def encode(self, state: Articulated) -> Float[Tensor, "b 15 d"]:
        """The normalised poses of b right hands, differentiable in `hand_pose`.

        Args:
            state: a `HandPose`, or a `HandObjectState` that has a `hand_pose`; nothing else of it is looked at.

        Raises:
            HopriorError: the state has no `hand_pose`.
        """
        hand_pose = state.hand_pose
        if hand_pose is None:
            raise HopriorError(
                "pose prior: the state says where the joints are but not how they are bent: give it a hand_pose"
            )
        return (self._represented(hand_pose) - self.pose_mean) / self.pose_std

    def decode(self, x0: Float[Tensor, "b 15 d"]) -> HandPose:
        """Right hands of average shape in the hand frame, bent as b clean representations say."""
        raw = x0 * self.pose_std + self.pose_mean
        if self.rotation == "6d":
            raw = rotmat_to_rotvec(special_gramschmidt(raw.unflatten(-1, (3, 2))))
        return HandPose.of(raw)

    def predict_noise(
        self, x_t: Float[Tensor, "b 15 d"], t: Int[Tensor, " b"], cond: Float[Tensor, "b tokens dim"] | None
    ) -> Float[Tensor, "b 15 d"]:
        """The noise in `x_t`; `cond=None` is the trained null condition."""
        return noise_from_x0(self.alphas_cumprod, x_t, self.predict_x0(x_t, t, cond), t)

    def predict_x0(
        self, x_t: Float[Tensor, "b 15 d"], t: Int[Tensor, " b"], cond: Float[Tensor, "b tokens dim"] | None
    ) -> Float[Tensor, "b 15 d"]:
        """What the clean pose was: f(x_t, t, c) of the paper."""
        with self.judging(x_t):
            return self.network(x_t, t.float(), self.condition(cond, len(x_t))).float()

    def meanings(self, cond: Float[Tensor, "b tokens dim"]) -> Float[Tensor, "b meanings"]:
        """What each sentence may mean, as probabilities: the kinds of grasp in the taxonomy's order, no more than the
        sentence itself says, and nothing of a grasp."""
        assert self.kind_head is not None, "a prior that was trained without kinds leaves sentences as they are"
        return self.kind_head(cond).softmax(dim=-1)

    # ReadsBetweenWords

    @torch.no_grad()
    def says_nothing(self, cond: Float[Tensor, "b tokens dim"]) -> Bool[Tensor, " b"]:
        """Which sentences more likely say nothing of a grasp than anything."""
        if self.kind_head is None:
            return torch.zeros(len(cond), dtype=torch.bool, device=cond.device)
        return self.meanings(cond)[:, NOTHING_SAID] > 0.5

    @torch.no_grad()
    def drawn_conditions(
        self,
        cond: Float[Tensor, "b tokens dim"],
        places: Float[Tensor, "b s"],
        joints_hand: Float[Tensor, "b 21 3"] | None = None,
        visible: Bool[Tensor, "b 21"] | None = None,
    ) -> Float[Tensor, "b s tokens dim"]:
        """s conditions for each sentence: kinds of grasp that it may mean, as often as it means them, in a sentence
        that the denoiser knows; nothing where it may mean none of them, since names alone do more harm than good to
        hands whose kind nobody told (docs/refine.md). With visible joints, as often as hands like these mean them
        (Bayes' rule)."""
        each = cond[:, None].expand(-1, places.shape[1], -1, -1)
        if self.kind_head is None:
            return each
        log_shares = self.meanings(cond)[:, :NOTHING_SAID].log()
        if joints_hand is not None and visible is not None:
            log_shares = log_shares + self.kind_head.seen(joints_hand.to(cond), visible.to(cond.device))
        ends = log_shares.softmax(dim=1).cumsum(dim=1)
        drawn = torch.searchsorted(ends, places.to(ends).contiguous()).clamp(max=AS_SAID)
        kind = self.kind_head.kind_texts[drawn.clamp(max=AS_SAID - 1)]
        none = self.null_text.detach().to(each).expand_as(each)
        return torch.where((drawn == AS_SAID)[..., None, None], none, kind.expand_as(each))

    def _represented(self, hand_pose: Float[Tensor, "b 15 3"]) -> Float[Tensor, "b 15 d"]:
        if self.rotation == "axis_angle":
            return hand_pose
        return rotvec_to_rotmat(hand_pose)[..., :2].flatten(-2)

    # Training.

    def denoising_loss(
        self,
        x: Float[Tensor, "b 15 d"],
        cond: Float[Tensor, "b tokens dim"] | None,
        t: Int[Tensor, " b"],
        noise: Float[Tensor, "b 15 d"],
    ) -> Float[Tensor, " b"]:
        """Mean squared error of each predicted clean pose (paper, Sec. 2.2)."""
        x_t = self.schedule.add_noise(x, noise, t)
        return (self.predict_x0(x_t, t, cond) - x).square().flatten(1).mean(dim=1)

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor | None:
        """One step on `hand_pose` (b, 15, 3) and `text` (b, tokens, dim), unless the denoiser is held (`FineTune`);
        and, of a prior with kinds, on `said` (m, tokens, dim) and what each of it `means` (m,)."""
        if not self.normalized:
            self._measure_normalization(batch["hand_pose"])
        denoising = self._denoising_step(batch) if self.null_text.requires_grad else None
        if denoising is not None:
            self.log("train/loss", denoising.detach(), prog_bar=True)
        if self.kind_head is None:
            return denoising
        self.kind_head.kind_texts.copy_(batch["kind_texts"])
        self.kind_head.examples.copy_(batch["examples"])
        meaning = F.cross_entropy(self.kind_head(batch["said"]), batch["means"])
        self.log("train/meaning", meaning.detach(), prog_bar=True)
        return meaning if denoising is None else denoising + meaning

    def _denoising_step(self, batch: dict[str, Any]) -> Tensor:
        x = self.encode(HandPose.of(batch["hand_pose"]))
        null = torch.rand(len(x), device=x.device) < self.null_probability
        cond = torch.where(null[:, None, None], self.null_text, batch["text"])
        t = torch.randint(len(self.schedule), (len(x),), device=x.device)
        return self.denoising_loss(x, cond, t, torch.randn_like(x)).mean()

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> Float[Tensor, "b 15 3"]:
        """The poses of a batch, each noised to half of the schedule and denoised in one step."""
        x = self.encode(HandPose.of(batch["hand_pose"]))
        t = torch.full((len(x),), len(self.schedule) // 2, device=x.device)
        noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(VALIDATION_SEED)).to(x.device)
        return self.decode(self.predict_x0(self.schedule.add_noise(x, noise, t), t, batch["text"])).hand_pose

    def evaluate(self, batch: dict[str, Any], batch_idx: int, stage: str) -> None:
        """Logs denoising errors with fixed noise: told the pose's text, another grasp's, and none."""
        x = self.encode(HandPose.of(batch["hand_pose"]))
        # Half a batch away: batches are drawn at random, so that it is the text of an unrelated grasp.
        wrong = batch["text"].roll(len(x) // 2, dims=0)
        sums = {"loss": 0.0, "loss_null": 0.0, "loss_wrong": 0.0}
        for _, t, noise in self.fixed_noises(x, batch_idx):
            for name, cond in (("loss", batch["text"]), ("loss_null", None), ("loss_wrong", wrong)):
                sums[name] += float(self.denoising_loss(x, cond, t, noise).mean()) / len(VALIDATION_TIMESTEPS)
        if self.kind_head is not None:
            sums["meaning"] = float(F.cross_entropy(self.kind_head(batch["said"]), batch["means"]))
        for name, value in sums.items():
            self.log(f"{stage}/{name}", value, prog_bar=name == "loss", batch_size=len(x))

    @torch.no_grad()
    def _measure_normalization(self, hand_pose: Float[Tensor, "b 15 3"]) -> None:
        raw = self.of_all_processes(self._represented(hand_pose))
        std = raw.std(dim=0).clamp(min=self.min_std)
        self.normalize_by(raw.mean(dim=0), std, (self.pose_mean, self.pose_std))
