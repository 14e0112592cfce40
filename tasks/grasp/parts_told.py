"""Parts of the object that words or meshes tell: to be kept free, or to be held."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trimesh
from jaxtyping import Float
from torch import Tensor

from hoprior.errors import ArgumentError
from hoprior.geometry.handles import slender_end
from hoprior.geometry.mesh import ObjectMesh
from hoprior.geometry.sdf import SdfGrid
from hoprior.geometry.state import HandObjectState, transform_points
from hoprior.geometry.surface_parts import distances_to, likeliest_part, points_in_mesh, surface_samples
from hoprior.hand.bones import bone_points
from hoprior.language.categories import category_in, classes
from hoprior.language.part_wordings import HANDLE_SAID, handle_is_told_by_shape, part_wordings
from hoprior.priors.protocols import LooksAtObject, PriorInfo, ShowsParts, text_encoder_of
from hoprior.priors.text_encoders import encode_texts

LEAST_LIKELIHOOD, UNUSUAL_LIKELIHOOD = 0.25, 0.5
"""A part whose likeliest place is less likely than this is not found; the second is for parts that things of this kind
mostly lack."""
LEAST_CONTRAST = 3.0
"""Nor is one that stands out from the rest of the object by less than so many log-odds."""
PART_SHARE, PEAK_SHARE = 0.2, 0.6
"""Of the likelihood at the likeliest place: what belongs to a part, and what each piece of it has somewhere."""
WHOLE_SHARE = 0.9
"""What takes more of the surface is no part."""
UNLIKELY, LIKELY = 0.02, 0.995
"""The quantiles over the surface that are compared: a spout may be a hundredth of a jug."""
FLESH, REACH = 0.01, 0.012
"""Between a bone and the skin (m), and how much farther one may be before it counts e times less."""
FEW = 0.5
"""Bones at the object that count as none."""
SOFTNESS = 0.02
"""A share that is taken for no better than none."""


def wordings_cond(prior: Any, text: str) -> Float[Tensor, "1 tokens dim"]:
    """What a prior of parts, which has a text encoder, is told of a sentence: its wordings, a token each."""
    cond = encode_texts(prior, part_wordings(text))
    assert cond is not None, "a prior with a text encoder has features of a sentence"
    return cond.flatten(0, 1)[None]


def handle_by_shape(surface: ObjectMesh, said: str) -> Float[np.ndarray, "n 3"] | None:
    """Points of the handle (m, in the surface's frame) that a sentence has held and no prior of parts knows; None where
    it has none held, or shape does not tell it.

    Args:
        surface: the object, as the search has it.
        said: what is said of hands at it.
    """
    return slender_end(surface.solid) if handle_is_told_by_shape(said) else None


class PartFinder:
    """Finds parts of one object, in the frame of its surface (m).

    Args:
        surface: the object, as the search has it.
        sdf: its signed distances.
        priors: of which one may know parts by words.
        said: what is said of hands at this object, "a hand holding a knife".
    """

    def __init__(self, surface: ObjectMesh, sdf: SdfGrid, priors: Sequence[Any], said: str) -> None:
        self.points, self.said, self.name = surface_samples(surface.mesh), said, surface.name
        self.surface = surface
        able = (p.at_object(sdf) for p in priors if isinstance(p, LooksAtObject) and text_encoder_of(p) is not None)
        self.prior = next((prior for prior in able if isinstance(prior, ShowsParts)), None)
        self.device = sdf.values.device

    def called(self, argument: str, words: str) -> Float[np.ndarray, "n 3"]:
        """Points of the part that words name, "the blade".

        Raises:
            ArgumentError: no prior knows parts by words, or the object has no such part.
        """
        part = words.strip().lower().removeprefix("the ").removeprefix("its ")
        if not part:
            raise ArgumentError(argument, words, 'names no part: say which, "the blade"')
        handle = handle_by_shape(self.surface, f"{self.said} by its {part}") if HANDLE_SAID.fullmatch(part) else None
        if handle is not None:
            return handle
        if self.prior is None:
            raise ArgumentError(argument, words, "is found by the prior of parts: choose it as well, or give a mesh")
        cond = wordings_cond(self.prior, f"{self.said} by its {part}")
        points = torch.tensor(self.points, dtype=torch.float32, device=self.device)
        likelihood = self.prior.likelihood_at(points, cond.to(self.device)).cpu().double().numpy()
        low, high = np.quantile(likelihood, [UNLIKELY, LIKELY]).clip(1e-6, 1 - 1e-6)
        contrast = np.log(high / (1 - high)) - np.log(low / (1 - low))
        found = likeliest_part(self.points, likelihood, PART_SHARE * high, PEAK_SHARE * high)
        least = UNUSUAL_LIKELIHOOD if _unusual(part, self.said) else LEAST_LIKELIHOOD
        if high < least or contrast < LEAST_CONTRAST or found.mean() > WHOLE_SHARE:
            raise ArgumentError(
                argument,
                words,
                f"is not found on '{self.name}', taken as \"{self.said}\": name a part that it has, say with a text "
                "what it is, or give a mesh of the part",
            )
        return self.points[found]

    def in_mesh(self, argument: str, mesh: trimesh.Trimesh, value: str) -> Float[np.ndarray, "n 3"]:
        """Points of the surface that lie in a mesh, in the same frame (m).

        Raises:
            ArgumentError: none does.
        """
        found = points_in_mesh(self.points, mesh)
        if not found.any():
            raise ArgumentError(
                argument, value, f"touches no part of '{self.name}': give a mesh in the object's frame and unit"
            )
        return self.points[found]


def _unusual(part: str, said: str) -> bool:
    """Whether a sentence is of a thing of a known kind, and the part is known of other kinds only.

    Example:
        >>> _unusual("blade", "a hand holding a mug"), _unusual("handle", "a hand holding a mug")
        (True, False)
    """
    kind = category_in(said)
    parts = {_singular(each) for each in kind.parts} if kind is not None else set()
    elsewhere = {_singular(each) for other in classes() for each in other.parts}
    return bool(parts) and _singular(part) in elsewhere - parts


def _singular(word: str) -> str:
    return word[:-1] if word.endswith("s") else word


def is_mesh(value: str | Path | trimesh.Trimesh) -> bool:
    """Whether a part is told by a mesh and not by words.

    Example:
        >>> is_mesh("the handle"), is_mesh("handle.obj")
        (False, True)
    """
    return not isinstance(value, str) or Path(value).suffix[1:].isalnum() or Path(value).is_file()


@dataclass(frozen=True)
class HeldPart:
    """Draws hands to a part of the object: the less of what is near it is at the part, the worse.

    Attributes:
        grid: distances (m) to the part.
    """

    grid: SdfGrid

    text_encoder_name = None
    # Shares that differ by less than a half of themselves are no reason to prefer a grasp.
    info = PriorInfo(min_score_std=0.5, repeats=True)

    @classmethod
    def of(cls, points: Float[np.ndarray, "n 3"], device: torch.device) -> "HeldPart":
        """The part that points of the surface make."""
        return cls(distances_to(points).to(device))

    def energy(self, state: HandObjectState, cond: Tensor | None = None) -> Float[Tensor, " b"]:
        """The negative logarithm of the share of bones at the object that are at the part."""
        bones = transform_points(state.T_object_hand, bone_points(state.joints_hand))
        near = torch.exp(-torch.relu(state.sdf(bones) - FLESH) / REACH)
        at_part = torch.exp(-torch.relu(self.grid(bones) - FLESH) / REACH)
        share = (near * at_part).sum(dim=1) / (near.sum(dim=1) + FEW)
        return -torch.log(share + SOFTNESS)
