"""The prior of interactions: a hand and the whole object that it holds, as one short vector each, told in words.

G-HOP (Ye et al., CVPR 2024, Sec. 3.1) denoises local latents of the object beside the hand's fields. Here one code
stands for the whole object (`ShapeAutoencoder`), so that what is drawn is one clean thing, and one vector for where the
hand is at it and how it is bent. Both have a noise level of their own (`TwoTimeDenoiser`): the same network draws
objects alone, hands for a given object, and both together.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
import trimesh
from jaxtyping import Bool, Float, Int
from torch import Tensor

from hoprior.errors import HopriorError
from hoprior.geometry.grid import GridSpec
from hoprior.geometry.interaction_grid import InteractionGrid
from hoprior.geometry.rotations import special_gramschmidt
from hoprior.geometry.sdf import SdfGrid
from hoprior.geometry.shape_box import ShapeBox
from hoprior.geometry.state import HandObjectState
from hoprior.geometry.whole import whole_objects
from hoprior.hand import load_hand
from hoprior.hand.landmarks import PALM_CENTRE
from hoprior.models.base import DiffusionPrior
from hoprior.models.interaction_completion import completed
from hoprior.models.interaction_draws import draw_hands, draw_objects
from hoprior.models.networks.two_time_denoiser import TwoTimeDenoiser
from hoprior.models.shape_autoencoder import ShapeAutoencoder
from hoprior.models.shape_surfaces import distances_on, surface_of
from hoprior.priors.diffusion import NoiseSchedule, ScheduleName, noise_from_velocity
from hoprior.priors.protocols import Generator, PriorInfo
from hoprior.priors.records import HandDraws, InteractionDraws

EXTENTS = 3
PLACE = 9
"""Numbers that say where a hand is: two columns of its rotation, and its place (dm) from the box's middle."""
BENT = 45
HAND = PLACE + BENT
GRID = GridSpec(PALM_CENTRE, 0.14, 32)
"""On which draws are also given as distances."""
GUIDANCE_SCALE = 1.0
"""At which its draws are best."""
TRUNCATION = 0.04
"""Of distances (m) there, where draws are compared with others."""


class Interactions(NamedTuple):
    """n hands at n objects, as the prior has them."""

    code: Float[Tensor, "n code"]
    extents: Float[Tensor, "n 3"]
    """Sides of the objects' boxes, m."""
    T_box_hand: Float[Tensor, "n 4 4"]
    """From the hand's frame to that of the box's middle, m."""
    hand_pose: Float[Tensor, "n 15 3"]


