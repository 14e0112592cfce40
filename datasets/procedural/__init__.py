"""Parametric objects with names, and human-like grasps of them by rules of use: training data without a download."""
