"""Where a hand might go on an object: random placements to be judged, better ones near them, and a diverse choice."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import trimesh
from jaxtyping import Float, Int
from torch import Tensor

from hoprior.common.constants import constant, places
from hoprior.geometry.rotations import unitquat_to_rotmat
from hoprior.geometry.state import rigid, transform_points
from hoprior.geometry.transforms import rotate_about
from hoprior.hand.landmarks import HELD_SURFACE

PALM_SCATTER = (0.02, 0.015, 0.015)
"""Standard deviations (m) of where `HELD_SURFACE` comes to lie."""
FACING_NOISE = 0.5
"""Scatter of the palm's direction around the surface's normal, as a share of the unit normal."""
INWARD_SHARE = 0.6
"""How far out from the object's middle, at least, what a palm that faces anywhere holds is; 1 is the surface."""
MIN_SPACING = 1e-4
"""Spacing (m) that is not halved any more: hands nearer than that are told apart no longer."""
SPACING_JOINTS = (0, 1, 4, 7, 10, 6, 18)
"""Whose mean distance is that between two hands: wrist, knuckles, and two fingers' ends."""


def random_placements(
    mesh: trimesh.Trimesh, num: int, generator: torch.Generator, facing: float = 0.5, hand_size: float = 1.0
) -> Float[Tensor, "n 4 4"]:
    """`T_object_hand` of hands whose palms are near the surface; `facing` of them look straight at it, the rest anyhow.

    `hand_size` is the hand's length over that of the average hand.

    A palm that looks at the surface suits boxes and balls. Handles and thin tools are held with the fingers around
    them, from any side, and are found among the others, whose palms are also drawn towards the object's centre.

    Example:
        >>> mesh = trimesh.creation.icosphere(radius=0.04)
        >>> random_placements(mesh, num=3, generator=torch.Generator().manual_seed(0)).shape
        torch.Size([3, 4, 4])
    """
    surface, normal = surface_points(mesh, num, generator)
    centre = torch.tensor(np.asarray(mesh.bounds.mean(axis=0)), dtype=torch.float32)

    quaternion = torch.randn(num, 4, generator=generator)
    anyhow = unitquat_to_rotmat(quaternion / quaternion.norm(dim=-1, keepdim=True))
    looking = _frames(-normal + FACING_NOISE * torch.randn(num, 3, generator=generator), generator)
    faces_it = torch.rand(num, generator=generator) < facing
    rotation = torch.where(faces_it[:, None, None], looking, anyhow)

    inward = torch.where(
        faces_it, torch.ones(num), INWARD_SHARE + (1 - INWARD_SHARE) * torch.rand(num, generator=generator)
    )
    target = centre + inward[:, None] * (surface - centre)
    palm = torch.tensor(HELD_SURFACE) + torch.randn(num, 3, generator=generator) * torch.tensor(PALM_SCATTER)
    return rigid(rotation, target - (rotation @ (hand_size * palm)[..., None])[..., 0])


def surface_points(
    mesh: trimesh.Trimesh, num: int, generator: torch.Generator
) -> tuple[Float[Tensor, "n 3"], Float[Tensor, "n 3"]]:
    """Random points of a surface (m), evenly by area, and the outward unit normals there.

    Example:
        >>> mesh = trimesh.creation.box((0.1, 0.1, 0.1))
        >>> points, normals = surface_points(mesh, 5, torch.Generator().manual_seed(0))
        >>> points.shape, bool(torch.isclose(points.abs().amax(dim=1), torch.tensor(0.05)).all())
        (torch.Size([5, 3]), True)
    """
    seed = int(torch.randint(2**31 - 1, (), generator=generator))
    points, faces = trimesh.sample.sample_surface(mesh, num, seed=seed)
    normals = np.asarray(mesh.face_normals[faces])
    return torch.tensor(np.asarray(points), dtype=torch.float32), torch.tensor(normals, dtype=torch.float32)


def _frames(palm_direction: Float[Tensor, "n 3"], generator: torch.Generator) -> Float[Tensor, "n 3 3"]:
    """Rotations whose third column is a direction, and whose first is random across it."""
    z = torch.nn.functional.normalize(palm_direction, dim=-1)
    x = torch.randn(z.shape, generator=generator)
    x = torch.nn.functional.normalize(x - (x * z).sum(dim=-1, keepdim=True) * z, dim=-1)
    return torch.stack([x, torch.cross(z, x, dim=-1), z], dim=-1)


