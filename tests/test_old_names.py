"""What was moved or renamed is still found under its old name, which says the new one."""

import importlib
import json
import logging
from pathlib import Path

import pytest
from safetensors.torch import save_file

import hoprior
from hoprior.moved import MOVED_CLASSES, MOVED_MODULES, current_class_path
from hoprior.priors.pretrained import load_safetensors, read_safetensors
from hoprior.priors.registry import OLD_NAMES, SHIPPED_FOLDER


@pytest.mark.parametrize("old", sorted(MOVED_MODULES))
def test_old_module_paths_give_the_new_modules(old: str) -> None:
    new = importlib.import_module(MOVED_MODULES[old])
    spec = new.__spec__
    with pytest.warns(DeprecationWarning, match=MOVED_MODULES[old]):
        import sys

        sys.modules.pop(old, None)
        assert importlib.import_module(old) is new
    assert new.__spec__ is spec and spec is not None and spec.name == MOVED_MODULES[old]


def test_old_classes_are_imported_from_old_modules() -> None:
    with pytest.warns(DeprecationWarning, match="TextMatchPrior"):
        from hoprior.models.words import WordsPrior  # type: ignore[import-not-found]
    from hoprior.models.text_match import TextMatchPrior

    assert WordsPrior is TextMatchPrior


@pytest.mark.parametrize(("old", "new"), sorted(MOVED_CLASSES.items()))
def test_old_classes_are_found_at_their_modules_and_name_the_new_ones(old: str, new: str) -> None:
    module, _, name = old.rpartition(".")
    with pytest.warns(DeprecationWarning, match=new):
        found = getattr(importlib.import_module(module), name)
    assert f"{found.__module__}.{found.__qualname__}" == new


@pytest.mark.parametrize("new", sorted(MOVED_CLASSES.values()))
def test_new_class_paths_exist(new: str) -> None:
    module, _, name = new.rpartition(".")
    assert getattr(importlib.import_module(module), name).__name__ == name


def test_a_module_without_a_name_says_so() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nonesuch'"):
        _ = importlib.import_module("hoprior.models.text_match").Nonesuch


def test_class_paths_in_files_from_before_the_move(tmp_path: Path) -> None:
    assert current_class_path("hoprior.models.words.WordsPrior") == "hoprior.models.text_match.TextMatchPrior"
    assert current_class_path("somebody.else.Prior") == "somebody.else.Prior"
    tensors, header = read_safetensors(SHIPPED_FOLDER / "text_match.safetensors")
    old = tmp_path / "words.safetensors"
    save_file(tensors, old, header | {"class_path": "hoprior.models.words.WordsPrior"})
    assert type(load_safetensors(old)).__name__ == "TextMatchPrior"


@pytest.mark.parametrize(("old", "new"), sorted(OLD_NAMES.items()))
def test_old_names_of_priors_load_and_say_the_new_one(old: str, new: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        found = hoprior.load_prior(old)
    assert type(found) is type(hoprior.load_prior(new))
    assert [f"prior '{old}' is '{new}' now" in record.getMessage() for record in caplog.records] == [True]


def test_weights_that_are_saved_today_name_todays_class(tmp_path: Path) -> None:
    prior = load_safetensors(SHIPPED_FOLDER / "parts.safetensors")
    prior.save_safetensors(tmp_path / "parts.safetensors")
    tensors, header = read_safetensors(tmp_path / "parts.safetensors")
    assert header["class_path"] == "hoprior.models.parts.PartsPrior" and json.loads(header["config"]) == prior.config()
    assert tensors
