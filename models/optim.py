"""The optimiser that every prior here is trained with: AdamW, a linear warm-up, then a cosine to zero."""

import math
from collections.abc import Iterable

import torch
from pytorch_lightning.utilities.types import OptimizerLRSchedulerConfig
from torch import nn


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
        progress = (step - warmup_steps) / max(1, total_steps - warmup_steps)
        return 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))

    trainable = [parameter for parameter in parameters if parameter.requires_grad]
    # Norms, biases and embeddings have one dimension and gain nothing from being drawn to zero.
    groups = [
        {"params": [p for p in trainable if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=learning_rate)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}
