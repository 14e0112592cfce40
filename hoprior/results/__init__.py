"""What the tasks give back: as Python objects, and as folders of files that other programs read."""

from hoprior.results.grasps import GraspResult, GraspResults
from hoprior.results.interactions import InteractionSample, InteractionSamples
from hoprior.results.objects import ObjectSample, ObjectSamples
from hoprior.results.poses import PoseSample, PoseSamples
from hoprior.results.reconstructions import Reconstruction
from hoprior.results.refinements import RefinedHand, RefinedHands
from hoprior.results.robot_grasps import RobotGrasp, RobotGrasps

__all__ = [
    "GraspResult",
    "GraspResults",
    "InteractionSample",
    "InteractionSamples",
    "ObjectSample",
    "ObjectSamples",
    "PoseSample",
    "PoseSamples",
    "Reconstruction",
    "RefinedHand",
    "RefinedHands",
    "RobotGrasp",
    "RobotGrasps",
]
