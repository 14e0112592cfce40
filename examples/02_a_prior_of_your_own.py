"""Any class with an `energy` is a prior: this one wants the hand low on the object, and is mixed with a shipped one."""

from importlib.resources import files

import torch

import hoprior


class LowOnTheObject:
    """Energy: how high the wrist is above the object's frame, in decimetres; lower is more likely."""

    def energy(self, state: hoprior.HandObjectState, cond: torch.Tensor | None = None) -> torch.Tensor:
        return 10 * state.T_object_hand[:, 2, 3]


mug = str(files("hoprior") / "assets" / "meshes" / "mug.obj")
results = hoprior.grasp(mug, num=3, priors=[(1.0, "contrastive"), (0.5, LowOnTheObject())])
print([round(float(grasp.transl[2]), 3) for grasp in results])
