"""Simulators that a grasp is tried in: pybullet for the protocol's displacement, MuJoCo for gravity from six sides.

The packages are optional (extras `sim` and `mujoco`). Everything is in metres, in the object's frame.
"""
