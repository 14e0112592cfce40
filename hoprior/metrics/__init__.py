"""Metrics of grasps: pure functions whose names carry their unit. docs/metrics.md has thresholds and sources."""

from hoprior.metrics.diversity import diversity_cm
from hoprior.metrics.grasp import GraspMetrics, grasp_metrics
from hoprior.metrics.likeness import Likeness, likeness
from hoprior.metrics.walls import fingers_through

__all__ = ["GraspMetrics", "Likeness", "diversity_cm", "fingers_through", "grasp_metrics", "likeness"]
