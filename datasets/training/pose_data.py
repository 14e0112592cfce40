"""Batches of poses with the features of a sentence for each, for the pose prior."""

from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.data import Dataset

from hoprior.datasets.samples.text_features import text_features
from hoprior.datasets.training.datamodule import Batch
from hoprior.datasets.training.grasp_table import even_shares
from hoprior.datasets.training.held_out import warn_none_held_out
from hoprior.datasets.training.poses import PoseTable, read_poses
from hoprior.datasets.training.split_module import DividedModule
from hoprior.hand import load_hand
from hoprior.language.taxonomy import TAXONOMY
from hoprior.language.template import NOTHING
from hoprior.language.wordings import as_sentence, grasp_in, kind_sentence, taught
from hoprior.models.networks.kind_head import (
    AS_SAID,
    KIND_EXAMPLES,
    KIND_PLACES,
    KINDS,
    NOTHING_SAID,
    SAID_EXAMPLES,
)

FAR = 10.0
"""Metres: where examples are of which there are none."""
NOTHING_SHARE = 0.15
"""Of the sentences from which kinds are learnt those that say nothing of a grasp."""
SAID_OF = {"free": 0.1, "resting": 0.1, "myodm": 0.5}
"""How often sentences of each source are among them, 1 for those not named: of these nobody knows the kind."""


class DrawnPoses(Dataset[Batch]):
    """Batch k of an endless, seeded sequence: poses, each with one of its sentences; a little noise on the angles."""

    def __init__(
        self,
        table: PoseTable,
        features: Float[Tensor, "s tokens dim"],
        words: "DrawnWords",
        batch_size: int,
        angles: float,
        source_weights: dict[str, float] | None,
        seed: int,
    ) -> None:
        self.table, self.features, self.words, self.hand = table, features, words, load_hand()
        self.batch_size, self.angles, self.seed = batch_size, angles, seed
        self.weights = table.weights(source_weights)

    @torch.no_grad()
    def __getitem__(self, k: int) -> Batch:
        generator = torch.Generator().manual_seed(self.seed * 1_000_000_007 + k)
        index = torch.multinomial(self.weights, self.batch_size, replacement=True, generator=generator)
        angles = self.table.angles[index]
        angles = angles + self.angles * torch.randn(angles.shape, generator=generator)
        texts = self.table.text_id[index]
        column = torch.randint(texts.shape[1], (len(index), 1), generator=generator)
        text = self.features[texts.gather(1, column)[:, 0]]
        said, means = self.words.drawn(self.batch_size, generator)
        return {
            "hand_pose": self.hand.angles_to_pose(angles),
            "text": text,
            "row": self.table.row_id[index],
            "said": said,
            "means": means,
            "kind_texts": self.words.kind_texts,
            "examples": self.words.examples,
        }


class DrawnWords:
    """Sentences, and which kind of grasp each may mean: what people do with a thing, as often as the table's people do.

    Objects are even over sources and categories, an object's grasps as frequent as they are. A sentence that names a
    kind itself means `AS_SAID`, as do those of grasps of which nobody knows the kind; what says nothing of a grasp
    means `NOTHING_SAID`.
    """

    def __init__(self, table: PoseTable, text_encoder: str, folder: Path, features: Float[Tensor, "s tokens dim"]):
        nothing = [text for text in map(as_sentence, taught().nothing) if text]
        kinds = [kind_sentence(kind.number) for kind in TAXONOMY]
        self.nothing = text_features(folder, nothing, text_encoder)
        self.kind_texts = text_features(folder, kinds, text_encoder)
        self.table, self.features = table, features
        names_kind = torch.tensor([grasp_in(text) > 0 for text in table.sentences])
        kind = torch.tensor([KIND_PLACES.get(row.affordance.grasp, AS_SAID) for row in table.rows])[table.row_id]
        self.means = torch.where(names_kind[table.text_id], AS_SAID, kind[:, None])
        self.examples = _examples(table, kind)
        rows = [table.row(i) for i in range(len(table))]
        paths: list[tuple[str, ...]] = [(r.source, r.category, r.object, str(i)) for i, r in enumerate(rows)]
        self.weights = even_shares(paths, [SAID_OF.get(path[0], 1.0) for path in paths]).float()

    def drawn(self, num: int, generator: torch.Generator) -> tuple[Float[Tensor, "n tokens dim"], Int[Tensor, " n"]]:
        """`num` sentences' features and what each means."""
        index = torch.multinomial(self.weights, num, replacement=True, generator=generator)
        column = torch.randint(self.means.shape[1], (num, 1), generator=generator)
        said = self.features[self.table.text_id[index].gather(1, column)[:, 0]]
        means = self.means[index].gather(1, column)[:, 0]
        vain = torch.rand(num, generator=generator) < NOTHING_SHARE
        some = torch.randint(len(self.nothing), (num,), generator=generator)
        return torch.where(vain[:, None, None], self.nothing[some], said), means.masked_fill(vain, NOTHING_SAID)


