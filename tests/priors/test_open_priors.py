"""The companion package of weights that learnt from open data: built, found by name, missed in a sentence."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from installing import INSTALL

from hoprior import load_prior
from hoprior.errors import HopriorError
from hoprior.models.contrastive import ContrastivePrior
from hoprior.models.pose_prior import PosePrior
from hoprior.priors.installed import COMPANIONS, SHIPPED_FOLDER, SHIPPED_LICENCES

REPOSITORY = Path(__file__).resolve().parents[2]


def module_at(place):
    spec = importlib.util.spec_from_file_location(place.stem, place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def builder():
    return module_at(REPOSITORY / "tools" / "build_open_priors.py")


@pytest.fixture
def weights(tmp_path):
    """Two priors that were never trained, as `hoprior export` writes them."""
    torch.manual_seed(0)
    folder = tmp_path / "weights"
    folder.mkdir()
    ContrastivePrior(width=8, resolution=4, members=1).save_safetensors(folder / "contrastive-open.safetensors")
    PosePrior(width=16, layers=1, heads=2, mlp_blocks=1).save_safetensors(folder / "pose-open.safetensors")
    return folder


@pytest.mark.parametrize("name", COMPANIONS)
def test_a_prior_that_is_not_installed_says_in_one_sentence_where_it_is(name):
    with pytest.raises(HopriorError, match=rf"^prior '{name}' is in a package of its own.* pip install hoprior-open-"):
        load_prior(name)


def test_there_is_one_for_every_shipped_prior_that_is_not_for_everyone():
    restricted = {name for name, licence in SHIPPED_LICENCES.items() if "non-commercial" in licence}
    assert set(COMPANIONS) == {f"{name}-open" for name in restricted}


def test_whoever_trains_a_prior_of_placements_only_its_fingertips_are_followed(weights):
    assert load_prior(weights / "contrastive-open.safetensors").info.fingertips_only
    assert all(load_prior(name).info.fingertips_only for name in ("contrastive", "text_match"))
    assert not load_prior("grasp_type").info.fingertips_only


@pytest.mark.parametrize("name", COMPANIONS)
def test_the_package_has_what_its_entry_point_asks_for(builder, name):
    package = module_at(builder.PACKAGE / "hoprior_open_priors" / "__init__.py")
    assert callable(getattr(package, name.replace("-", "_")))


def test_the_package_is_built_and_its_priors_are_found(builder, weights, tmp_path):
    assert builder.assemble(weights, tmp_path / "package") == ["contrastive-open", "pose-open"]
    target = tmp_path / "site"
    command = ["-q", "install_lib", "--install-dir", str(target), "install_egg_info", "--install-dir", str(target)]
    subprocess.run([sys.executable, "-c", INSTALL, *command], cwd=tmp_path / "package", check=True, capture_output=True)
    asked = (
        f"import sys; sys.path.insert(0, {str(target)!r}); import hoprior; "
        "from hoprior.priors.registry import available_priors as known; "
        "print(sorted(n for n in known() if n.endswith('-open'))); "
        "print(type(hoprior.load_prior('contrastive-open')).__name__, hoprior.load_prior('pose-open').info.licence)"
    )
    found = subprocess.run([sys.executable, "-c", asked], check=True, capture_output=True, text=True).stdout
    assert found.splitlines() == [
        "['contrastive-open', 'pose-open']",
        "ContrastivePrior Apache-2.0; trained on nothing but data that anyone may use",
    ]


def test_weights_that_lie_in_the_package_are_of_known_names_and_load(builder, tmp_path):
    lying = sorted(path.stem for path in builder.WEIGHTS.glob("*"))
    assert lying and builder.assemble(builder.WEIGHTS, tmp_path / "package") == lying
    assert not (tmp_path / "package" / "weights").exists()


def test_a_folder_without_weights_is_one_sentence(builder, tmp_path):
    with pytest.raises(HopriorError, match=r"has none of contrastive-open\.safetensors"):
        builder.assemble(tmp_path, tmp_path / "package")
    (tmp_path / "pose-open.safetensors").write_bytes(b"nothing")
    with pytest.raises(HopriorError, match="not a whole safetensors file"):
        builder.assemble(tmp_path, tmp_path / "package")


def test_what_ships_stays_small():
    assert sum(path.stat().st_size for path in SHIPPED_FOLDER.glob("*.safetensors")) < 45e6
