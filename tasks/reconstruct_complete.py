"""What a prior of shapes takes the object for, laid into the scene: sides that no frame shows, and hollows.

Any prior with a method `complete(sdf, cond, toward)`, as `hoprior.models.shape.ShapePrior` has, is taken.
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.tasks.reconstruct_carve import lattice
from hoprior.tasks.reconstruct_scene import Scene

TRUSTED, DOUBT = 0.007, 0.001
"""Distances whose expected error is less (m) are believed; how gradually belief ends."""
HOLLOW_TRUSTED = 0.006
"""The same of hollows, which nothing else tells of."""
WALL = 0.002
"""A hollow is made smaller by so much (m): a wall that is too thick is a smaller error than one with holes."""


@dataclass(frozen=True)
class Completed:
    """On the cells of the scene's object: what a prior takes it for (m), and how far each is believed, 0 to 1."""

    filled: Float[Tensor, "D H W"]
    belief: Float[Tensor, "D H W"]
    hollow: Float[Tensor, "D H W"]
    """Signed distances to the air inside; far where it is not believed in."""

    def outside_of(self, values: Float[Tensor, "D H W"]) -> Float[Tensor, "D H W"]:
        """The object as it looks from outside: its own distances where the prior is in doubt."""
        return torch.lerp(values, self.filled, self.belief)

    def hollowed(self, values: Float[Tensor, "D H W"]) -> Float[Tensor, "D H W"]:
        """The object without its hollow."""
        return torch.maximum(values, -self.hollow)


@torch.no_grad()
def complete(scene: Scene, values: Float[Tensor, "D H W"], prior: Any, cond: Tensor | None) -> Completed:
    """Asks a prior what an object is whose distances are `values`, and which the scene's cameras saw."""
    axes = [torch.linspace(float(scene.lower[k]), float(scene.upper[k]), values.shape[2 - k]) for k in range(3)]
    points = lattice(axes).to(values.device)
    camera = scene.place(mesh=False).T_object_camera[:, :3, 3] - (scene.lower + scene.upper) / 2
    toward = (camera / camera.norm(dim=1, keepdim=True)).mean(dim=0)
    found = prior.complete(scene.grid(values.detach()), cond, toward).at(points)
    known = found.known.to(values)
    belief = known * torch.sigmoid((TRUSTED - found.spread[0, 0]) / DOUBT)
    sure = found.known & (found.spread[0, 1] < HOLLOW_TRUSTED)
    hollow = torch.where(sure, found.hollow[0] + WALL, torch.full_like(found.hollow[0], 1.0))
    return Completed(*(each.view_as(values) for each in (found.filled[0], belief, hollow)))
