"""Simulators that a grasp is tried in: pybullet for the protocol's displacement, MuJoCo for gravity from six sides.

The packages are optional: extra `sim` for MuJoCo and CoACD, and for pybullet where that has a wheel; extra `bullet`
for pybullet anywhere. Everything is in metres, in the object's frame.
"""
