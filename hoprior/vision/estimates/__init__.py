"""First estimates of hands as people have them: photos, estimators' parameters, keypoints."""

from hoprior.vision.estimates.estimate import HandEstimate, Skipped
from hoprior.vision.estimates.files import read_estimates
from hoprior.vision.estimates.photos import hands_of_photo

__all__ = ["HandEstimate", "Skipped", "hands_of_photo", "read_estimates"]
