"""The whole hand of a photo: what is seen is kept, what is hidden is drawn from a prior."""

from hoprior.tasks.refine.judging import HeldObject
from hoprior.tasks.refine.sampling import RefineConfig
from hoprior.tasks.refine.task import refine

__all__ = ["HeldObject", "RefineConfig", "refine"]
