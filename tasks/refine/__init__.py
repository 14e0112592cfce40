"""The whole hand of a photo, or of every frame of a video: what is seen is kept, what is hidden comes from a prior."""

from hoprior.tasks.refine.judging import HeldObject
from hoprior.tasks.refine.sampling import RefineConfig
from hoprior.tasks.refine.task import refine
from hoprior.tasks.refine.video import refine_video

__all__ = ["HeldObject", "RefineConfig", "refine", "refine_video"]
