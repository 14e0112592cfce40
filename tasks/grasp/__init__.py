"""Grasps of an object: many placements, judged by priors; the best refined until they hold; ranked."""

from hoprior.tasks.grasp.config import GraspConfig
from hoprior.tasks.grasp.many import grasp_many
from hoprior.tasks.grasp.task import grasp

__all__ = ["GraspConfig", "grasp", "grasp_many"]