class InteractionPrior(DiffusionPrior):
    """Denoiser of x (b, code + 3 + 54): an object's code and its box's sides, a hand's place and how it is bent.

    Args:
        shapes: the autoencoder: a file of `hoprior export`, or its arguments.
        width, blocks, expansion, dropout: of the `TwoTimeDenoiser`.
        text_encoder, text_dim: whose features the condition is, and their dimension.
        schedule, timesteps, beta_start, beta_end: the noise schedule.
        null_probability: share of the rows that train the null condition.
        code_noise: deviation of what is added to codes in training.
        learning_rate, weight_decay, warmup_steps: of AdamW and its warm-up.
    """

    info = PriorInfo(reads=frozenset({"sdf", "T_object_hand", "hand_pose"}), guidance_scale=GUIDANCE_SCALE)

    truncation = TRUNCATION
    hand_joints = 20
    x_mean: Tensor
    x_std: Tensor

    def __init__(
        self,
        shapes: str | Path | Mapping[str, Any],
        width: int = 288,
        blocks: int = 4,
        expansion: int = 2,
        dropout: float = 0.0,
        text_encoder: str = "minilm",
        text_dim: int = 384,
        schedule: ScheduleName = "cosine",
        timesteps: int = 1000,
        beta_start: float = 1e-4,
        beta_end: float = 0.02,
        null_probability: float = 0.1,
        code_noise: float = 0.05,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.01,
        warmup_steps: int = 200,
    ) -> None:
        super().__init__()
        self.shapes = ShapeAutoencoder(**shapes) if isinstance(shapes, Mapping) else _load_shapes(shapes)
        self.shapes.eval().requires_grad_(False)
        # The weights travel with this prior, so that its files stand alone.
        self._arguments["shapes"] = self.shapes.config()
        self.object_size = self.shapes.code + EXTENTS
        self.schedule = NoiseSchedule(schedule, timesteps, beta_start, beta_end)
        self.network = TwoTimeDenoiser(self.object_size, HAND, text_dim, width, blocks, expansion, dropout)
        self.add_null_condition(text_dim)
        # Measured on the first training batch.
        self.register_buffer("x_mean", torch.zeros(self.object_size + HAND))
        self.register_buffer("x_std", torch.ones(self.object_size + HAND))
        self.register_buffer("normalized", torch.tensor(False))
        self.text_encoder_name = text_encoder
        self.null_probability, self.code_noise = null_probability, code_noise

    @property
    def hand_size(self) -> int:
        """Numbers that say how a hand is."""
        return HAND

    @property
    def spec(self) -> GridSpec:
        """Of the grid on which its draws are also given."""
        return GRID

    def train(self, mode: bool = True) -> "InteractionPrior":
        """As every module, but the autoencoder stays as it is."""
        super().train(mode)
        self.shapes.eval()
        return self

    # The prior, as tasks see it.

    def encode(self, state: HandObjectState) -> Float[Tensor, "b d"]:
        """The normalised vectors of b states, differentiable in `T_object_hand` and `hand_pose`.

        Raises:
            HopriorError: the state has no `hand_pose`, or its distances have no inside.
        """
        if state.hand_pose is None:
            raise HopriorError(
                "prior of interactions: the state says where the joints are but not how they are bent: give it a"
                " hand_pose"
            )
        objects = whole_objects(state)
        each = [self._encode_at(grid, state.T_object_hand[rows], state.hand_pose[rows]) for grid, rows in objects]
        return torch.cat(each)[torch.cat([rows for _, rows in objects]).argsort()]

    def _encode_at(
        self, sdf: SdfGrid, T_object_hand: Float[Tensor, "b 4 4"], hand_pose: Float[Tensor, "b 15 3"]
    ) -> Float[Tensor, "b d"]:
        """The same of hands that are all at one object."""
        box = ShapeBox.of_inside(sdf)
        with torch.no_grad():
            code = self.shapes.encode(box.field(sdf)[None, None]).expand(len(hand_pose), -1)
        centre, extents = (torch.as_tensor(side).to(code) for side in (box.centre, box.extents))
        shift = torch.eye(4).to(code)
        shift[:3, 3] = -centre
        return self.normalised(Interactions(code, extents.expand(len(code), -1), shift @ T_object_hand, hand_pose))

    def predict_noise(
        self, x_t: Float[Tensor, "b d"], t: Int[Tensor, " b"], cond: Float[Tensor, "b tokens dim"] | None
    ) -> Float[Tensor, "b d"]:
        """The noise in `x_t`, of which hand and object are equally noisy; `cond=None` is the null condition."""
        return self.noise_in(x_t, x_t, t, torch.stack([t, t], dim=1), cond)

    def noise_in(
        self,
        x: Float[Tensor, "b d"],
        x_t: Float[Tensor, "b k"],
        t: Int[Tensor, " b"],
        times: Float[Tensor, "b 2"] | Int[Tensor, "b 2"],
        cond: Float[Tensor, "b tokens dim"] | None,
        part: slice = slice(None),
    ) -> Float[Tensor, "b k"]:
        """The noise in a part of x that is at time t, where object and hand are at `times`."""
        with self.judging(x):
            velocity = self.network(x, times.float(), self.condition(cond, len(x))).float()[:, part]
        return noise_from_velocity(self.alphas_cumprod, x_t, velocity, t)

    def normalised(self, found: Interactions) -> Float[Tensor, "n d"]:
        """Hands at objects as the network sees them."""
        place = found.T_box_hand[:, :3]
        raw = [
            found.code,
            found.extents.log(),
            place[..., :2].flatten(1),
            10 * place[..., 3],
            found.hand_pose.flatten(1),
        ]
        return (torch.cat([part.to(found.code.dtype) for part in raw], dim=1) - self.x_mean) / self.x_std

    def decode_objects(self, objects: Float[Tensor, "n k"]) -> tuple[Float[Tensor, "n code"], Float[Tensor, "n 3"]]:
        """Codes and sides (m) of normalised objects, the first columns of x."""
        size = self.object_size
        code, extents = (objects * self.x_std[:size] + self.x_mean[:size]).split([self.shapes.code, EXTENTS], dim=1)
        return code, extents.exp()

    def decode(self, x0: Float[Tensor, "n d"]) -> Interactions:
        """The inverse of `normalised`; rotations are made orthonormal."""
        raw = x0 * self.x_std + self.x_mean
        code, extents, columns, place, bent = raw.split([self.shapes.code, EXTENTS, 6, 3, BENT], dim=1)
        T = torch.eye(4, device=x0.device, dtype=x0.dtype).repeat(len(x0), 1, 1)
        T[:, :3, :3] = special_gramschmidt(columns.unflatten(1, (3, 2)))
        T[:, :3, 3] = place / 10
        return Interactions(code, extents.exp(), T, bent.unflatten(1, (15, 3)))

    @torch.no_grad()
    def sample_interactions(
        self,
        cond: Float[Tensor, "n tokens dim"] | None,
        num: int,
        *,
        steps: int = 50,
        guidance_scale: float = GUIDANCE_SCALE,
        generator: Generator = None,
        progress: Callable[[float], object] | None = None,
    ) -> InteractionDraws:
        """Objects, then hands for each; see `hoprior.priors.SamplesInteractions`. Steps must divide the prior's T."""
        told = progress or (lambda share: None)
        options: dict[str, Any] = {"steps": steps, "guidance_scale": guidance_scale, "generator": generator}
        objects = draw_objects(self, cond, num, **options, progress=lambda share: told(0.2 * share))
        x0 = draw_hands(self, objects, cond, **options, progress=lambda share: told(0.2 + 0.2 * share))
        found = self.decode(x0)
        joints = load_hand("open").joints_only(found.hand_pose.cpu())
        meshes, grids = [], []
        for i in range(num):
            code, extents, T_box_hand = found.code[i], found.extents[i], found.T_box_hand[i]
            mesh, level = surface_of(self.shapes, code, extents)
            meshes.append(mesh.apply_transform(torch.linalg.inv(T_box_hand).double().cpu().numpy()))
            grids.append(distances_on(GRID, self.shapes, code, extents, T_box_hand, level).cpu())
            told(0.4 + 0.6 * (i + 1) / num)
        grid = InteractionGrid(torch.stack(grids), joints, GRID)
        return InteractionDraws(grid, None, 20, tuple(meshes), found.hand_pose.cpu())

    @torch.no_grad()
    def sample_hands_at(
        self,
        sdf: SdfGrid,
        cond: Float[Tensor, "1 tokens dim"] | None,
        num: int,
        *,
        steps: int = 50,
        guidance_scale: float = GUIDANCE_SCALE,
        generator: Generator = None,
        progress: Callable[[float], object] | None = None,
    ) -> HandDraws:
        """Hands for an object that is there; see `hoprior.priors.SamplesHands`. Steps must divide the prior's T.

        Raises:
            HopriorError: the object's distances have no inside.
        """
        box = ShapeBox.of_inside(sdf)
        eye = torch.eye(4, device=sdf.values.device).repeat(num, 1, 1)
        objects = self._encode_at(sdf, eye, eye.new_zeros(num, 15, 3))[:, : self.object_size]
        told = None if cond is None else cond.expand(num, -1, -1)
        x0 = draw_hands(
            self, objects, told, steps=steps, guidance_scale=guidance_scale, generator=generator, progress=progress
        )
        found = self.decode(x0)
        T = found.T_box_hand.clone()
        T[:, :3, 3] += torch.as_tensor(box.centre).to(T)
        return HandDraws(T, found.hand_pose)

    @torch.no_grad()
    def sample_objects(
        self,
        cond: Float[Tensor, "n tokens dim"] | None,
        num: int,
        *,
        steps: int = 50,
        guidance_scale: float = GUIDANCE_SCALE,
        generator: Generator = None,
        progress: Callable[[float], object] | None = None,
    ) -> list[trimesh.Trimesh]:
        """Objects alone; see `hoprior.priors.SamplesObjects`. Steps must divide the prior's T."""
        objects = draw_objects(
            self, cond, num, steps=steps, guidance_scale=guidance_scale, generator=generator, progress=progress
        )
        return [
            surface_of(self.shapes, code, extents).mesh
            for code, extents in zip(*self.decode_objects(objects), strict=True)
        ]

    def complete_objects(
        self,
        seen: Float[Tensor, "n 3"],
        cond: Float[Tensor, "k tokens dim"] | None,
        num: int,
        *,
        steps: int = 50,
        guidance_scale: float = GUIDANCE_SCALE,
        generator: Generator = None,
        progress: Callable[[float], object] | None = None,
    ) -> list[trimesh.Trimesh]:
        """Objects that have a surface at points that were seen; see `hoprior.priors.CompletesObjects`, `completed`."""
        return completed(
            self, seen, cond, num, steps=steps, guidance_scale=guidance_scale, generator=generator, progress=progress
        )

    # Training.

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """One step on `code`, `extents`, `T_box_hand`, `hand_pose`, `text`, and `held`: whether there is a hand."""
        if not self.normalized:
            self._measure_normalization(batch)
        x = self.normalised(_of_batch(batch, self.code_noise))
        null = torch.rand(len(x), device=x.device) < self.null_probability
        cond = torch.where(null[:, None, None], self.null_text, batch["text"])
        times = self._times(batch["held"])
        loss = self._loss(x, cond, times, torch.randn_like(x)).mean()
        self.log("train/loss", loss.detach(), prog_bar=True)
        return loss

    def _times(self, held: Bool[Tensor, " b"]) -> Int[Tensor, "b 2"]:
        """Times of object and hand: a third each of both alike, the hand unknown, the object known; T is unknown."""
        T = len(self.schedule)
        t = torch.randint(T, (len(held),), device=held.device)
        kind = torch.where(held, torch.randint(3, (len(held),), device=held.device), 1)
        first = torch.where(kind == 2, 0, t)
        second = torch.where(kind == 1, T, t)
        return torch.stack([first, second], dim=1)

    def _loss(
        self,
        x: Float[Tensor, "b d"],
        cond: Float[Tensor, "b tokens dim"],
        times: Int[Tensor, "b 2"],
        noise: Float[Tensor, "b d"],
    ) -> Float[Tensor, " b"]:
        """Mean squared error of the velocity, of hand and object each as far as it is to be found."""
        T = len(self.schedule)
        sizes = [self.object_size, HAND]

        def each(of_parts: Tensor) -> Tensor:
            """What is said of object and hand, for every number of theirs."""
            return of_parts.repeat_interleave(torch.tensor(sizes, device=x.device), dim=1)

        abar = each(self.alphas_cumprod[times.clamp(max=T - 1)])
        x_t = abar.sqrt() * x + (1 - abar).sqrt() * noise
        unknown, known = times == T, times == 0
        x_t = torch.where(each(known), x, torch.where(each(unknown), torch.zeros_like(x), x_t))
        velocity = abar.sqrt() * noise - (1 - abar).sqrt() * x
        error = (self.network(x_t, times.float(), cond).float() - velocity).square()
        asked = (~unknown & ~known).to(error.dtype)
        parts = torch.stack([part.mean(dim=1) for part in error.split(sizes, dim=1)], dim=1)
        return (parts * asked).sum(dim=1) / asked.sum(dim=1).clamp(min=1)

    @torch.no_grad()
    def evaluate(self, batch: dict[str, Any], batch_idx: int, stage: str) -> None:
        """Logs errors of the velocity with fixed noise: of objects alone, told and untold, and of hands for objects."""
        x = self.normalised(_of_batch(batch))
        T = len(self.schedule)
        null = self.null_text.expand_as(batch["text"])
        sums = {"object": 0.0, "object_null": 0.0, "hand": 0.0}
        noises = self.fixed_noises(x, batch_idx)
        held = batch["held"]
        for _, t, noise in noises:
            alone = torch.stack([t, torch.full_like(t, T)], dim=1)
            given = torch.stack([torch.zeros_like(t), t], dim=1)
            sums["object"] += float(self._loss(x, batch["text"], alone, noise).mean()) / len(noises)
            sums["object_null"] += float(self._loss(x, null, alone, noise).mean()) / len(noises)
            if held.any():
                of_hands = self._loss(x[held], batch["text"][held], given[held], noise[held])
                sums["hand"] += float(of_hands.mean()) / len(noises)
        self.log(f"{stage}/loss", sums["object"] + sums["hand"], prog_bar=True, batch_size=len(x))
        for name, value in sums.items():
            self.log(f"{stage}/{name}", value, batch_size=len(x))

    @torch.no_grad()
    def _measure_normalization(self, batch: dict[str, Any]) -> None:
        raw = self.of_all_processes(self.normalised(_of_batch(batch)))
        size = self.object_size
        mean, std = raw.mean(dim=0), raw.std(dim=0)
        held = raw[self.of_all_processes(batch["held"].to(raw)) > 0]
        mean[size:], std[size:] = held[:, size:].mean(dim=0), held[:, size:].std(dim=0)
        # What hardly varies, such as twist, must not count as much as what does.
        least = torch.full_like(std, 0.05)
        least[: self.shapes.code] = 0.3
        self.normalize_by(mean, torch.maximum(std, least), (self.x_mean, self.x_std))


def _of_batch(batch: dict[str, Any], code_noise: float = 0.0) -> Interactions:
    """The rows of a batch, their codes noised."""
    code = batch["code"] + code_noise * torch.randn_like(batch["code"]) if code_noise else batch["code"]
    return Interactions(code, batch["extents"], batch["T_box_hand"], batch["hand_pose"])


def _load_shapes(path: str | Path) -> ShapeAutoencoder:
    shapes = ShapeAutoencoder.from_safetensors(path)
    if not isinstance(shapes, ShapeAutoencoder):
        raise HopriorError(f"{path}: is a {type(shapes).__name__}, not an autoencoder of shapes")
    return shapes
