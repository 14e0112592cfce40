"""Drawing from a prior: hands with objects, or either alone."""

from hoprior.tasks.generate.interactions import generate
from hoprior.tasks.generate.objects import generate_objects
from hoprior.tasks.generate.poses import generate_poses
from hoprior.tasks.generate.request import GenerateConfig

__all__ = ["GenerateConfig", "generate", "generate_objects", "generate_poses"]
