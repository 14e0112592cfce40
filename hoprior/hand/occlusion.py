"""Which of a hand's 21 joints a camera does not see: behind the hand itself, behind a mesh, or outside a mask.

A joint lies inside the hand, so that its own flesh is always before it and does not count (affordance-guided diffusion
prior, Suzuki et al., Sec. 2.2: self-occlusion by ray casting on the hand's mesh, object-occlusion by the hand's mask).
"""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from hoprior.hand.base import HandModel
from hoprior.hand.joint_order import JOINT_NAMES, PARENTS

OWN_REACH = 0.04
"""Metres; flesh of the joint's own bones that is farther before it hides it: a palm seen from its edge. An open palm's
flesh is up to 30 mm before the wrist and the knuckles."""
TOUCHING = 0.002
"""Metres before a joint within which nothing hides it."""
MASK_MARGIN = 0.03
"""How far outside a mask a joint may be and still be seen, in lengths of the hand's box: masks end at the skin, and
estimates are a little off."""
PAIRS_AT_ONCE = 16_000_000


def hits_before(
    points_camera: Float[Tensor, "b n 3"], verts_camera: Float[Tensor, "b v 3"], faces: Int[Tensor, "f 3"]
) -> Float[Tensor, "b n f"]:
    """How far before each point (m, along the ray from the camera to it) each face crosses the ray; -inf if not.

    All rays start at the camera, so that a face (a, b, c) is hit in a direction d when d is on one side of the three
    planes through the camera and its edges, d . (b x c), d . (c x a), d . (a x b), and at d det(a, b, c) / their sum.
    """
    a, b, c = (verts_camera[:, faces[:, k]] for k in range(3))
    edges = [torch.linalg.cross(b, c), torch.linalg.cross(c, a), torch.linalg.cross(a, b)]
    sides = torch.stack([points_camera @ edge.mT for edge in edges])
    inside = (sides >= 0).all(dim=0) | (sides <= 0).all(dim=0)
    total = sides.sum(dim=0)
    determinant = (a * edges[0]).sum(dim=-1)
    share = determinant[:, None] / torch.where(total == 0, torch.ones_like(total), total)
    before = (1 - share) * points_camera.norm(dim=-1, keepdim=True)
    return torch.where(inside & (total != 0) & (share > 0), before, -torch.inf)


def hidden_by_mesh(
    points_camera: Float[Tensor, "b n 3"], verts_camera: Float[Tensor, "b v 3"], faces: Int[Tensor, "f 3"]
) -> Bool[Tensor, "b n"]:
    """Which points are behind a mesh, seen from the camera at the origin; metres.

    Example:
        >>> wall = torch.tensor([[[-1.0, -1.0, 1.0], [1.0, -1.0, 1.0], [0.0, 1.0, 1.0]]])
        >>> points = torch.tensor([[[0.0, 0.0, 0.5], [0.0, 0.0, 2.0]]])
        >>> hidden_by_mesh(points, wall, torch.tensor([[0, 1, 2]]))
        tensor([[False,  True]])
    """
    chunk = max(1, PAIRS_AT_ONCE // (points_camera.shape[1] * len(faces)))
    parts = zip(points_camera.split(chunk), verts_camera.split(chunk), strict=True)
    return torch.cat([(hits_before(points, verts, faces) > TOUCHING).any(dim=-1) for points, verts in parts])


def hidden_by_hand(
    hand: HandModel, verts_camera: Float[Tensor, "b v 3"], joints_camera: Float[Tensor, "b 21 3"]
) -> Bool[Tensor, "b 21"]:
    """Self-occlusion: which joints are behind other parts of the hand, seen from the camera at the origin; metres.

    Example:
        >>> from hoprior.hand import load_hand
        >>> hand = load_hand()
        >>> flat_and_fist = hand.angles_to_pose(torch.stack([0 * hand.angle_high, hand.angle_high]))
        >>> shown = hand(flat_and_fist, transl=torch.tensor([0.0, 0.0, 0.5]).repeat(2, 1))
        >>> hidden_by_hand(hand, shown.verts, shown.joints).any(dim=1)  # from the back of the hand
        tensor([False,  True])
    """
    chunk = max(1, PAIRS_AT_ONCE // (21 * len(hand.faces)))
    own = own_faces(hand)
    reach = torch.where(own, OWN_REACH, TOUCHING)
    hidden = []
    for joints, verts in zip(joints_camera.split(chunk), verts_camera.split(chunk), strict=True):
        # The face that is seen decides: what lies between it and the joint is hidden itself.
        before, face = hits_before(joints, verts, hand.faces).max(dim=-1)
        hidden.append(before > reach.expand(len(joints), -1, -1).gather(2, face[..., None])[..., 0])
    return torch.cat(hidden)


def own_faces(hand: HandModel) -> Bool[Tensor, "21 f"]:
    """Which faces are the flesh around each joint: of the bones that meet in it, or of the last bone for a tip."""
    part = hand.vertex_part[hand.faces]
    own = torch.zeros(21, len(hand.faces), dtype=torch.bool, device=part.device)
    for joint, name in enumerate(JOINT_NAMES):
        for bone in _bones_at(joint, name):
            own[joint] |= (part == bone).any(dim=1)
    return own


def _bones_at(joint: int, name: str) -> tuple[int, ...]:
    if name.endswith("_tip"):
        return (JOINT_NAMES.index(name.replace("_tip", "3")),)
    return (joint,) if joint == 0 else (PARENTS[joint], joint)


def outside_mask(
    pixels: Float[Tensor, "n 2"], mask: Bool[np.ndarray, "h w"], margin: float = MASK_MARGIN
) -> Bool[Tensor, " n"]:
    """Object-occlusion: which of a hand's joints are seen outside the mask of its visible part, or of the photo.

    Args:
        margin: see `MASK_MARGIN`.

    Example:
        >>> mask = np.pad(np.ones((80, 80), dtype=bool), 200)
        >>> outside_mask(torch.tensor([[240.0, 240.0], [10.0, 10.0]]), mask)
        tensor([False,  True])
    """
    height, width = mask.shape
    x, y = pixels[:, 0].round().long(), pixels[:, 1].round().long()
    in_photo = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    extent = float((pixels.amax(dim=0) - pixels.amin(dim=0)).max())
    distance = torch.from_numpy(distance_transform_edt(~mask))
    far = distance[y.clamp(0, height - 1), x.clamp(0, width - 1)] > margin * extent
    return ~in_photo | far.to(pixels.device)


def on_mask(pixels: Float[Tensor, "n 2"], mask: Bool[np.ndarray, "h w"]) -> Bool[Tensor, " n"]:
    """Which pixels are in a mask; none that is outside the photo."""
    height, width = mask.shape
    x, y = pixels[:, 0].round().long(), pixels[:, 1].round().long()
    in_photo = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    there = torch.from_numpy(np.ascontiguousarray(mask)).to(pixels.device)
    return in_photo & there[y.clamp(0, height - 1), x.clamp(0, width - 1)]
