"""`hoprior doctor`: what is installed, what is missing for what, where things are, and whether it all works."""

import os
import platform
import sys
import time
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from hoprior.cli.arguments import call_with_arguments
from hoprior.common.console import answers_console, notes_console
from hoprior.common.optional import OPTIONAL

MUG = Path(str(files("hoprior"))) / "assets" / "meshes" / "mug.obj"


def doctor(test: bool = True) -> dict[str, Any]:
    """What is installed, what each missing piece would enable, where weights and caches are, and a self-test.

    Args:
        test: whether to search one grasp of the shipped mug, which takes about ten seconds; --no-test does not.

    Example:
        hoprior doctor
    """
    from rich.table import Table

    console = answers_console(highlight=False, soft_wrap=True)
    found: dict[str, Any] = {"machine": machine(), "places": places()}
    for about in ("machine", "places"):
        for name, value in found[about].items():
            console.print(f"{name:<16} {value}", markup=False)
    table = Table("package", "", "what it is for", box=None, header_style="bold", padding=(0, 2, 0, 0))
    found["packages"] = {}
    for item in OPTIONAL:
        there = item.version
        found["packages"][item.package] = there
        state = there or f"pip install 'hoprior\\[{item.extra}]'"
        table.add_row(item.package, state, item.use, style=None if there else "yellow")
    console.print()
    console.print(table)
    if test:
        found["self_test"] = self_test()
        console.print(f"\nself-test: {found['self_test']}", markup=False)
    return found


def machine() -> dict[str, str]:
    """Versions, and what can compute here."""
    from importlib.metadata import version

    import torch

    devices = [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        devices.append("mps")
    return {
        "hoprior": version("hoprior"),
        "python": f"{platform.python_version()} ({sys.executable})",
        "torch": f"{torch.__version__}, {torch.get_num_threads()} threads",
        "GPUs": ", ".join(devices) or "none: everything runs on the CPU",
    }


def places() -> dict[str, str]:
    """Where weights, caches and licensed files are looked for."""
    from hoprior.common.caches import cache_folder
    from hoprior.hand.mano import ENVIRONMENT as MANO_ENVIRONMENT
    from hoprior.priors.installed import SHIPPED_FOLDER
    from hoprior.priors.text_encoders import MINILM_FOLDER

    return {
        "priors": str(SHIPPED_FOLDER),
        "text encoder": str(MINILM_FOLDER),
        "caches": str(cache_folder()),
        "MANO files": os.environ.get(MANO_ENVIRONMENT) or f"{MANO_ENVIRONMENT} is not set, only --hand mano needs it",
    }


def self_test() -> str:
    """Searches one grasp of the shipped mug, with few steps and no simulation."""
    from hoprior.hand.placement import LocalSearchConfig
    from hoprior.tasks.grasp.config import GraspConfig
    from hoprior.tasks.grasp.descent import DescentConfig
    from hoprior.tasks.grasp.faults import FaultWeights
    from hoprior.tasks.grasp.task import grasp

    began = time.perf_counter()
    notes_console().print("searching a grasp of the shipped mug", style="dim")
    config = GraspConfig(
        pool=32,
        local_search=LocalSearchConfig(iterations=0),
        guiding=DescentConfig(steps=1),
        refining=DescentConfig(steps=1),
        faults=FaultWeights(simulate=False),
    )
    results = grasp(MUG, "a mug", 1, priors=((1.0, "contrastive"),), config=config)
    return f"{len(results)} grasp in {time.perf_counter() - began:.1f} s: hoprior works"


def main(args: Sequence[str] | None = None) -> Any:
    """The command line of `hoprior doctor`."""
    return call_with_arguments(doctor, "hoprior doctor", args)
