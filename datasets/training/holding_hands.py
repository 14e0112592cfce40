"""Hands that hold made objects by their families' rules: what the prior of shapes learns to expect of a hand."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.datasets.procedural.closing import HandCloser
from hoprior.datasets.procedural.placements import draw_placements
from hoprior.datasets.procedural.source import close_placements
from hoprior.datasets.synthetic.objects import Graspable
from hoprior.geometry.sdf import SdfGrid
from hoprior.geometry.state import transform_points
from hoprior.hand import HandModel

TRIED = 16
"""Placements of an object that are closed."""
RESOLUTION = 40
ROOM = 0.06
"""Around an object, in which hands know how far it is, m."""


def holders_of(thing: Graspable, hand: HandModel, seed: int, tried: int = TRIED) -> Float[Tensor, "n 21 3"]:
    """Joints (m, the object's frame) of the hands that close well on an object, of `tried`; none without rules."""
    if not thing.rules:
        return torch.zeros(0, 21, 3)
    drawn = draw_placements(thing.rules, tried, np.random.default_rng(seed))
    solid, outside = (
        SdfGrid.from_mesh(mesh, resolution=RESOLUTION, margin=ROOM)
        for mesh in (thing.solid, thing.filled or thing.solid)
    )
    with torch.enable_grad():
        closed = close_placements(HandCloser(hand), drawn, solid, outside, torch.Generator().manual_seed(seed))
    good = closed.good(torch.tensor([placement.grip.fingers for _, placement in drawn]))
    joints = hand.joints_only(hand.angles_to_pose(closed.angles), torch.zeros(len(drawn), 10))
    return transform_points(closed.T_object_hand, joints)[good].detach()
