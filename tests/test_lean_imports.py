"""Using a prior loads neither what trains it nor torch's compiler: each of them takes seconds."""

import subprocess
import sys

import pytest

FOR_TRAINING = (
    "pytorch_lightning",
    "torchmetrics",
    "transformers",
    "vector_quantize_pytorch",
    "einx",
    "roma",
    "torch._dynamo",
    "sympy",
    "torchvision",
    "jsonargparse",
)

COMMANDS = (
    "run_grasp",
    "run_generate",
    "run_refine",
    "run_reconstruct",
    "eval_grasp",
    "eval_reconstruct",
)
"""Modules of commands that use priors."""


def _loaded_by(code: str) -> set[str]:
    """Which of `FOR_TRAINING` a new process has loaded after `code`."""
    ask = f"\nimport sys; print('loaded:', *({FOR_TRAINING!r}[k] for k in range({len(FOR_TRAINING)}) "
    ask += f"if {FOR_TRAINING!r}[k] in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code + ask], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rpartition("loaded:")[2].split())


def test_all_priors_and_their_text_load_nothing_of_training() -> None:
    # The new process asks what is installed: this one may see packages that other tests put on its path.
    code = """
from hoprior.priors.registry import installed_priors, load_prior
from hoprior.priors.text_encoders import encode_texts
names = [prior.name for prior in installed_priors() if prior.problem is None]
assert len(names) >= 5
for name in names:
    encode_texts(load_prior(name), ["a mug"])
"""
    assert _loaded_by(code) == set()


def test_tasks_load_nothing_of_training() -> None:
    tasks = ("grasp.task", "generate.interactions", "generate.poses", "refine.task", "reconstruct.task")
    assert _loaded_by("import " + ", ".join(f"hoprior.tasks.{task}" for task in tasks)) == set()


@pytest.mark.parametrize("module", COMMANDS)
def test_commands_load_nothing_of_training(module: str) -> None:
    assert _loaded_by(f"import hoprior.cli.{module}") == set()


def test_descents_load_no_compiler() -> None:
    code = """
import torch
from hoprior.common.adam import Adam
x = torch.ones(2, requires_grad=True)
adam = Adam([{"params": [x], "lr": 0.1}])
for _ in range(2):
    adam.zero_grad()
    x.square().sum().backward()
    adam.step()
"""
    assert _loaded_by(code) == set()


def test_what_is_asked_for_is_seen() -> None:
    assert "torch._dynamo" in _loaded_by("import torch._dynamo")
