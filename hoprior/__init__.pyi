# The public names and where they live: hoprior/__init__.py reads this table, and so do type checkers and editors.
from hoprior.errors import HopriorError as HopriorError
from hoprior.geometry.mesh import load_mesh as load_mesh
from hoprior.geometry.state import HandObjectState as HandObjectState
from hoprior.guidance import SDSGuidance as SDSGuidance
from hoprior.guidance import guidance_loss as guidance_loss
from hoprior.guidance import score as score
from hoprior.guidance import sds_loss as sds_loss
from hoprior.hand import load_hand as load_hand
from hoprior.priors import Prior as Prior
from hoprior.priors import PriorInfo as PriorInfo
from hoprior.priors import weighted_sum as weighted_sum
from hoprior.priors.registry import load_prior as load_prior
from hoprior.tasks.generate import generate as generate
from hoprior.tasks.generate import generate_poses as generate_poses
from hoprior.tasks.grasp import grasp as grasp
from hoprior.tasks.reconstruct import reconstruct as reconstruct
from hoprior.tasks.refine import refine as refine
