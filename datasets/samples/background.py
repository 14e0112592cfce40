"""Grasps that geometry alone allows: a plain batched optimisation from random starts.

They are the background against which a contrastive prior learns what is human (noise-contrastive estimation,
Gutmann and Hyvaerinen 2010): close to the object, in contact, without penetration, natural joint angles, and placed
anywhere.
"""

from dataclasses import dataclass

import numpy as np
import torch
import trimesh
from jaxtyping import Float
from torch import Tensor

from hoprior.common.adam import Adam
from hoprior.datasets.samples.sample import GraspSet, ObjectInfo
from hoprior.datasets.samples.skin import SkinPoints, posed_set
from hoprior.geometry.rotations import rotmat_to_rotvec, rotvec_to_rotmat, unitquat_to_rotmat
from hoprior.geometry.sdf import SdfGrid
from hoprior.geometry.state import rigid
from hoprior.hand import HandModel
from hoprior.hand.landmarks import HELD_CENTRE

PIP, MCP = (1, 4, 7, 10), (0, 3, 6, 9)
THUMB = slice(12, 15)


@dataclass(frozen=True)
class BackgroundConfig:
    """How background grasps are made: `num` an object, in batches, `steps` Adam steps each."""

    num: int = 256
    steps: int = 200
    batch: int = 128
    skin_points: int = 420
    depth_weight: float = 2e3
    depth_slack: float = 0.001


def curled_start(num: int, generator: torch.Generator) -> Float[Tensor, "b 15 3"]:
    """Slightly curled fingers with a little noise.

    Example:
        >>> curled_start(2, torch.Generator().manual_seed(0)).shape
        torch.Size([2, 15, 3])
    """
    angles = torch.zeros(num, 15, 3)
    angles[:, :, 1] = 0.25
    angles[:, THUMB, 1] = 0.1
    return angles + 0.08 * torch.randn(angles.shape, generator=generator) * torch.tensor([0.3, 1.0, 0.3])


def random_starts(
    mesh: trimesh.Trimesh, num: int, generator: torch.Generator
) -> tuple[Float[Tensor, "b 15 3"], Float[Tensor, "b 3 3"], Float[Tensor, "b 3"]]:
    """Hands in random directions whose palms face points inside the object, 60 % of the way out from its centre."""
    quaternion = torch.randn(num, 4, generator=generator)
    rotation = unitquat_to_rotmat(quaternion / quaternion.norm(dim=-1, keepdim=True))
    seed = int(torch.randint(2**31 - 1, (), generator=generator))
    surface = trimesh.sample.sample_surface(mesh, num, seed=seed)[0]
    centre = mesh.bounds.mean(0)
    target = torch.tensor(np.asarray(centre + 0.6 * (surface - centre)), dtype=torch.float32)
    return curled_start(num, generator), rotation, target - rotation @ torch.tensor(HELD_CENTRE)


def contact_skin(hand: HandModel, num: int) -> tuple[SkinPoints, dict[str, Tensor]]:
    """About `num` skin points: fingertips, a share of the pads and of the palm, and every k-th other vertex.

    Also where each kind is among the points: `tips`, `pads`, `palm`.
    """
    tips, pads, palm = (torch.as_tensor(ids) for ids in (hand.tip_ids, hand.pad_ids, hand.palm_ids))
    touching = torch.cat([pads[:: max(1, 2 * len(pads) // num)], palm[:: max(1, 8 * len(palm) // num)], tips])
    every = torch.arange(0, len(hand.v_template), max(1, 3 * len(hand.v_template) // num))
    ids = torch.cat([touching, every]).unique()
    where = {name: torch.isin(ids, kind).nonzero()[:, 0] for name, kind in (("pads", pads), ("palm", palm))}
    return SkinPoints(hand, ids), {"tips": torch.searchsorted(ids, tips), **where}


def posture_energy(hand: HandModel, angles: Float[Tensor, "b 15 3"]) -> Float[Tensor, " b"]:
    """Squared excess over the joint limits, unlike PIP and MCP flexion, and twist and spread."""
    curl = (angles[:, PIP, 1] - angles[:, MCP, 1]).square().sum(1)
    aside = angles[:, :, [0, 2]].square().sum((1, 2))
    return 20 * hand.limit_energy(angles) + 0.1 * curl + 0.3 * aside


def optimise_grasps(
    hand: HandModel, sdf: SdfGrid, mesh: trimesh.Trimesh, config: BackgroundConfig, generator: torch.Generator
) -> tuple[Float[Tensor, "n 15 3"], Float[Tensor, "n 4 4"], Float[Tensor, " n"]]:
    """`config.num` grasps from random starts: joint angles, T_object_hand and each one's final loss."""
    skin, where = contact_skin(hand, config.skin_points)
    share = len(hand.v_template) / len(skin.ids)
    batches = []
    for first in range(0, config.num, config.batch):
        start = random_starts(mesh, min(config.batch, config.num - first), generator)
        angles = start[0].requires_grad_()
        rotvec = rotmat_to_rotvec(start[1]).requires_grad_()
        translation = start[2].requires_grad_()
        rates = ((angles, 0.02), (rotvec, 0.01), (translation, 0.002))
        adam = Adam([{"params": [p], "lr": lr} for p, lr in rates])
        for step in range(config.steps):
            points, _ = skin(angles, rotvec_to_rotmat(rotvec), translation)
            distance = sdf(points)
            touch = (
                40 * distance[:, where["pads"]].abs().clamp(max=0.06).mean(1)
                + 25 * distance[:, where["palm"]].abs().clamp(max=0.08).mean(1)
                + 30 * distance[:, where["tips"]].abs().clamp(max=0.08).mean(1)
            )
            inside = share * torch.relu(-distance - config.depth_slack).square().sum(1)
            weight = config.depth_weight * (0.3 + step / config.steps)
            loss = weight * inside + touch + posture_energy(hand, angles)
            adam.zero_grad()
            loss.sum().backward()
            adam.step()
        pose = rigid(rotvec_to_rotmat(rotvec), translation)
        batches.append((angles.detach(), pose.detach(), loss.detach()))
    angles, T_object_hand, loss = (torch.cat(parts) for parts in zip(*batches, strict=True))
    return angles, T_object_hand, loss


def background_grasps(
    info: ObjectInfo,
    mesh: trimesh.Trimesh,
    sdf: SdfGrid,
    hand: HandModel,
    config: BackgroundConfig,
    generator: torch.Generator,
) -> GraspSet:
    """Grasps of an object that no human made, with the object's own text."""
    with torch.enable_grad():
        angles, T_object_hand, _ = optimise_grasps(hand, sdf, mesh, config, generator)
    return posed_set(info, hand, angles, T_object_hand, recorded=False, sequences=("background",), subject="optimiser")
