"""Small results of each kind, as tasks would make them; for tests of what is written and shown."""

import numpy as np
import torch
import trimesh

from hoprior.hand import load_hand
from hoprior.results import GraspResult, GraspResults

BOX = trimesh.creation.box((0.06, 0.06, 0.12))


def some_grasps(count: int = 3, name: str = "box", text: str | None = "a box", **more) -> GraspResults:
    """Flat hands beside a box; the first one's palm cuts into it."""
    hand = load_hand("open", "right")
    with torch.no_grad():
        posed = hand(torch.zeros(1, 15, 3))
    grasps = []
    for rank in range(count):
        T = np.eye(4)
        T[:3, 3] = -0.1, 0.0, -0.04 - 0.004 * rank
        grasps.append(
            GraspResult(
                score=3.0 - rank,
                hand="open",
                side="right",
                hand_pose=np.zeros((15, 3)),
                betas=np.zeros(10),
                T_object_hand=T,
                joints_object=posed.joints[0].double().numpy() + T[:3, 3],
                verts_object=posed.verts[0].double().numpy() + T[:3, 3],
                scores={"contrastive": 1.0},
                metrics={"max_depth_cm": 0.2 + rank, "contact": 1.0, "contact_area": 0.25},
            )
        )
    return GraspResults(tuple(grasps), hand.faces.numpy(), BOX, name, text=text, seed=0, **more)
