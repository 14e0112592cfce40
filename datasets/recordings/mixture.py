"""Mixtures for training: how often each dataset and each class of objects is drawn, and with which words.

Classes have long tails: some have ten thousand grasps and some fifty. `balance` draws a class of n grasps in
proportion to n ** (1 - balance): 0 leaves them as they are, 1 draws all classes alike.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hoprior.common.reading import interpreting, read_yaml
from hoprior.datasets.recordings.registry import ADAPTERS
from hoprior.errors import HopriorError


@dataclass(frozen=True)
class Part:
    """A dataset of a mixture.

    Attributes:
        dataset: its adapter's name.
        weight: how often it is drawn, relative to the others.
        protocol, split: which part of it.
        shards: folder that `hoprior data prepare` made of it; relative ones are below the mixture's `root`.
    """

    dataset: str
    weight: float = 1.0
    protocol: str | None = None
    split: str = "train"
    shards: str = ""

    def __post_init__(self) -> None:
        if self.dataset not in ADAPTERS:
            raise HopriorError(f"mixture: no dataset '{self.dataset}': there are {', '.join(sorted(ADAPTERS))}")
        for name in ("protocol", "split", "shards"):
            if not isinstance(getattr(self, name) or "", str):
                raise HopriorError(f"mixture: {name} of '{self.dataset}' is {getattr(self, name)!r}: give a name")
        if not isinstance(self.weight, int | float) or not 0 <= self.weight < math.inf:
            raise HopriorError(f"mixture: the weight of '{self.dataset}' is {self.weight}: give 0 or more")
        known = ADAPTERS[self.dataset].protocols
        if self.protocol is not None and self.protocol not in known:
            raise HopriorError(f"mixture: {self.dataset} has no protocol '{self.protocol}': use {', '.join(known)}")


@dataclass(frozen=True)
class Mixture:
    """Datasets with weights, and how classes are drawn.

    Attributes:
        parts: the datasets.
        balance: see the module; 0 to 1.
        class_weights: factors of single classes, on top of it.
        sentences: a file of better sentences by an item's key (`hoprior.language.caption_file`), from a vision-language
            model, say; used where it has one.
        root: the folder of the parts' shards.
    """

    parts: tuple[Part, ...]
    balance: float = 0.0
    class_weights: Mapping[str, float] = field(default_factory=dict)
    sentences: str | None = None
    root: str = "out/shards"

    def __post_init__(self) -> None:
        for name, value in (("root", self.root), ("sentences", self.sentences or "")):
            if not isinstance(value, str):
                raise HopriorError(f"mixture: {name} is {value!r}: give a path")
        factors = self.class_weights.values()
        if not all(isinstance(factor, int | float) and 0 <= factor < math.inf for factor in factors):
            raise HopriorError("mixture: class_weights are factors by class: give numbers, 0 or more")
        if not self.parts or sum(part.weight for part in self.parts) <= 0:
            raise HopriorError("mixture: no dataset has a weight above 0")
        if not 0 <= self.balance <= 1:
            raise HopriorError(f"mixture: balance {self.balance}: give 0 (as they are) to 1 (all classes alike)")
        if len({part.dataset for part in self.parts}) != len(self.parts):
            raise HopriorError("mixture: a dataset is named twice")

    def folder(self, part: Part) -> Path:
        """Where a part's shards are."""
        return Path(self.root) / (part.shards or part.dataset)


def read_mixture(path: Path) -> Mixture:
    """A mixture from a YAML file; `configs/mixtures/` has those of the papers.

    Raises:
        HopriorError: the file is missing or damaged, or names what does not exist.
    """
    content = read_yaml(path, "give a YAML file of a mixture")
    try:
        with interpreting(path, "see configs/mixtures/", "not a mixture"):
            parts = tuple(Part(dataset=name, **(settings or {})) for name, settings in content.pop("datasets").items())
            return Mixture(parts, **content)
    except HopriorError as error:
        if str(error).startswith(str(path)):
            raise
        raise HopriorError(f"{path}: {error}") from error


def check_part(part: Part, folder: Path, manifest: Mapping[str, Any]) -> None:
    """Makes sure that shards hold what a mixture asks for: nothing is trained on a split that was to be held out.

    Raises:
        HopriorError: another dataset, split or way of splitting.
    """
    wanted = (part.dataset, part.split, part.protocol or ADAPTERS[part.dataset].protocols[0])
    # Shards that were not made by the command say nothing of it.
    held = tuple(
        manifest.get(name, known) for name, known in zip(("dataset", "split", "protocol"), wanted, strict=True)
    )
    if held != wanted:
        texts = [f"the split '{split}' by '{protocol}' of {dataset}" for dataset, split, protocol in (held, wanted)]
        raise HopriorError(
            f"{folder}: holds {texts[0]}, the mixture asks for {texts[1]}: prepare it, or change the mixture"
        )


def keep_probabilities(
    counts: Mapping[str, int], balance: float, class_weights: Mapping[str, float] | None = None
) -> dict[str, float]:
    """How likely an item of each class is kept from a stream, so that classes come in the wanted proportions.

    The class that is wanted most, for what there is of it, is always kept.

    Example:
        >>> keep_probabilities({"mug": 40, "knife": 10}, balance=1.0)
        {'mug': 0.25, 'knife': 1.0}
    """
    factors = class_weights or {}
    if unknown := sorted(set(factors) - set(counts)):
        raise HopriorError(f"class weights for {', '.join(unknown)}, but there is nothing of them")
    wanted = {name: factors.get(name, 1.0) * count**-balance for name, count in counts.items() if count}
    most = max(wanted.values(), default=0.0)
    if wanted and most <= 0:
        raise HopriorError("all class weights are 0: nothing is left to draw")
    return {name: value / most for name, value in wanted.items()}


def weights_of(parts: Sequence[Part]) -> list[float]:
    """Shares of the parts, that sum to one.

    Example:
        >>> weights_of([Part("ho3d_v3", 3.0), Part("obman", 1.0)])
        [0.75, 0.25]
    """
    total = sum(part.weight for part in parts)
    return [part.weight / total for part in parts]
