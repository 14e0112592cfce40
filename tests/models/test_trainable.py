"""Plain modules become LightningModules of the same name, weights and class, and are copied and pickled as such."""

import copy
import pickle
from pathlib import Path

import torch
from pytorch_lightning import LightningModule

from hoprior.models.training.lightning import trainable
from hoprior.models.vqvae import SdfVQVAE
from hoprior.priors.pretrained import class_path_of, load_safetensors

TINY = {"grid_resolution": 8, "channels": (4, 8), "res_blocks": 1, "latent_channels": 4, "levels": [5] * 4}


def test_only_what_is_trained_is_lightnings() -> None:
    torch.manual_seed(0)
    plain, module = SdfVQVAE(**TINY), trainable(SdfVQVAE)(**TINY)
    assert not isinstance(plain, LightningModule) and isinstance(module, LightningModule)
    assert isinstance(module, SdfVQVAE) and trainable(SdfVQVAE) is type(module)
    assert class_path_of(type(module)) == class_path_of(SdfVQVAE) and module.config() == plain.config()
    assert module.hparams["levels"] == [5] * 4
    assert plain.state_dict().keys() == module.state_dict().keys()


def test_files_of_what_was_trained_make_what_is_used(tmp_path: Path) -> None:
    module = trainable(SdfVQVAE)(**TINY)
    module.save_safetensors(tmp_path / "vqvae.safetensors")
    assert type(load_safetensors(tmp_path / "vqvae.safetensors")) is SdfVQVAE
    checkpoint: dict[str, object] = {}
    module.on_save_checkpoint(checkpoint)
    assert checkpoint["hoprior"]["class_path"] == class_path_of(SdfVQVAE)  # type: ignore[index]


def test_copies_and_pickles_have_the_same_weights() -> None:
    module = trainable(SdfVQVAE)(**TINY)
    for copied in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert type(copied) is type(module) and copied.config() == module.config()
        mine, other = module.state_dict(), copied.state_dict()
        assert all(torch.equal(value, other[name]) for name, value in mine.items())
        assert all(a is not b for a, b in zip(module.parameters(), copied.parameters(), strict=True))
