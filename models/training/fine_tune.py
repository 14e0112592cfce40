"""Training that begins from trained weights and changes only some of them."""

from collections.abc import Sequence
from pathlib import Path

from pytorch_lightning import Callback, LightningModule, Trainer

from hoprior.errors import HopriorError
from hoprior.priors.pretrained import class_path_of, load_checkpoint, load_safetensors


class FineTune(Callback):
    """Gives the model a file's weights before training, and holds all but some submodules.

    List it before `EMA`, whose averages begin with the weights it finds. A training that goes on from its own
    checkpoint takes that one's weights, as ever.

    Args:
        weights: of a model of the same class and settings (.safetensors or .ckpt).
        learn: names of the submodules that learn, as "decoder".

    Raises:
        HopriorError: the file is of another model, or the model has no such submodule.
    """

    def __init__(self, weights: str | Path, learn: Sequence[str]) -> None:
        self.weights, self.learn = Path(weights), tuple(learn)

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Lightning's hook, before anything is moved or averaged."""
        if stage != "fit":
            return
        found = load_checkpoint(self.weights) if self.weights.suffix == ".ckpt" else load_safetensors(self.weights)
        if class_path_of(type(found)) != class_path_of(type(pl_module)):
            raise HopriorError(
                f"{self.weights}: holds a {type(found).__name__}, and a {type(pl_module).__name__} is trained: "
                "give weights of the same model"
            )
        try:
            # What learns may be new: older weights then have none of it.
            weights = found.state_dict()  # type: ignore[attr-defined]
            missing, unexpected = pl_module.load_state_dict(weights, strict=False)
            strange = [*unexpected, *(name for name in missing if name.partition(".")[0] not in self.learn)]
            if strange:
                raise RuntimeError(f"one has no {strange[0]}, the other has")
        except RuntimeError as error:
            raise HopriorError(
                f"{self.weights}: its {type(found).__name__} has other settings than the one that is trained "
                f"({str(error).splitlines()[-1].strip()})"
            ) from error
        names = dict(pl_module.named_children())
        if unknown := [name for name in self.learn if name not in names]:
            raise HopriorError(
                f"FineTune: {type(pl_module).__name__} has no part named {', '.join(unknown)}: "
                f"it has {', '.join(sorted(names))}"
            )
        pl_module.requires_grad_(False)
        for name in self.learn:
            names[name].requires_grad_(True)
