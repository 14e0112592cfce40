"""The socket for priors: what one is, how it guides and ranks, how it is found, loaded and saved."""

from hoprior.priors.base import (
    EnergyPrior,
    GenerativePrior,
    Prior,
    ScorePrior,
    WeightedPrior,
    text_encoder_of,
    weighted_sum,
)

__all__ = ["EnergyPrior", "GenerativePrior", "Prior", "ScorePrior", "WeightedPrior", "text_encoder_of", "weighted_sum"]
