"""Drawing from a prior: hands with objects, or hands alone."""

from hoprior.tasks.generate.interactions import GenerateConfig, generate
from hoprior.tasks.generate.poses import generate_poses

__all__ = ["GenerateConfig", "generate", "generate_poses"]
