"""Priors that judge hands at objects, asked which of a hand's draws fit what it holds, and which way to bend them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trimesh
from jaxtyping import Bool, Float, Int
from torch import Tensor

from hoprior.common.array_files import read_arrays
from hoprior.common.reading import interpreting, read_json
from hoprior.errors import ArgumentError, HopriorError
from hoprior.geometry.mesh import mirrored, prepare_mesh
from hoprior.geometry.repair import moved, place_of
from hoprior.geometry.sdf import SdfGrid
from hoprior.geometry.state import HandObjectState
from hoprior.geometry.transforms import mirrored_transform
from hoprior.hand import HandModel, HandPose
from hoprior.language.phrases import sentence_for
from hoprior.priors.guidance import guidance_loss, score
from hoprior.priors.protocols import info_of, text_encoder_of
from hoprior.priors.text_encoders import encode_texts
from hoprior.tasks.objects import load_object
from hoprior.tasks.shared import NamedPrior

SEED = 0


@dataclass(frozen=True)
class JudgeConfig:
    """How priors that judge hands at objects have their say.

    Attributes:
        sharpness: draws are weighed by exp(sharpness * score), scores having deviation 1 over the draws of a hand.
        rate: of each step of denoising, towards what the judges like better, radians over all free rotations; 0 is
            none.
        t_range: fractions of T at which denoisers judge that say no `PriorInfo.noise_range`.
        timesteps: of a denoiser's score, over that range.
    """

    sharpness: float = 1.0
    rate: float = 0.0
    t_range: tuple[float, float] = (0.65, 0.75)
    timesteps: int = 4

    def __post_init__(self) -> None:
        for name in ("sharpness", "rate"):
            if getattr(self, name) < 0:
                raise ArgumentError(f"config.judge.{name}", getattr(self, name), "is negative: use 0 or more")
        if self.timesteps < 1:
            raise ArgumentError("config.judge.timesteps", self.timesteps, "is too few: use at least 1")


@dataclass(frozen=True)
class HeldObject:
    """An object before the camera.

    Attributes:
        mesh: metres, in the object's frame.
        T_camera_object: maps the object's frame to the camera's (x right, y down, z forward, m).
        name: what errors and results call it.
    """

    mesh: trimesh.Trimesh
    T_camera_object: Float[Tensor, "4 4"]
    name: str = "object"

    @classmethod
    def from_files(
        cls,
        mesh: str | Path,
        pose: str | Path,
        unit: str | None = None,
        *,
        text: str | None = None,
        size: str | float | None = None,
        scale: float | None = None,
        part: str | None = None,
    ) -> "HeldObject":
        """An object's mesh, and its place: a .json with the 4x4 `T_camera_object`, or an .npz with that array.

        `unit`, `size`, `scale` and `part` are of the mesh's file, see `load_mesh`; `text` says what it is, "a mug".

        Raises:
            HopriorError: a file cannot be read, or has no such matrix.
        """
        path = Path(pose)
        advice = "give T_camera_object, a 4x4 matrix, as .json or .npz"
        is_npz = path.suffix.lower() == ".npz"
        content = read_arrays(path, ["T_camera_object"], advice=advice) if is_npz else read_json(path, advice)
        with interpreting(path, advice, "has no T_camera_object"):
            matrix = np.asarray(content["T_camera_object"] if isinstance(content, dict) else content, dtype=np.float64)
        rotation = matrix[:3, :3] if matrix.shape == (4, 4) else np.zeros((3, 3))
        if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3) or np.linalg.det(rotation) < 0:
            raise HopriorError(f"{path}: T_camera_object is no rotation and translation: give metres, and no scale")
        solid = load_object(mesh, text, unit, size, scale, part).solid
        # A mesh far from its origin would be rounded in single precision: its frame is moved to it.
        place = place_of(solid)
        matrix[:3, 3] += rotation @ place
        return cls(moved(solid, -place), torch.as_tensor(matrix, dtype=torch.float32), Path(mesh).stem)


class Judging:
    """What priors say of hands at the objects that they hold: how much each draw counts, and which way to bend it.

    A hand is judged alone with its own draws, so that it depends neither on others nor on how many there are.

    Args:
        judges: priors that judge hands at objects, with their weights.
        held: what each hand holds; None for a hand of which nobody knows.
        texts: what is said of each hand.
        sides: of each hand; left ones are judged as right ones in a mirrored world.
        device: where the priors are.
        config: how they have their say.
    """

    def __init__(
        self,
        judges: Sequence[NamedPrior],
        held: Sequence[HeldObject | None],
        texts: Sequence[str | None],
        sides: Sequence[str],
        device: torch.device,
        config: JudgeConfig | None = None,
    ) -> None:
        self.judges, self.device, self.config = judges, device, config or JudgeConfig()
        looked_at: dict[tuple[int, str], SdfGrid] = {}
        self.worlds: list[tuple[SdfGrid, Float[Tensor, "4 4"]] | None] = []
        for one, side in zip(held, sides, strict=True):
            if one is None:
                self.worlds.append(None)
                continue
            if one.T_camera_object.shape != (4, 4):
                raise ArgumentError("held", tuple(one.T_camera_object.shape), "is no 4x4 T_camera_object")
            left, key = side == "left", (id(one.mesh), side)
            if key not in looked_at:
                solid = prepare_mesh(one.mesh).solid
                looked_at[key] = SdfGrid.from_mesh(mirrored(solid) if left else solid).to(device)
            T_camera_object = one.T_camera_object.float()
            self.worlds.append((looked_at[key], mirrored_transform(T_camera_object) if left else T_camera_object))
        self.asked = [
            [] if world is None else self._asked(text) for world, text in zip(self.worlds, texts, strict=True)
        ]

    def _asked(self, text: str | None) -> list[tuple[NamedPrior, Float[Tensor, "1 tokens dim"] | None]]:
        """The judges that have something to say of a hand, with their features of its text."""
        told = bool(text and text.strip())
        able = [one for one in self.judges if one.weight and (told or not info_of(one.prior).requires_text)]
        return [(one, self._features(one.prior, text)) for one in able]

    def _features(self, judge: Any, text: str | None) -> Float[Tensor, "1 tokens dim"] | None:
        if text_encoder_of(judge) is None:
            return None
        return encode_texts(judge, [sentence_for(text)], device=self.device)

    def weights(self, hand: HandModel, pose: HandPose, hand_pose: Float[Tensor, "b s 15 3"]) -> Float[Tensor, "b s"]:
        """How much each of s draws of b right hands counts; 1 in the mean over a hand's draws."""
        return torch.stack([self._weights(i, hand, pose, draws) for i, draws in enumerate(hand_pose)])

    @torch.no_grad()
    def _weights(self, i: int, hand: HandModel, pose: HandPose, draws: Float[Tensor, "s 15 3"]) -> Float[Tensor, " s"]:
        total = torch.zeros(len(draws))
        for (weight, judge, _), cond in self.asked[i]:
            scores = score(
                judge,
                self._state(i, hand, pose, draws),
                None if cond is None else cond.expand(len(draws), -1, -1),
                self.config.timesteps,
                generator=torch.Generator().manual_seed(SEED),
                t_range=info_of(judge).noise_range or self.config.t_range,
            ).cpu()
            spread = scores.std(unbiased=False).clamp(min=info_of(judge).min_score_std)
            total += weight * (scores - scores.mean()) / spread
        return len(draws) * torch.softmax(self.config.sharpness * total, dim=0)

    def bent(
        self,
        hand: HandModel,
        pose: HandPose,
        owner: Int[Tensor, " m"],
        rows: Int[Tensor, " n"],
        draws: Float[Tensor, "n 15 3"],
        free: Bool[Tensor, "n 15 1"],
        step: int,
    ) -> Float[Tensor, "n 15 3"]:
        """Draws after a step towards what the judges like better.

        Args:
            pose: of all hands.
            owner: which of them each of m draws is of.
            rows: the draws that are asked about, all of a hand's or none.
            free: rotations that may turn.
            step: a number of its own for each step, of which the noise of denoisers is made.
        """
        after = draws.clone()
        for i in owner[rows].unique().tolist():
            own = owner[rows] == i
            after[own] -= self.config.rate * self._slope(i, hand, pose, draws[own], free[own], step)
        return after

    def _slope(
        self, i: int, hand: HandModel, pose: HandPose, draws: Tensor, free: Tensor, step: int
    ) -> Float[Tensor, "s 15 3"]:
        """The judges' gradients, each of unit length over a draw's free rotations, and their weighted sum.

        A judge that hardly cares, by less than its `min_score_std` over a radian, turns a hand by less.
        """
        total = torch.zeros_like(draws)
        for (weight, judge, _), cond in self.asked[i]:
            moving = draws.detach().requires_grad_()
            with torch.enable_grad():
                loss = guidance_loss(
                    judge,
                    self._state(i, hand, pose, moving),
                    None if cond is None else cond.expand(len(draws), -1, -1),
                    t_range=info_of(judge).noise_range or self.config.t_range,
                    generator=torch.Generator().manual_seed(SEED + step),
                ).sum()
            # Some judges only compare: what they say has no gradient.
            slope = torch.autograd.grad(loss, moving, allow_unused=True)[0] if loss.requires_grad else None
            if slope is None:
                continue
            slope = torch.where(free, slope, 0.0)
            length = slope.flatten(1).norm(dim=1).clamp(min=info_of(judge).min_score_std)
            total += weight * slope / length[:, None, None]
        return total

    def _state(self, i: int, hand: HandModel, pose: HandPose, draws: Float[Tensor, "s 15 3"]) -> HandObjectState:
        """Hand i at what it holds, bent as its draws are."""
        world, one = self.worlds[i], pose[i]
        assert world is not None, "only hands of which it is known what they hold are judged"
        sdf, T_camera_object = world
        T_camera_hand = one.T_target_hand
        T_object_hand = (torch.linalg.inv(T_camera_object) @ T_camera_hand).expand(len(draws), 4, 4)
        joints = hand.joints_only(draws, one.betas.expand(len(draws), -1))
        return HandObjectState(
            sdf, T_object_hand.to(self.device), joints.to(self.device), hand_pose=draws.to(self.device)
        )
