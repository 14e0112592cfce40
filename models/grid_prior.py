"""The interaction-grid prior: a diffusion model of object latents and hand fields, side by side on one grid.

After G-HOP (Ye et al., CVPR 2024): an object is its VQ-VAE latents, a hand its skeletal distance field, both in the
hand's frame, and a 3D U-Net that reads text removes noise from the two together. New here: grasps that an optimiser
made without any prior ("background") train the null condition only, so that the null prediction stands for any grasp
and the conditional one for people's. Guidance and the contrastive score then both point from the first to the second.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from hoprior.errors import HopriorError
from hoprior.geometry.interaction_grid import InteractionGrid
from hoprior.geometry.skeletal import FIELD_JOINTS, joints_from_field, skeletal_field
from hoprior.geometry.state import HandObjectState
from hoprior.kernels.grids import object_grid
from hoprior.models.base import VALIDATION_SEED, DiffusionPrior
from hoprior.models.grid_sampling import field_residual, sample_grids
from hoprior.models.networks.unet3d import UNet3D
from hoprior.models.training.measures import binary_auroc
from hoprior.models.vqvae import SdfVQVAE
from hoprior.priors.diffusion import NoiseSchedule, ScheduleName, ddim_sample, noise_from_velocity
from hoprior.priors.guidance import score
from hoprior.priors.pretrained import load_checkpoint
from hoprior.priors.protocols import Generator
from hoprior.priors.records import InteractionDraws

Prediction: TypeAlias = Literal["epsilon", "v"]

PROPOSAL_STEPS, PROPOSAL_NOISE = 10, 0.9
"""Of `propose_joints`: DDIM steps over the whole schedule, and the fraction of it at which it starts."""
SCORE_TIMESTEPS, SCORE_RANGE = 4, (0.85, 0.95)
"""Noise levels of the validation's contrastive score: those at which ranking grasps tells placements apart."""


