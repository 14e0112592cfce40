"""Hand and object of a clip in 3D: the object's shape, the hand in every frame, and where one is to the other."""

from hoprior.tasks.reconstruct.config import FitConfig
from hoprior.tasks.reconstruct.many import reconstruct_many
from hoprior.tasks.reconstruct.task import reconstruct

__all__ = ["FitConfig", "reconstruct", "reconstruct_many"]
