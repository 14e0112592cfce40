"""hoprior: generative priors of hands holding objects, and the tasks they are for.

    import hoprior
    results = hoprior.grasp("mug.obj", text="a mug", num=10)
    results.save("out")

Names are loaded when they are first used, so that `import hoprior` is quick.
"""

import importlib
from typing import TYPE_CHECKING, Any

from hoprior import moved

if TYPE_CHECKING:
    from hoprior.errors import HopriorError
    from hoprior.geometry.mesh import load_mesh
    from hoprior.geometry.state import HandObjectState
    from hoprior.hand import load_hand
    from hoprior.priors.base import Prior, weighted_sum
    from hoprior.priors.guidance import SDSGuidance, guidance_loss, score, sds_loss
    from hoprior.priors.registry import load_prior
    from hoprior.tasks.generate import generate, generate_poses
    from hoprior.tasks.grasp import grasp
    from hoprior.tasks.reconstruct import reconstruct
    from hoprior.tasks.refine import refine

_HOME = {
    "HandObjectState": "hoprior.geometry.state",
    "HopriorError": "hoprior.errors",
    "Prior": "hoprior.priors",
    "SDSGuidance": "hoprior.priors.guidance",
    "generate": "hoprior.tasks.generate",
    "generate_poses": "hoprior.tasks.generate",
    "grasp": "hoprior.tasks.grasp",
    "guidance_loss": "hoprior.priors.guidance",
    "load_hand": "hoprior.hand",
    "load_mesh": "hoprior.geometry.mesh",
    "load_prior": "hoprior.priors.registry",
    "reconstruct": "hoprior.tasks.reconstruct",
    "refine": "hoprior.tasks.refine",
    "score": "hoprior.priors.guidance",
    "sds_loss": "hoprior.priors.guidance",
    "weighted_sum": "hoprior.priors",
}

__all__ = [
    "HandObjectState",
    "HopriorError",
    "Prior",
    "SDSGuidance",
    "generate",
    "generate_poses",
    "grasp",
    "guidance_loss",
    "load_hand",
    "load_mesh",
    "load_prior",
    "reconstruct",
    "refine",
    "score",
    "sds_loss",
    "weighted_sum",
]

moved.install()


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'hoprior' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOME})
