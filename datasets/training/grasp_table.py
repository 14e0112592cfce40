"""All grasps of a cache in one table, and draws that are balanced over where they are from."""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from hoprior.datasets.samples.cache import Shard
from hoprior.datasets.samples.sample import GraspSet
from hoprior.errors import HopriorError
from hoprior.language.phrases import GENERIC_TEXT


class GraspTable:
    """All grasps of some shards, flat, with draws that are balanced over sources, categories and objects.

    A draw picks a source by weight, recorded or background by ratio, a category evenly, an object of it evenly, a
    sequence evenly, and a grasp of that.
    """

    def __init__(
        self, shards: Sequence[Shard], recorded_fraction: float = 0.5, source_weights: Mapping[str, float] | None = None
    ) -> None:
        if not shards:
            raise HopriorError("no objects in this split: lower val_fraction, or prepare more data")
        self.sdf = [shard.sdf for shard in shards]
        self.objects = [shard.grasps.object for shard in shards]
        self.counts = torch.tensor([len(shard.grasps) for shard in shards])
        self.object_index = torch.arange(len(shards)).repeat_interleave(self.counts)
        names = ("T_object_hand", "angles", "betas", "joints_hand", "recorded")
        columns = {name: torch.cat([shard.grasps.tensors()[name] for shard in shards]) for name in names}
        self.T_object_hand, self.angles = columns["T_object_hand"], columns["angles"]
        self.up_object = torch.cat([_with_any_up(shard.grasps) for shard in shards])
        self.betas, self.joints_hand, self.recorded = (columns[name] for name in ("betas", "joints_hand", "recorded"))
        self.sentences = list(
            dict.fromkeys([GENERIC_TEXT, *(sentence for shard in shards for sentence in shard.grasps.sentences)])
        )
        place = {text: i for i, text in enumerate(self.sentences)}
        self.text_id = torch.cat(
            [torch.tensor([place[s] for s in shard.grasps.sentences])[shard.grasps.text_id] for shard in shards]
        )
        self.generic_text_id = place[GENERIC_TEXT]
        self.weights = self._weights(shards, recorded_fraction, dict(source_weights or {}))

    def __len__(self) -> int:
        return len(self.object_index)

    def _weights(
        self, shards: Sequence[Shard], recorded_fraction: float, source_weights: dict[str, float]
    ) -> Float[Tensor, " n"]:
        """Probability of each grasp to be drawn."""
        sources = [info.source for info in self.objects]
        if unknown := set(source_weights) - set(sources):
            raise HopriorError(f"mix weights for {sorted(unknown)}, but this split has only {sorted(set(sources))}")
        source = [source_weights.get(name, 1.0) for name in sources]
        levels = [
            [f"{info.source}" for info in self.objects],
            [f"{info.source}/{info.category}" for info in self.objects],
            [info.key for info in self.objects],
        ]
        sequence = torch.cat([shard.grasps.sequence_id for shard in shards])
        weights = torch.zeros(len(self), dtype=torch.float64)
        for recorded, share in ((True, recorded_fraction), (False, 1 - recorded_fraction)):
            mine = (self.recorded == recorded).nonzero()[:, 0]
            if share <= 0 or not len(mine):
                continue
            owner, kind = self.object_index[mine].tolist(), sequence[mine].tolist()
            paths = [
                (*(level[o] for level in levels), f"{levels[2][o]}/{k}", str(i))
                for i, (o, k) in enumerate(zip(owner, kind, strict=True))
            ]
            weights[mine] = share * even_shares(paths, [source[o] for o in owner])
        if weights.sum() <= 0:
            raise HopriorError(f"nothing to draw with recorded_fraction {recorded_fraction}: this split has none of it")
        return (weights / weights.sum()).float()

    def draw(self, num: int, generator: torch.Generator) -> Int[Tensor, " b"]:
        """Indices of `num` grasps."""
        return torch.multinomial(self.weights, num, replacement=True, generator=generator)


def _with_any_up(grasps: GraspSet) -> Float[Tensor, "n 3"]:
    """Which way up the object was; background grasps, made without a table, take turns with what was recorded."""
    up = grasps.up_object.clone()
    known = up[grasps.recorded & (up.norm(dim=1) > 0)]
    background = (~grasps.recorded).nonzero()[:, 0]
    if len(known):
        up[background] = known[torch.arange(len(background)) % len(known)]
    return up


def even_shares(paths: list[tuple[str, ...]], root_weights: list[float]) -> Float[Tensor, " n"]:
    """Probability of leaves of a tree when each node divides its share evenly among its children (roots by weight)."""
    children: dict[tuple[str, ...], set[str]] = {}
    for path in paths:
        for depth in range(1, len(path)):
            children.setdefault(path[:depth], set()).add(path[depth])
    roots = {path[0]: weight for path, weight in zip(paths, root_weights, strict=True)}
    total = sum(roots.values())
    shares = []
    for path in paths:
        share = roots[path[0]] / total if total > 0 else 0.0
        for depth in range(1, len(path)):
            share /= len(children[path[:depth]])
        shares.append(share)
    return torch.tensor(shares, dtype=torch.float64)
