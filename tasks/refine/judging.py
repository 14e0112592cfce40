"""Priors that judge hands at objects, asked which of a hand's draws fits what it holds."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import roma
import torch
import trimesh
from jaxtyping import Float
from torch import Tensor

from hoprior.errors import ArgumentError, HopriorError
from hoprior.geometry.mesh import load_mesh, mirrored, prepare_mesh
from hoprior.geometry.sdf import SdfGrid
from hoprior.geometry.state import HandObjectState, rigid
from hoprior.hand import HandModel, HandPose
from hoprior.language.phrases import sentence_for
from hoprior.priors.guidance import score
from hoprior.priors.protocols import info_of, text_encoder_of
from hoprior.priors.text_encoders import encode_texts
from hoprior.tasks.shared import NamedPrior

SHARPNESS = 1.0
"""Draws are weighed by exp(SHARPNESS * score), scores having deviation 1 over the draws of a hand."""
SEED = 0


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
    def from_files(cls, mesh: str | Path, pose: str | Path, unit: str = "m") -> "HeldObject":
        """An object's mesh, and its place: a .json with the 4x4 `T_camera_object`, or an .npz with that array.

        Raises:
            HopriorError: a file cannot be read, or has no such matrix.
        """
        path = Path(pose)
        try:
            if path.suffix == ".npz":
                with np.load(path, allow_pickle=False) as file:
                    matrix = np.asarray(file["T_camera_object"], dtype=np.float64)
            else:
                content = json.loads(path.read_text(encoding="utf-8"))
                matrix = np.asarray(
                    content["T_camera_object"] if isinstance(content, dict) else content, dtype=np.float64
                )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise HopriorError(
                f"{path}: has no T_camera_object, a 4x4 matrix, as .json or .npz ({type(error).__name__}: {error})"
            ) from error
        rotation = matrix[:3, :3] if matrix.shape == (4, 4) else np.zeros((3, 3))
        if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3) or np.linalg.det(rotation) < 0:
            raise HopriorError(f"{path}: T_camera_object is no rotation and translation: give metres, and no scale")
        return cls(load_mesh(mesh, unit).solid, torch.as_tensor(matrix, dtype=torch.float32), Path(mesh).stem)


class Judging:
    """Weights of draws: by what priors say of each draw's hand at the object that it holds.

    Args:
        judges: priors that judge hands at objects, with their weights.
        held: what all hands hold.
        texts: what is said of each hand.
        sides: of each hand; left ones are judged as right ones in a mirrored world.
        device: where the priors are.
    """

    def __init__(
        self,
        judges: Sequence[NamedPrior],
        held: HeldObject,
        texts: Sequence[str | None],
        sides: Sequence[str],
        device: torch.device,
    ) -> None:
        if held.T_camera_object.shape != (4, 4):
            raise ArgumentError("held", tuple(held.T_camera_object.shape), "is no 4x4 T_camera_object")
        self.judges, self.device = judges, device
        solid = prepare_mesh(held.mesh).solid
        mirror = torch.diag(torch.tensor([1.0, -1.0, 1.0, 1.0]))
        worlds = {
            "right": (solid, held.T_camera_object.float()),
            "left": (mirrored(solid), mirror @ held.T_camera_object.float() @ mirror),
        }
        self.worlds = {
            side: (SdfGrid.from_mesh(mesh).to(device), T) for side, (mesh, T) in worlds.items() if side in sides
        }
        self.sides, self.texts = sides, texts

    @torch.no_grad()
    def weights(self, hand: HandModel, pose: HandPose, hand_pose: Float[Tensor, "b s 15 3"]) -> Float[Tensor, "b s"]:
        """How much each of s draws of b right hands counts; 1 in the mean over a hand's draws."""
        each = [self._of_hand(i, hand, pose[torch.tensor([i])], hand_pose[i]) for i in range(len(hand_pose))]
        return torch.stack(each)

    def _of_hand(self, i: int, hand: HandModel, pose: HandPose, draws: Float[Tensor, "s 15 3"]) -> Float[Tensor, " s"]:
        sdf, T_camera_object = self.worlds[self.sides[i]]
        T_camera_hand = rigid(roma.rotvec_to_rotmat(pose.global_orient), pose.transl)
        T_object_hand = (torch.linalg.inv(T_camera_object) @ T_camera_hand).expand(len(draws), 4, 4)
        joints = hand.joints_only(draws, pose.betas.expand(len(draws), -1))
        state = HandObjectState(
            sdf, T_object_hand.to(self.device), joints.to(self.device), hand_pose=draws.to(self.device)
        )
        total = torch.zeros(len(draws))
        for weight, judge, _ in self.judges:
            text = self.texts[i]
            if info_of(judge).requires_text and not (text and text.strip()):
                continue
            cond = None
            if text_encoder_of(judge) is not None:
                features = encode_texts(judge, [sentence_for(text)], device=self.device)
                cond = None if features is None else features.expand(len(draws), -1, -1)
            scores = score(judge, state, cond, generator=torch.Generator().manual_seed(SEED)).cpu()
            spread = scores.std(unbiased=False).clamp(min=info_of(judge).min_score_std)
            total += weight * (scores - scores.mean()) / spread
        return len(draws) * torch.softmax(SHARPNESS * total, dim=0)
