"""A synthetic set that is made in seconds."""

from hoprior.datasets.synthetic.build import SynthesisConfig
from hoprior.datasets.synthetic.make import MakeConfig
from hoprior.datasets.synthetic.objects import Catalogue

MAKE = MakeConfig(tries=10, steps=60, shapes=2, sdf_resolution=40, simulate=False, depth=0.01, unheld=1.0)
TINY = SynthesisConfig(Catalogue.of(["dumbbell", "ball"], [], 0), 24, MAKE)