def _examples(table: PoseTable, kind: Int[Tensor, " n"]) -> Float[Tensor, "examples 21 3"]:
    """Joints of hands of each kind, and of hands at objects of which nobody knows the kind; far
    away where there are none."""
    generator = torch.Generator().manual_seed(0)
    hand = load_hand()
    holds = torch.tensor([row.affordance.object_category != NOTHING for row in table.rows])[table.row_id]
    found = []
    for place in range(KINDS + 1):
        count = SAID_EXAMPLES if place == AS_SAID else KIND_EXAMPLES
        index = (holds & (kind == place)).nonzero()[:, 0]
        if not len(index):
            found.append(torch.full((count, 21, 3), FAR))
            continue
        order = index[torch.randperm(len(index), generator=generator)]
        chosen = order.repeat(-(-count // len(order)))[:count]
        found.append(hand.joints_only(hand.angles_to_pose(table.angles[chosen])))
    return torch.cat(found)


class PoseDataModule(DividedModule[DrawnPoses]):
    """Batches out of a table that `hoprior data poses` made.

    A batch has `hand_pose` (b, 15, 3), axis-angle in the right hand's frame, `text` (b, tokens, dim), the features of
    one of the sentences that fit it, and `row` (b,), where the table says what it is of.

    Args:
        poses: the table's file.
        batch_size: poses a batch.
        batches_per_epoch: training batches an epoch; drawn with replacement, so an epoch is a convention.
        val_batches: batches of a validation, always the same.
        val_fraction: share of the objects that are held out.
        source_weights: how often each source is drawn; 1 for those not named.
        angles: standard deviation (radians) of the noise on the training poses' angles.
        text_encoder: name of the encoder of hoprior.priors.text_encoders; its features are stored beside the table.
        seed: of the draws.

    Raises:
        HopriorError: the table is missing or damaged.
    """

    def __init__(
        self,
        poses: str | Path,
        batch_size: int = 256,
        batches_per_epoch: int = 200,
        val_batches: int = 4,
        val_fraction: float = 0.1,
        source_weights: dict[str, float] | None = None,
        angles: float = 0.03,
        text_encoder: str = "minilm",
        seed: int = 0,
    ) -> None:
        super().__init__(batches_per_epoch, val_batches, val_fraction)
        self.path = Path(poses)
        self.batch_size, self.source_weights, self.angles = batch_size, source_weights, angles
        self.text_encoder, self.seed = text_encoder, seed

    def setup(self, stage: str | None = None) -> None:
        """Reads the table (once) and divides its objects."""
        if self.train_batches is not None:
            return
        table = read_poses(self.path)
        features = text_features(self.path.parent, table.sentences, self.text_encoder)
        train, val = table.split(self.val_fraction)
        if not len(val):
            warn_none_held_out(self.path, self.val_fraction)
            val = train
        said = [DrawnWords(part, self.text_encoder, self.path.parent, features) for part in (train, val)]
        settings = (self.source_weights, self.seed)
        self.train_batches = DrawnPoses(train, features, said[0], self.batch_size, self.angles, *settings)
        self.val_batches_of = DrawnPoses(val, features, said[1], self.batch_size, 0.0, *settings)
