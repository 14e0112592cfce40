"""Exponential moving average of the weights: what validation sees, and what a checkpoint's `state_dict` holds."""

from typing import Any

from pytorch_lightning.callbacks import WeightAveraging
from torch import Tensor


class EMA(WeightAveraging):
    """Lightning's weight averaging with a warm-up: after n steps the decay is `min(decay, (1 + n) / (10 + n))`.

    The warm-up (as in TensorFlow's ExponentialMovingAverage) forgets the random initialisation, which a fixed decay
    would carry through a short training. Buffers, such as the grids' normalisation, are copied, not averaged. The
    current weights, from which a training goes on, stand beside the averaged ones in the checkpoint.
    """

    def __init__(self, decay: float = 0.999) -> None:
        if not 0.0 <= decay < 1.0:
            raise ValueError(f"EMA decay is {decay}: it must be at least 0 and below 1")
        super().__init__(use_buffers=False, avg_fn=self._average)
        self.decay = decay

    def _average(self, averaged: Tensor, current: Tensor, num_averaged: Any) -> Tensor:
        decay = min(self.decay, (1 + float(num_averaged)) / (10 + float(num_averaged)))
        return averaged.lerp(current, 1 - decay)
