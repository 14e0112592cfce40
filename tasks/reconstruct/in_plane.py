"""Brings an object to its masks by moves that pictures show: shifts, which move and scale it, and turns in the picture.

Estimated hands are off by centimetres where they move fast, and things slip in them. Turns out of the picture are left
to the hands: masks say little of them, and a wrong shape would bend them to itself.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from hoprior.common.adam import Adam
from hoprior.common.schedule import cosine_decay
from hoprior.datasets.clips.clip import Clip
from hoprior.geometry.rotations import rotmat_to_rotvec, rotvec_to_rotmat
from hoprior.geometry.state import rigid, transform_points
from hoprior.geometry.transforms import invert
from hoprior.hand.landmarks import HAND_CENTRE
from hoprior.tasks.reconstruct.descent import ADAM_BETAS, LAST_RATE
from hoprior.tasks.reconstruct.observations import RaySampler, middle_rays
from hoprior.tasks.reconstruct.scene import Scene
from hoprior.tasks.reconstruct.silhouettes import Misses, cast_rays

RAYS, SAMPLES = 96, 40
STEPS, RATE = 60, 1.5e-3
"""Of Adam; the rate is of shifts (m), that of turns `TURN_RATE` times as much (rad)."""
TURN_RATE = 6.0
SLACK = 0.006
"""Rays that miss what they should meet by more (m) pull with a constant force."""
USUAL_SHIFT, USUAL_ROLL = (0.01, 0.01, 0.02), 0.15
"""Moves of this size (m, rad) are nothing unusual; larger ones cost little more (Cauchy's loss)."""
PRIOR = 3e-4
"""What they cost, beside the rays' mean squared miss over their slack (m)."""
SMOOTH = 1.0
"""What the square of an acceleration (m a frame²) costs: depths that follow the sizes of masks would shake."""
LAST_STEPS = 10
"""How far each frame is off is measured in so many of the last steps."""
DEPTH_SPREAD = 0.05
"""Standard deviation (m) of an object's depth about the hand's middle."""
CENTROID_NOISE = 0.006
"""A mask's centroid is off by so much (m) where fingers hide a part."""


@torch.no_grad()
def bring_centroids_together(scene: Scene, clip: Clip) -> None:
    """Moves the object, before it has a shape, so that one point of it lies at the middle of its mask in every frame.

    Masks that are cut by the picture's edge have no middle. Misses as small as fingers make them are left alone.
    """
    placed = scene.place(mesh=False)
    whole = clip.has_object & ~_touches(clip.object_mask, clip.known)
    if int(whole.sum()) < 2:
        return
    ray = middle_rays(clip.object_mask, placed.intrinsics)
    T = placed.T_camera_hand @ placed.T_hand_object
    # One point of the object's frame, near the hand, that all frames see in the middle of its mask.
    across = T[:, :2, :3] - ray[..., None] * T[:, 2:3, :3]
    missed = ray * T[:, 2, 3:] - T[:, :2, 3]
    held = whole & clip.has_hand if int((whole & clip.has_hand).sum()) >= 2 else whole
    near = CENTROID_NOISE / DEPTH_SPREAD
    system = torch.cat([across[held].reshape(-1, 3), near * torch.eye(3)])
    wanted = torch.cat([missed[held].reshape(-1), near * T.new_tensor(HAND_CENTRE)])
    # In single precision LAPACK's last digits depend on where in memory it works.
    point = torch.linalg.lstsq(system.double(), wanted[:, None].double()).solution[:, 0].to(T)
    seen = transform_points(T, point.expand(len(T), 1, 3))[:, 0]
    shift = (ray * seen[:, 2:] - seen[:, :2]) * whole[:, None]
    far = shift.norm(dim=1, keepdim=True)
    shift = F.pad(shift * (far - CENTROID_NOISE).clamp(min=0) / far.clamp(min=1e-9), (0, 1))
    _take_in(scene, clip, seen, shift, torch.zeros(len(T)))


def align_in_plane(scene: Scene, clip: Clip, generator: torch.Generator) -> Float[Tensor, " n"]:
    """Shifts the object, and turns it about the line of sight, until it lies in its masks.

    Args:
        scene: with an object, whose shape stays.
        clip: what was seen.
        generator: of the rays.

    Returns:
        By how much (m) each frame's rays still miss the object, on average; NaN without a mask.
    """
    index = clip.has_object.nonzero()[:, 0]
    left = torch.full((len(clip),), torch.nan)
    if not len(index):
        return left
    history: list[Tensor] = []
    sampler = RaySampler(clip, torch.device("cpu"), generator)
    with torch.no_grad():
        placed, values = scene.place(mesh=False), scene.distances().detach()
    T = (placed.T_camera_hand @ placed.T_hand_object)[index]
    middle = transform_points(T, ((scene.lower + scene.upper) / 2).expand(len(index), 1, 3))[:, 0]
    shift, roll = nn.Parameter(torch.zeros(len(index), 3)), nn.Parameter(torch.zeros(len(index)))
    optimizer = Adam([{"params": [shift]}, {"params": [roll]}], betas=ADAM_BETAS)
    for step in range(STEPS):
        share = cosine_decay(step, STEPS, LAST_RATE)
        for group, factor in zip(optimizer.param_groups, (1.0, TURN_RATE), strict=True):
            group["lr"] = factor * RATE * share
        rays = sampler.draw(index, RAYS)
        # How deep all lie together pictures do not show.
        moved = invert(moves(middle, _centred(shift), roll) @ T)
        seen = cast_rays(scene, values, rays, placed.intrinsics[index], moved, SAMPLES, generator)
        missed = Misses.of(seen, rays)
        cost = missed.cost(SLACK) / SLACK
        history.append(missed.of_frames())
        unusual = (shift / shift.new_tensor(USUAL_SHIFT)).square().sum(dim=1) + (roll / USUAL_ROLL).square()
        jolt = (middle + _centred(shift)).diff(n=2, dim=0).square().sum() if len(index) > 2 else 0.0
        loss = cost.mean(dim=1).sum() + PRIOR * torch.log1p(unusual).sum() + SMOOTH * jolt
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    every, turned = torch.zeros(len(clip), 3), torch.zeros(len(clip))
    centre = torch.zeros(len(clip), 3)
    every[index], turned[index], centre[index] = _centred(shift.detach()), roll.detach(), middle
    _take_in(scene, clip, centre, every, turned)
    left[index] = torch.stack(history[-LAST_STEPS:]).mean(dim=0)
    return left


@torch.no_grad()
def turn_less(scene: Scene, share: float) -> None:
    """Lets the object take part in `share` of the turns that the hands make before the camera, about its own place.

    Hands that are estimated wrongly turn by tens of degrees while what they hold does not, and pictures show that.
    """
    placed = scene.place(mesh=False)
    T = placed.T_camera_hand @ placed.T_hand_object
    middle = len(T) // 2
    turn = rotmat_to_rotvec(T[:, :3, :3] @ T[middle, :3, :3].T)
    rotation = rotvec_to_rotmat(share * turn) @ T[middle, :3, :3]
    point = T.new_tensor(HAND_CENTRE)
    place = T[:, :3, :3] @ point + T[:, :3, 3]
    scene.put(placed.T_camera_hand, invert(placed.T_camera_hand) @ rigid(rotation, place - rotation @ point))


def moves(
    middle: Float[Tensor, "n 3"], shift: Float[Tensor, "n 3"], roll: Float[Tensor, " n"]
) -> Float[Tensor, "n 4 4"]:
    """Turns by `roll` (rad) about the line of sight through points before the camera, and shifts (m)."""
    turn = F.normalize(middle, dim=1) * roll[:, None]
    rotation = rotvec_to_rotmat(turn)
    return rigid(rotation, middle + shift - (rotation @ middle[..., None])[..., 0])


def _centred(shift: Float[Tensor, "n 3"]) -> Float[Tensor, "n 3"]:
    """Shifts whose depths are 0 on average."""
    return torch.cat([shift[:, :2], shift[:, 2:] - shift[:, 2:].mean()], dim=1)


@torch.no_grad()
def _take_in(
    scene: Scene, clip: Clip, middle: Float[Tensor, "n 3"], shift: Float[Tensor, "n 3"], roll: Float[Tensor, " n"]
) -> None:
    """Makes such moves the object's in the hand; and the hand's with it, where the hand was not seen."""
    placed, move = scene.place(mesh=False), moves(middle, shift, roll)
    hand_moves = ~clip.has_hand[:, None, None]
    T_camera_object = move @ placed.T_camera_hand @ placed.T_hand_object
    T_camera_hand = torch.where(hand_moves, move @ placed.T_camera_hand, placed.T_camera_hand)
    scene.put(T_camera_hand, invert(T_camera_hand) @ T_camera_object)


def _touches(masks: Float[Tensor, "n s s"], known: Float[Tensor, "n s s"]) -> Bool[Tensor, " n"]:
    """Whether an edge cuts through each mask."""
    unknown = F.max_pool2d(1 - known[:, None], 5, stride=1, padding=2)[:, 0]
    return (unknown * masks).amax(dim=(1, 2)) > 0.5
