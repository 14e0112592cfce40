"""All families of procedural objects."""

from hoprior.datasets.procedural.containers import CONTAINERS
from hoprior.datasets.procedural.design import Family
from hoprior.datasets.procedural.things import THINGS
from hoprior.datasets.procedural.tools import TOOLS

FAMILIES: tuple[Family, ...] = (*CONTAINERS, *TOOLS, *THINGS)