class GridPrior(DiffusionPrior):
    """Denoiser of interaction grids x (b, C, d, d, d): `object_channels` of latents, then `hand_channels` of field.

    Args:
        vqvae: file of the trained VQ-VAE (.safetensors or .ckpt); or its arguments, when its weights come with this
            prior's own.
        hand_joints: channels of the hand field, 20 (all joints but the wrist) or 15 (no fingertips either).
        hand_clamp: largest squared distance in the hand field, m².
        object_companding: where c is above 0, the latents z become asinh(c z): most of a grid is empty, and what is not
            would be ten standard deviations off.
        object_std, hand_std: standard deviation that the channels are brought to. A field says the same thing in many
            cells, so noise has to be strong to hide it; below 1 it hides sooner.
        channels, res_blocks, attention, middle_blocks, head_dim, expansion, skip_all, dropout: of the `UNet3D`.
        text_encoder: whose features the condition is (a name of hoprior.priors.text_encoders).
        text_dim: their dimension.
        schedule, timesteps, beta_start, beta_end: the noise schedule.
        prediction: what the network outputs, the noise or the velocity (Salimans & Ho 2022); `predict_noise` is the
            same to callers.
        generic_text_probability: share of recorded grasps that train with `batch["generic_text"]` instead.
        null_probability: share of recorded grasps that train the null condition.
        background_weight: weight of background grasps in the loss; they always train the null condition.
        learning_rate, weight_decay, warmup_steps: of AdamW and its warm-up.
    """

    target_std: Tensor
    grid_mean: Tensor
    grid_std: Tensor

    def __init__(
        self,
        vqvae: str | Path | Mapping[str, Any],
        hand_joints: int = 20,
        hand_clamp: float = 0.01,
        object_companding: float = 0.0,
        object_std: float = 1.0,
        hand_std: float = 1.0,
        channels: Sequence[int] = (96, 128),
        res_blocks: Sequence[int] = (1, 1),
        attention: Sequence[bool] = (True, True),
        middle_blocks: int = 1,
        head_dim: int = 48,
        expansion: int = 2,
        skip_all: bool = False,
        dropout: float = 0.0,
        text_encoder: str = "minilm",
        text_dim: int = 384,
        schedule: ScheduleName = "scaled_linear",
        timesteps: int = 1000,
        beta_start: float = 0.0015,
        beta_end: float = 0.0195,
        prediction: Prediction = "epsilon",
        generic_text_probability: float = 0.2,
        null_probability: float = 0.15,
        background_weight: float = 1.0,
        learning_rate: float = 5e-4,
        weight_decay: float = 0.01,
        warmup_steps: int = 200,
    ) -> None:
        super().__init__()
        self.vqvae = SdfVQVAE(**vqvae) if isinstance(vqvae, Mapping) else _load_vqvae(vqvae)
        self.vqvae.eval().requires_grad_(False)
        # The weights travel with this prior, so that its files stand alone.
        self._arguments["vqvae"] = self.vqvae.config()
        if hand_joints not in FIELD_JOINTS:
            raise HopriorError(f"grid prior: hand_joints is {hand_joints}: use 20 or 15")
        self.spec, self.latent_spec = self.vqvae.spec, self.vqvae.latent_spec
        self.hand_joints, self.hand_clamp, self.object_companding = hand_joints, hand_clamp, object_companding
        object_width = self.vqvae.latent_channels
        self.object_channels = slice(0, object_width)
        self.hand_channels = slice(object_width, object_width + hand_joints)
        self.shape = (object_width + hand_joints, *self.latent_spec.shape)
        self.schedule = NoiseSchedule(schedule, timesteps, beta_start, beta_end)
        width = self.shape[0]
        self.unet = UNet3D(
            width,
            width,
            channels,
            res_blocks,
            attention,
            context_dim=text_dim,
            head_dim=head_dim,
            middle_blocks=middle_blocks,
            expansion=expansion,
            skip_all=skip_all,
            dropout=dropout,
        )
        self.add_null_condition(text_dim)
        target = torch.tensor([object_std] * object_width + [hand_std] * hand_joints)
        self.register_buffer("target_std", target.reshape(-1, 1, 1, 1), persistent=False)
        # Measured on the first training batch.
        self.register_buffer("grid_mean", torch.zeros(self.shape[0], 1, 1, 1))
        self.register_buffer("grid_std", torch.ones(self.shape[0], 1, 1, 1))
        self.register_buffer("normalized", torch.tensor(False))
        self.text_encoder_name = text_encoder
        self.prediction = prediction
        self.generic_text_probability, self.null_probability = generic_text_probability, null_probability
        self.background_weight = background_weight
        self.validated: list[tuple[Tensor, Tensor]] = []

    @property
    def truncation(self) -> float:
        """Distances (m) beyond which its VQ-VAE sees no difference."""
        return self.vqvae.truncation

    def train(self, mode: bool = True) -> "GridPrior":
        """As every module, but the VQ-VAE stays as it is: its codebook must not move."""
        super().train(mode)
        self.vqvae.eval()
        return self

    # The prior, as tasks see it.

    def encode(self, state: HandObjectState) -> Float[Tensor, "b *shape"]:
        """The normalised grid of b states, differentiable in `T_object_hand` and `joints_hand`; weights frozen."""
        return self.encode_grids(object_grid(state, self.spec), state.joints_hand)

    def encode_grids(
        self, object_sdf: Float[Tensor, "b 1 D H W"], joints_hand: Float[Tensor, "b 21 3"]
    ) -> Float[Tensor, "b *shape"]:
        """As `encode`, of distances (metres) that are on the grid already."""
        return self.normalised(self._raw_grids(object_sdf, joints_hand))

    def decode(self, x0: Float[Tensor, "b *shape"]) -> InteractionGrid:
        """Distances and joints of clean grids; the latents are quantised on the way."""
        z = self.expanded(self.unnormalised(x0)[:, self.object_channels])
        with self.judging(z):
            object_sdf = self.vqvae.decode(z)
        return InteractionGrid(object_sdf, self.decode_joints(x0), self.spec)

    def decode_joints(self, x0: Float[Tensor, "b *shape"]) -> Float[Tensor, "b 21 3"]:
        """The joints of clean grids (m); NaN where the field does not hold them."""
        field = self.unnormalised(x0)[:, self.hand_channels]
        with torch.autocast(field.device.type, enabled=False):
            joints = joints_from_field(field.float(), self.latent_spec, self.hand_clamp)
        joints_hand = joints.new_full((len(joints), 21, 3), torch.nan)
        joints_hand[:, 0] = 0.0
        joints_hand[:, FIELD_JOINTS[self.hand_joints]] = joints
        return joints_hand

    @torch.no_grad()
    def sample_interactions(
        self,
        cond: Float[Tensor, "n tokens dim"] | None,
        num: int,
        *,
        steps: int = 50,
        guidance_scale: float = 3.0,
        generator: Generator = None,
        progress: Callable[[float], object] | None = None,
    ) -> InteractionDraws:
        """Hands and objects drawn together; see `hoprior.priors.SamplesInteractions`. Steps must divide the prior's T.

        Joints of a draw whose field no hand has may be NaN.
        """
        x0 = sample_grids(
            self, cond, num, steps=steps, guidance_scale=guidance_scale, generator=generator, progress=progress
        )
        grid = self.decode(x0)
        return InteractionDraws(grid, field_residual(self, x0, grid.joints_hand), self.hand_joints)

    @torch.no_grad()
    def propose_joints(
        self,
        state: HandObjectState,
        cond: Float[Tensor, "b tokens dim"] | None = None,
        generator: torch.Generator | None = None,
        steps: int = PROPOSAL_STEPS,
    ) -> Float[Tensor, "b 21 3"]:
        """Joints (hand frame, m) drawn for the objects as they lie: DDIM of the hand's channels, the object's held.

        It starts from the joints of `state`, noised (SDEdit, Meng et al. 2022): from pure noise a denoiser that
        predicts noise needs many more steps. Joints that the field does not hold are those of `state`.
        """
        x = self.encode(state)
        held = torch.zeros(1, x.shape[1], 1, 1, 1, dtype=torch.bool, device=x.device)
        held[:, self.object_channels] = True
        x0 = ddim_sample(
            self,
            tuple(x.shape),
            cond,
            steps=steps,
            generator=generator,
            known=(held, x),
            x_init=x,
            t_start=PROPOSAL_NOISE,
        )
        joints = self.decode_joints(x0)
        return torch.where(joints.isnan(), state.joints_hand, joints)

    def predict_noise(
        self, x_t: Float[Tensor, "b *shape"], t: Int[Tensor, " b"], cond: Float[Tensor, "b tokens dim"] | None
    ) -> Float[Tensor, "b *shape"]:
        """The noise in `x_t`; `cond=None` is the trained null condition."""
        with self.judging(x_t):
            output = self.unet(x_t, t.float(), self.condition(cond, len(x_t))).float()
        if self.prediction == "epsilon":
            return output
        return noise_from_velocity(self.alphas_cumprod, x_t, output, t)

    def _raw_grids(
        self, object_sdf: Float[Tensor, "b 1 D H W"], joints_hand: Float[Tensor, "b 21 3"]
    ) -> Float[Tensor, "b *shape"]:
        with self.judging(object_sdf):
            z = self.companded(self.vqvae.encode(object_sdf))
        return torch.cat([z, skeletal_field(joints_hand, self.latent_spec, self.hand_clamp, self.hand_joints)], dim=1)

    def companded(self, z: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """Latents as the grid holds them before it is normalised (`object_companding`)."""
        return (self.object_companding * z).asinh() if self.object_companding else z

    def expanded(self, z: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
        """The inverse of `companded`."""
        return z.sinh() / self.object_companding if self.object_companding else z

    def normalised(self, raw: Float[Tensor, "*b C d h w"]) -> Float[Tensor, "*b C d h w"]:
        """Latents (companded) and fields (m²), each channel with the mean and deviation that the network sees."""
        return (raw - self.grid_mean) / self.grid_std * self.target_std

    def unnormalised(self, x0: Float[Tensor, "*b C d h w"]) -> Float[Tensor, "*b C d h w"]:
        """The inverse of `normalised`."""
        return x0 / self.target_std * self.grid_std + self.grid_mean

    # Training.

    def denoising_loss(
        self,
        x: Float[Tensor, "b *shape"],
        cond: Float[Tensor, "b tokens dim"],
        t: Int[Tensor, " b"],
        noise: Float[Tensor, "b *shape"],
    ) -> Float[Tensor, "b"]:
        """Mean squared error of the network's output for each element (Ho et al. 2020, Eq. 14)."""
        x_t = self.schedule.add_noise(x, noise, t)
        output = self.unet(x_t, t.float(), cond).float()
        target = noise
        if self.prediction == "v":
            abar = self.alphas_cumprod[t][:, None, None, None, None]
            target = abar.sqrt() * noise - (1 - abar).sqrt() * x
        return (output - target).square().flatten(1).mean(dim=1)

    def drop_text(
        self,
        text: Float[Tensor, "b tokens dim"],
        generic_text: Float[Tensor, "b tokens dim"],
        recorded: Bool[Tensor, " b"],
    ) -> Float[Tensor, "b tokens dim"]:
        """The condition that each grasp trains: its text, its generic text, or null; a background grasp always null."""
        draw = torch.rand(len(text), device=text.device)
        generic = (draw >= self.null_probability) & (draw < self.null_probability + self.generic_text_probability)
        null = (draw < self.null_probability) | ~recorded
        text = torch.where(generic[:, None, None], generic_text, text)
        return torch.where(null[:, None, None], self.null_text, text)

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """One step on `object_sdf`, `joints_hand`, `text`, `recorded`, and `generic_text` where the batch has it."""
        if not self.normalized:
            self._measure_normalization(batch)
        with torch.no_grad():
            x = self.encode_grids(batch["object_sdf"], batch["joints_hand"])
        recorded = batch["recorded"].bool()
        cond = self.drop_text(batch["text"], generic_text_of(batch), recorded)
        t = torch.randint(len(self.schedule), (len(x),), device=x.device)
        each = self.denoising_loss(x, cond, t, torch.randn_like(x))
        weight = torch.where(recorded, 1.0, self.background_weight)
        loss = (weight * each).sum() / weight.sum().clamp(min=1e-6)
        self.log("train/loss", loss.detach(), prog_bar=True)
        return loss

    def predict_step(self, batch: dict[str, Any], batch_idx: int) -> dict[str, Tensor]:
        """The contrastive score of each grasp of a batch, and whether it was recorded."""
        return {"score": self._contrast(batch), "recorded": batch["recorded"].bool()}

    def on_validation_epoch_end(self) -> None:
        """Logs the AUC."""
        self._log_auc("val")

    def on_test_epoch_end(self) -> None:
        """Logs the AUC."""
        self._log_auc("test")

    def evaluate(self, batch: dict[str, Any], batch_idx: int, stage: str) -> None:
        """Logs denoising errors with fixed noise; keeps contrastive scores for the epoch's AUC."""
        x = self.encode_grids(batch["object_sdf"], batch["joints_hand"])
        recorded = batch["recorded"].bool()
        cond = torch.where(recorded[:, None, None], batch["text"], self.null_text)
        errors = []
        for fraction, t, noise in self.fixed_noises(x, batch_idx):
            errors.append(self.denoising_loss(x, cond, t, noise).mean())
            self.log(f"{stage}/loss_{fraction}", errors[-1], batch_size=len(x))
        self.log(f"{stage}/loss", torch.stack(errors).mean(), prog_bar=True, batch_size=len(x))
        self.validated.append((self._contrast(batch).cpu(), recorded.cpu()))

    def _contrast(self, batch: dict[str, Any]) -> Float[Tensor, " b"]:
        """Log-likelihood ratio of the generic text against null: how much more people's than any grasp."""
        x = self.encode_grids(batch["object_sdf"], batch["joints_hand"])
        generator = torch.Generator().manual_seed(VALIDATION_SEED)
        cond = generic_text_of(batch)
        return score(_OfGrids(self), x, cond, SCORE_TIMESTEPS, generator=generator, t_range=SCORE_RANGE, contrast=1.0)

    def _log_auc(self, stage: str) -> None:
        if not self.validated:
            return
        scores, recorded = (torch.cat(part) for part in zip(*self.validated, strict=True))
        self.validated.clear()
        if recorded.any() and not recorded.all():
            self.log(f"{stage}/auc", binary_auroc(_ranks(scores), recorded.long()), prog_bar=True)

    @torch.no_grad()
    def _measure_normalization(self, batch: dict[str, Any]) -> None:
        raw = self.of_all_processes(self._raw_grids(batch["object_sdf"], batch["joints_hand"]))
        raw = raw.transpose(0, 1).flatten(1)
        self.normalize_by(raw.mean(dim=1), raw.std(dim=1).clamp(min=1e-6), (self.grid_mean, self.grid_std))


class _OfGrids:
    """A grid prior whose states are grids that are encoded already."""

    def __init__(self, prior: GridPrior) -> None:
        self.predict_noise = prior.predict_noise
        self.alphas_cumprod = prior.alphas_cumprod

    def encode(self, x: Float[Tensor, "b *shape"]) -> Float[Tensor, "b *shape"]:
        """The grids themselves."""
        return x


def _load_vqvae(path: str | Path) -> SdfVQVAE:
    vqvae = load_checkpoint(path) if str(path).endswith(".ckpt") else SdfVQVAE.from_safetensors(path)
    if not isinstance(vqvae, SdfVQVAE):
        raise HopriorError(f"{path}: is a {type(vqvae).__name__}, not a VQ-VAE")
    return vqvae


def generic_text_of(batch: dict[str, Any]) -> Float[Tensor, "b tokens dim"]:
    """Features of sentences that say nothing of the grasp, one for each element; their own texts if there are none."""
    generic = batch.get("generic_text", batch["text"])
    return generic.expand_as(batch["text"])


def _ranks(scores: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
    """Ranks in [0, 1]: torchmetrics squashes what is outside by a sigmoid, which would merge scores."""
    return scores.argsort().argsort().float() / max(1, len(scores) - 1)
