"""Metrics of grasps: pure functions whose names carry their unit. docs/metrics.md has thresholds and sources."""

from hoprior.metrics.diversity import diversity_cm
from hoprior.metrics.grasp import GraspMetrics, grasp_metrics
from hoprior.metrics.likeness import Likeness, likeness

__all__ = ["GraspMetrics", "Likeness", "diversity_cm", "grasp_metrics", "likeness"]
