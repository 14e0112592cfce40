"""A person's grasps on a robot's hand: contacts kept, nothing penetrated, limits heeded, a way there, a lift."""

from hoprior.tasks.retarget.task import HeldObject, load_robot, retarget, retarget_one

__all__ = ["HeldObject", "load_robot", "retarget", "retarget_one"]
