"""MyoDM: objects of GRAB with recorded grasps."""

from hoprior.datasets.myodm.source import MyoDM

__all__ = ["MyoDM"]
