"""`priors` of tasks: pairs of weights and priors; what looks like them and is not is refused in a sentence."""

import subprocess
import sys

TRIED = """
import trimesh, hoprior
ball = trimesh.creation.icosphere(subdivisions=2, radius=0.04)
for priors in ("contrastive", ["contrastive"], [("contrastive",)], [1.0]):
    for task in (hoprior.grasp, hoprior.generate, hoprior.generate_objects):
        try:
            task(ball if task is hoprior.grasp else "a ball", num=1, priors=priors)
        except hoprior.errors.ArgumentError as error:
            print(error)
"""


def test_priors_without_weights_are_refused() -> None:
    """In a process of its own, as types are not checked there."""
    told = subprocess.run([sys.executable, "-c", TRIED], capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(told) == 12 and "priors='contrastive' is no list of weights and priors" in told[0]
    assert all('give [(1.0, "contrastive")]' in line for line in told)
