"""A prior that also knows where to begin: it proposes placements, and judges them before any finger is bent."""

import torch
import trimesh

import hoprior
from hoprior.geometry.rotations import rotvec_to_rotmat
from hoprior.geometry.state import rigid


class FromAbove:
    """Palms face down: energy, and proposals over the object's upper side."""

    def energy(self, state: hoprior.HandObjectState, cond: torch.Tensor | None = None) -> torch.Tensor:
        return state.T_object_hand[:, 2, 2]  # z of the palm's direction, +z of the hand's frame; -1 is down

    def placement_energy(
        self, state: hoprior.HandObjectState, cond: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return self.energy(state), state.joints_hand

    def propose_placements(
        self,
        surface: torch.Tensor,
        normals: torch.Tensor,
        cond: torch.Tensor | None,
        generator: torch.Generator,
    ) -> torch.Tensor | None:
        upper = surface[normals[:, 2] > 0.5]
        turn = 6.28 * torch.rand(len(upper), generator=generator, device=generator.device).to(upper)
        flip = torch.diag(upper.new_tensor([1.0, -1.0, -1.0]))  # palm down
        rotation = rotvec_to_rotmat(turn[:, None] * upper.new_tensor([0.0, 0.0, 1.0])) @ flip
        palm = upper.new_tensor([0.08, 0.0, 0.05])  # a point before the palm, hand frame, m
        return rigid(rotation, upper - rotation @ palm)


box = trimesh.creation.box((0.06, 0.06, 0.1))
results = hoprior.grasp(box, num=2, priors=[(1.0, FromAbove())])
print("palms face", [grasp.T_object_hand[:3, 2].round(2).tolist() for grasp in results])
