"""What all trained modules share: they remember the arguments they were made with, whatever their constructors do."""

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
from torch import nn

import hoprior
from hoprior.models.base import TrainedModule
from hoprior.models.contrastive import ContrastivePrior
from hoprior.models.training.lightning import trainable


class Small(TrainedModule):
    """Takes its arguments in every way there is, and spoils its local names before anything is kept."""

    def __init__(
        self,
        size: int,
        path: Path,
        *,
        widths: tuple[int, ...] = (1, 2),
        learning_rate: float = 0.1,
        weight_decay: float = 0.0,
        warmup_steps: int = 1,
    ) -> None:
        widths = (*widths, 99)
        super().__init__()
        size += 1
        self.layer = nn.Linear(size, 1)

    def evaluate(self, batch: dict[str, Any], batch_idx: int, stage: str) -> None:
        """Nothing to log."""


ARGUMENTS = {
    "size": 3,
    "path": "weights.ckpt",
    "widths": [1, 2],
    "learning_rate": 0.1,
    "weight_decay": 0.0,
    "warmup_steps": 1,
}


def test_arguments_are_those_given_and_the_defaults() -> None:
    assert Small(3, path=Path("weights.ckpt")).config() == ARGUMENTS


def test_copies_and_pickles_keep_them() -> None:
    module = Small(3, Path("weights.ckpt"))
    assert copy.deepcopy(module).config() == ARGUMENTS
    assert pickle.loads(pickle.dumps(module)).config() == ARGUMENTS


def test_config_is_a_copy() -> None:
    module = Small(3, Path("weights.ckpt"))
    module.config()["size"] = 4
    assert module.config() == ARGUMENTS


def test_wrong_arguments_are_an_error_of_the_constructor() -> None:
    with pytest.raises(TypeError, match="depth"):
        Small(3, Path("weights.ckpt"), depth=2)  # type: ignore[call-arg]


def test_a_module_is_made_again_from_its_config() -> None:
    made = ContrastivePrior(width=8, members=1)
    assert ContrastivePrior.from_config(made.config()).config() == made.config()


def test_loggers_are_given_the_arguments() -> None:
    assert dict(trainable(Small)(3, Path("weights.ckpt")).hparams) == ARGUMENTS


def test_what_priors_share_may_be_abstract_and_a_prior_may_not() -> None:
    class Shared(hoprior.Prior, abstract=True):
        """Code of two priors."""

    with pytest.raises(TypeError, match="Half is no prior"):

        class Half(Shared):
            """Neither judges nor denoises."""
