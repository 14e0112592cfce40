"""Processes that train together: the same curve and weights as one with batches of the same size in all."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from training_settings import CONFIGS, QUIET, SMALL_VQVAE, column

TESTS = Path(__file__).resolve().parent.parent
FIT = ["fit", f"--config={CONFIGS / 'vqvae.yaml'}", *SMALL_VQVAE, *QUIET, "--data=training_balls.BallsInTurn"]
PYTHON, TORCHRUN = [sys.executable], [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]


def trained(out: Path, launcher: list[str], devices: int) -> tuple[list[float], dict[str, torch.Tensor]]:
    """The curve and the weights of six steps of four balls."""
    together = [f"--trainer.devices={devices}", f"--data.batch_size={4 // devices}", f"--out={out}"]
    options = ["--trainer.max_steps=6", *(["--trainer.strategy=ddp"] if devices > 1 else []), *together]
    there = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)]), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*launcher, "-m", "hoprior", *FIT, *options], env=there, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return column(out, "train/loss"), torch.load(out / "last.ckpt", weights_only=True)["state_dict"]


@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch was built for one process")
@pytest.mark.parametrize("launcher", [PYTHON, TORCHRUN], ids=["by itself", "torchrun"])
def test_two_processes_train_as_one_does(tmp_path: Path, launcher: list[str]) -> None:
    alone, weights = trained(tmp_path / "alone", PYTHON, 1)
    together, others = trained(tmp_path / "together", launcher, 2)
    assert len(alone) == 6 and max(alone) - min(alone) > 0.01
    assert together == pytest.approx(alone, abs=1e-4)
    for name, weight in weights.items():
        torch.testing.assert_close(others[name], weight, rtol=0, atol=2e-3)