def diverse_best(
    score: Float[Tensor, " n"],
    T_object_hand: Float[Tensor, "n 4 4"],
    joints_hand: Float[Tensor, "n 21 3"],
    num: int,
    spacing: float,
) -> Int[Tensor, " k"]:
    """The best `num` of n hands, best first, no two of which are closer than `spacing` (m, mean over a few joints).

    Where too few are that far apart, the spacing is halved for the rest, so that min(num, n) always come back.

    Example:
        >>> T = torch.eye(4).repeat(3, 1, 1)
        >>> T[2, 0, 3] = 0.1
        >>> diverse_best(torch.tensor([3.0, 2.0, 1.0]), T, torch.zeros(3, 21, 3), num=2, spacing=0.03)
        tensor([0, 2])
    """
    device, seen = score.device, places(SPACING_JOINTS, score)
    # Who is taken is decided one after the other, which a GPU would have to be waited for each time.
    joints, score = transform_points(T_object_hand, joints_hand)[:, seen].cpu(), score.cpu()
    order = score.argsort(descending=True, stable=True)
    chosen: list[int] = []
    taken = torch.zeros(len(score), dtype=torch.bool)
    while len(chosen) < min(num, len(score)):
        near = taken.clone()
        for i in chosen:
            near |= (joints - joints[i]).norm(dim=-1).mean(dim=1) < spacing
        for i in order.tolist():
            if len(chosen) == num:
                break
            if not near[i]:
                chosen.append(i)
                taken[i] = True
                near |= (joints - joints[i]).norm(dim=-1).mean(dim=1) < spacing
        spacing = spacing / 2 if spacing > MIN_SPACING else 0.0
    return torch.tensor(chosen, dtype=torch.long, device=device)


def displaced(
    T_object_hand: Float[Tensor, "b 4 4"], turn: Float[Tensor, "b 3"], move: Float[Tensor, "b 3"]
) -> Float[Tensor, "b 4 4"]:
    """Hands turned about the palm (rotation vector in the hand's frame) and moved (object's frame, m).

    Example:
        >>> moved = displaced(torch.eye(4)[None], torch.zeros(1, 3), torch.tensor([[0.0, 0.0, 0.01]]))
        >>> moved[0, :3, 3]
        tensor([0.0000, 0.0000, 0.0100])
    """
    turned = T_object_hand @ rotate_about(constant(HELD_SURFACE, like=turn), turn)
    shift = torch.cat([move, torch.zeros_like(move[:, :1])], dim=1)
    return turned + torch.nn.functional.pad(shift[:, :, None], (3, 0))


@dataclass(frozen=True)
class LocalSearchConfig:
    """How placements are bettered: `iterations` times each goes to the best of `proposals` near it.

    iterations: how often each placement goes to a better one.
    proposals: placements near it that are tried each time.
    move, turn: standard deviations of these, m along and rad about each axis.
    """

    iterations: int = 2
    proposals: int = 8
    move: float = 0.008
    turn: float = 0.15


def hill_climb(
    T_object_hand: Float[Tensor, "n 4 4"],
    score: Float[Tensor, " n"],
    score_placements: Callable[[Float[Tensor, "m 4 4"]], Float[Tensor, " m"]],
    config: LocalSearchConfig,
    generator: torch.Generator,
) -> tuple[Float[Tensor, "n 4 4"], Float[Tensor, " n"]]:
    """Each placement moved to where it scores higher, and its score there; never less than before.

    Random placements are centimetres apart; what a prior likes most lies between them.
    """
    rows = torch.arange(len(score), device=score.device)
    for _ in range(config.iterations):
        turn, move = (
            torch.randn(len(score) * config.proposals, 3, generator=generator).to(score.device) * size
            for size in (config.turn, config.move)
        )
        tried = displaced(T_object_hand.repeat_interleave(config.proposals, dim=0), turn, move)
        scores = torch.cat([score[:, None], score_placements(tried).view(-1, config.proposals)], dim=1)
        placements = torch.cat([T_object_hand[:, None], tried.view(-1, config.proposals, 4, 4)], dim=1)
        best = scores.argmax(dim=1)
        T_object_hand, score = placements[rows, best], scores[rows, best]
    return T_object_hand, score
