"""Grasps made by hoprior alone: placed by rules of use, optimised by kind of grasp, checked in simulation."""
