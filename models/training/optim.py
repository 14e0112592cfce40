"""How every prior here is trained: AdamW, a linear warm-up, then a cosine to zero; no step along what is not finite."""

import logging
import math
from collections.abc import Iterable

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import nn

from hoprior.common.schedule import cosine_decay
from hoprior.errors import HopriorError

logger = logging.getLogger(__name__)

PATIENCE = 10
"""Steps in a row without finite gradients after which a training has diverged."""


def adamw_with_warmup(
    parameters: Iterable[nn.Parameter],
    learning_rate: float,
    weight_decay: float,
    warmup_steps: int,
    total_steps: float,
) -> OptimizerLRSchedulerConfig:
    """What `configure_optimizers` returns. With no end in sight (`total_steps` infinite) the rate stays at its peak."""

    def factor(step: int) -> float:
        if step < warmup_steps:
            return (step + 1) / warmup_steps
        if math.isinf(total_steps):
            return 1.0
        return cosine_decay(step - warmup_steps, max(1, total_steps - warmup_steps))

    trainable = [parameter for parameter in parameters if parameter.requires_grad]
    # Norms, biases and embeddings have one dimension and gain nothing from being drawn to zero.
    groups = [
        {"params": [p for p in trainable if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=learning_rate)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}


class SkipNonFinite(Callback):
    """Leaves out a step whose gradients are not finite: one of them, clipped or not, would end the training in NaN.

    Raises:
        HopriorError: after `PATIENCE` of them in a row.
    """

    def __init__(self) -> None:
        self.in_a_row = 0

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Takes all gradients away if one of them is not finite; optimisers pass over parameters without any."""
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if not gradients or torch.nn.utils.get_total_norm(gradients).isfinite():
            self.in_a_row = 0
            return
        self.in_a_row += 1
        logger.warning("step %d is left out: its gradients are not finite", trainer.global_step)
        optimizer.zero_grad(set_to_none=True)
        if self.in_a_row >= PATIENCE:
            raise HopriorError(
                f"training: gradients are not finite since {PATIENCE} steps, at step {trainer.global_step}:"
                " lower learning_rate, or set trainer.precision to 32, and go on from the last checkpoint"
            )
