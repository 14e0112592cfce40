"""`hoprior fit --config NAME --trainer.fast_dev_run true` from any folder: one batch of everything, of three cans.

Other configurations, of which data are made for minutes (parts, hollows, kinds of grasp, poses with sentences) or which
are of the papers' sizes, are held to be whole by `test_fit.py`, and their data are tried in tests/datasets.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
import yaml
from training_settings import CONFIGS

from hoprior.cli import main
from hoprior.hand import load_hand
from hoprior.models.vqvae import SdfVQVAE

CANS, GRASPS = 3, 6


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `hoprior data prepare folder` makes of three cans: shards, and the cache in them."""
    folder = tmp_path_factory.mktemp("cans")
    (folder / "mine" / "objects").mkdir(parents=True)
    (folder / "mine" / "grasps").mkdir()
    hand = load_hand()
    joints = hand.joints_only(hand.angles_to_pose(hand.relaxed_angles[None]))[0]
    for number in range(CANS):
        radius = 0.025 + 0.005 * number
        lying = trimesh.transformations.rotation_matrix(np.pi / 2, [1, 0, 0])  # across the palm
        trimesh.creation.cylinder(radius, 0.12, transform=lying).export(
            folder / "mine" / "objects" / f"can{number}.ply"
        )
        places = torch.stack([torch.tensor([-0.09, 0.01 * k - 0.03, -radius - 0.012]) for k in range(GRASPS)])
        np.savez(
            folder / "mine" / "grasps" / f"can{number}.npz",
            joints_object=(joints + places[:, None]).numpy(),
            text=np.array(["a hand holding a can"] * GRASPS),
            category=np.array(["can"] * GRASPS),
            sequence=np.array([f"s{k}" for k in range(GRASPS)]),
            split=np.array(["train" if number else "val"] * GRASPS),
        )
    out = folder / "shards"
    assert main(["data", "prepare", "folder", str(folder / "mine"), "--out", str(out), "--background", "2"]) == 0
    vqvae = yaml.safe_load((CONFIGS / "vqvae.yaml").read_text())["model"]["init_args"]
    SdfVQVAE(**vqvae).save_safetensors(out / "vqvae.safetensors")
    return out


@pytest.mark.slow
@pytest.mark.parametrize("name", ["contrastive", "vqvae", "grid_prior", "grid_prior_stream"])
def test_a_try_of_a_configuration(
    name: str, shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    data = f"--data.shards={shards}" if name.endswith("stream") else f"--data.cache={shards / 'cache'}"
    model = [f"--model.vqvae={shards / 'vqvae.safetensors'}"] if name.startswith("grid") else []
    argv = ["fit", "--config", name, "--trainer.fast_dev_run", "true", "--trainer.accelerator=cpu", data, *model]
    assert main([*argv, "--data.batch_size=2"]) == 0, capsys.readouterr().err
    assert not list(tmp_path.rglob("*.ckpt"))
