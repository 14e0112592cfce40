"""Arguments of tasks that are of another kind than is asked for are refused in a sentence, before anything is done."""

import subprocess
import sys

TRIED = """
import trimesh, hoprior
ball = trimesh.creation.icosphere(subdivisions=2, radius=0.04)
for priors in (None, 5, "contrastive", ["contrastive"], [("contrastive",)], [1.0], [("contrastive", 1.0)],
               [(float("nan"), "contrastive")]):
    for task in (hoprior.grasp, hoprior.generate, hoprior.generate_objects):
        try:
            task(ball if task is hoprior.grasp else "a ball", num=1, priors=priors)
        except hoprior.errors.ArgumentError as error:
            print(error)
"""


def test_priors_without_weights_are_refused() -> None:
    """In a process of its own, as types are not checked there."""
    told = subprocess.run([sys.executable, "-c", TRIED], capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(told) == 24 and "priors='contrastive' is no list of weights and priors" in told[6]
    assert all('give [(1.0, "contrastive")]' in line for line in told)


KINDS = """
import trimesh, hoprior
ball = trimesh.creation.icosphere(subdivisions=2, radius=0.04)
for wrong in ({"num": "3"}, {"num": 2.5}, {"num": None}, {"seed": None}, {"seed": "a"}, {"text": 5},
              {"text": ["a ball"]}):
    for task in (hoprior.grasp, hoprior.generate, hoprior.generate_objects):
        told = {} if task is hoprior.grasp else {"text": "a ball"}
        try:
            task(*[ball] * (task is hoprior.grasp), **told | wrong)
        except hoprior.errors.ArgumentError as error:
            print(error)
for call in (lambda: hoprior.refine("photo.jpg", seed="a"), lambda: hoprior.reconstruct("clip", text=5),
             lambda: hoprior.reconstruct("clip", seed=0.5), lambda: hoprior.grasp(ball, num=True + 0.5)):
    try:
        call()
    except hoprior.errors.ArgumentError as error:
        print(error)
"""


def test_numbers_and_texts_of_another_kind_are_refused() -> None:
    told = subprocess.run([sys.executable, "-c", KINDS], capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(told) == 25, told
    assert all("is no whole number: give" in line or "is no sentence: give" in line for line in told)
