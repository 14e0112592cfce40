"""A person's grasps on a robot's hand: contacts kept, nothing penetrated, limits heeded, a way there, a lift."""

from hoprior.tasks.retarget.task import load_robot, retarget

__all__ = ["load_robot", "retarget"]
