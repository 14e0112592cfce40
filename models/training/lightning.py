"""How Lightning trains our modules: their networks are plain torch modules, which need no Lightning to be used."""

from collections.abc import Callable
from functools import cache
from typing import Any

from pytorch_lightning import LightningModule

from hoprior.models.base import TrainedModule
from hoprior.models.training.optim import adamw_with_warmup


class Lightning(LightningModule):
    """What `trainable` adds to a module: Lightning's hooks that are the same for all."""

    _arguments: dict[str, Any]
    evaluate: Callable[[dict[str, Any], int, str], None]

    def __init__(self) -> None:
        super().__init__()
        self.save_hyperparameters(self._arguments)  # for loggers

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Pickles and copies name the plain class: this one has its name, and is found in no module."""
        return _blank, (type(self).__bases__[0],), self.__getstate__()

    def log(self, name: str, value: Any, *args: Any, **options: Any) -> None:
        """As Lightning's; what is logged of a training's steps is the mean of all processes that train together."""
        if name.startswith("train/"):
            options["sync_dist"] = True
        super().log(name, value, *args, **options)

    def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """Logs how good it is on what was held out; see `evaluate`."""
        self.evaluate(batch, batch_idx, "val")

    def test_step(self, batch: dict[str, Any], batch_idx: int) -> None:
        """As validation, under `test/`."""
        self.evaluate(batch, batch_idx, "test")

    def configure_optimizers(self) -> Any:
        """AdamW with warm-up and cosine decay."""
        rate, decay, warmup = (self._arguments[name] for name in ("learning_rate", "weight_decay", "warmup_steps"))
        total = self.trainer.estimated_stepping_batches
        return adamw_with_warmup(self.parameters(), rate, decay, warmup, total)


@cache
def trainable(cls: type[TrainedModule]) -> type[Any]:
    """The LightningModule of a class of ours: the same networks, name and weights, with what `Trainer.fit` asks for.

    `hoprior fit` makes it by itself; in Python it is `Trainer(...).fit(trainable(GridPrior)(...), data)`.

    Example:
        >>> from hoprior.models.contrastive import ContrastivePrior
        >>> model = trainable(ContrastivePrior)
        >>> issubclass(model, LightningModule), issubclass(model, ContrastivePrior)
        (True, True)
    """
    names = {"__module__": cls.__module__, "__qualname__": cls.__qualname__, "__doc__": cls.__doc__}
    return type(cls.__name__, (cls, Lightning), names)


def _blank(cls: type[TrainedModule]) -> Any:
    made: Any = trainable(cls)
    return made.__new__(made)
