"""How long commands take until they help, and until they can work: least of some runs, and seconds of CPU.

    python benchmarks/start_up.py [--times 5]

Limits: `hoprior --help` .1 s, any other help 1.5 s, and 4 s until a command has imported its task, loaded all priors
that it asks, and encoded a text. Slower machines, and those that do other work, take longer: importing torch took 1.3 s
where the limits were set, so that 4 s are 3.1 times that; each is told as a multiple of importing torch here, too.
"""

import argparse
import os
import subprocess
import sys
import time

from hoprior.cli.commands import COMMANDS

READY = """
import torch
import hoprior.cli.run_{task}
from hoprior.tasks.{task}.task import DEFAULT_PRIORS
from hoprior.priors.text_encoders import encode_texts
from hoprior.tasks.shared import load_priors
for prior in load_priors(DEFAULT_PRIORS, "{task}", torch.device("cpu")):
    if prior.prior.text_encoder_name is not None:
        encode_texts(prior.prior, ["a mug"])
"""
"""What a command does before it looks at what it is given."""


def seconds(command: list[str], times: int) -> tuple[float, float]:
    """Least seconds by the clock and least of CPU of a command, run `times` times.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    clock, cpu = [], []
    # As where Python keeps what it compiles, which it does unless it is told not to.
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for _ in range(times):
        before, began = os.times(), time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, env=kept)
        clock.append(time.perf_counter() - began)
        after = os.times()
        cpu.append(after.children_user + after.children_system - before.children_user - before.children_system)
    return min(clock), min(cpu)


def main() -> None:
    """Prints a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=5, help="runs of each")
    times = parser.parse_args().times
    hoprior = [sys.executable, "-m", "hoprior"]
    helps = {}
    for words in COMMANDS:
        if "NAME" not in words:
            helps[" ".join(("hoprior", *words, "--help"))] = seconds([*hoprior, *words, "--help"], times)
    slowest = max(helps, key=lambda name: helps[name][1])
    codes = ("import torch", *(READY.format(task=task) for task in ("grasp", "reconstruct")))
    torch, grasp, reconstruct = ([sys.executable, "-c", code] for code in codes)
    alone = seconds(torch, times)
    for what, limit, (clock, cpu) in (
        ("hoprior --help", ", limit .1 s", seconds([*hoprior, "--help"], times)),
        (f"{slowest}, the slowest of {len(helps)}", ", limit 1.5 s", helps[slowest]),
        ("import torch", "", alone),
        ("run grasp until it can work", ", limit 4 s (3.1 times torch)", seconds(grasp, times)),
        ("run reconstruct until it can work", ", limit 4 s (3.1 times torch)", seconds(reconstruct, times)),
    ):
        multiple = f"; {cpu / alone[1]:.2f} times the CPU of importing torch" if "until" in what else ""
        print(f"{what}: {clock:.2f} s, {cpu:.2f} s of CPU{limit}{multiple}")


if __name__ == "__main__":
    main()
