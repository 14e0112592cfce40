"""Score distillation under its public address: `from hoprior.guidance import sds_loss`."""

from hoprior.priors.guidance import WEIGHTS, SDSGuidance, SDSOutput, guidance_loss, score, sds_loss

__all__ = ["WEIGHTS", "SDSGuidance", "SDSOutput", "guidance_loss", "score", "sds_loss"]
