"""Draws that are finished: hand and object are brought together by the contact terms of the grasp task.

A prior places a hand to a centimetre; flesh that touches is a matter of millimetres. The object stays what was drawn:
only where the hand is at it, and how it is bent, give way, and fingers no more than they must: contact alone closes
them further than people do.
"""

from dataclasses import replace

import torch
import trimesh
from jaxtyping import Float
from torch import Tensor

from hoprior.geometry.mesh import ObjectMesh
from hoprior.geometry.sdf import SdfGrid
from hoprior.geometry.state import transform_points
from hoprior.hand import HandModel
from hoprior.language.phrases import reaches_inside
from hoprior.physics.bone_crossings import bones_through
from hoprior.priors.guidance import score, sum_terms
from hoprior.priors.protocols import AnyPrior, info_of
from hoprior.tasks.grasp.config import GraspConfig
from hoprior.tasks.grasp.descent import GraspBatch
from hoprior.tasks.grasp.search import GraspSearch

CONFIG = GraspConfig()
JUDGE_WEIGHT = 1.0
"""Of a prior's opinion of the hands, in standard deviations, beside their faults."""
THROUGH_WEIGHT = 6.0
"""The same of a bone that goes through the object's surface: distances on a grid know little of a thin wall."""


def finished(
    mesh: trimesh.Trimesh,
    sdf: SdfGrid,
    hand_pose: Float[Tensor, "k 15 3"],
    T_object_hand: Float[Tensor, "k 4 4"],
    hand: HandModel,
    text: str,
    judge: AnyPrior | None = None,
) -> tuple[Float[Tensor, "15 3"], Float[Tensor, "4 4"]]:
    """The best of k hands at an object after descent on contact: how it is bent (radians), and where it is.

    Args:
        mesh, sdf: the object, closed, m, and its distances.
        hand_pose, T_object_hand: right hands as they were drawn; the latter in the mesh's frame, m.
        hand: their model.
        text: what is said; fingers go into a vessel's mouth only where it has them there.
        judge: what knows how people hold things, without words; without it the hand with the least faults is best.
    """
    centre = torch.from_numpy(mesh.bounds.mean(axis=0)).to(T_object_hand)
    centred = mesh.copy()
    centred.apply_translation(-centre.numpy())
    config = replace(CONFIG, keep_out=not reaches_inside(text), faults=replace(CONFIG.faults, simulate=False))
    there = replace(sdf, lower=sdf.lower - centre, upper=sdf.upper - centre)
    search = GraspSearch(ObjectMesh(centred, solid=centred), hand, None, config=config, sdf=there, fingers_known=True)
    T = T_object_hand.clone()
    T[:, :3, 3] -= centre
    hands = GraspBatch(hand.pose_to_angles(hand_pose), T)
    with torch.enable_grad():  # whoever examines draws asks for no slopes; a descent does
        if search.guarded:
            hands = search.with_fingers_outside(hands, len(hands))
        hands = search.guide(hands, lambda share: None)
        if not search.guarded:
            hands = search.with_fingers_before(hands)
        hands = search.refine(hands, lambda share: None)
    state = search.state(hands)
    through = bones_through(centred, transform_points(hands.T_object_hand, state.joints_hand))
    liked = -sum_terms(search.faults(hands.angles, hands.T_object_hand).values())
    liked = liked - THROUGH_WEIGHT * torch.from_numpy(through).to(liked)
    if judge is not None and len(hands) > 1:
        opinion = score(judge, state, None, generator=torch.Generator().manual_seed(0))
        spread = opinion.std().clamp(min=info_of(judge).min_score_std)
        liked = liked + JUDGE_WEIGHT * (opinion - opinion.mean()) / spread
    best = int(liked.argmax())
    T_best = hands.T_object_hand[best].clone()
    T_best[:3, 3] += centre
    return hand.angles_to_pose(hands.angles[best : best + 1])[0], T_best
