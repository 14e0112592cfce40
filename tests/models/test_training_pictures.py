"""What trainings draw: something for every model, from the batch that it is validated on; nothing else is touched."""

from typing import Any

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from small_priors import JOINTS, VQVAE, ball, small_pose_prior, tiny
from torch import Tensor, nn
from training_settings import CONFIGS

from hoprior.geometry.grid import GridSpec
from hoprior.geometry.shape_box import ShapeBox
from hoprior.models.contrastive import ContrastivePrior
from hoprior.models.grasp_type import KINDS, GraspTypePrior
from hoprior.models.grid_prior import GridPrior
from hoprior.models.interaction_prior import InteractionPrior
from hoprior.models.parts import PartsPrior
from hoprior.models.pose_prior import PosePrior
from hoprior.models.shape_autoencoder import ShapeAutoencoder
from hoprior.models.shape_completion import ShapeCompletionPrior
from hoprior.models.text_match import TextMatchPrior
from hoprior.models.training.drawing import pictures
from hoprior.models.training.pictures import pictures_of
from hoprior.models.vqvae import SdfVQVAE
from hoprior.rendering.panels import scene_rows, score_strips, skeleton

NUM = 8


def _drawn(seed: int = 0) -> Any:
    generator = torch.Generator().manual_seed(seed)
    return lambda *shape: torch.randn(*shape, generator=generator)


def _placed(spec: GridSpec, dim: int) -> dict[str, Tensor]:
    drawn = _drawn()
    return {
        "object_sdf": ball(spec).expand(NUM, 1, *spec.shape).contiguous(),
        "joints_hand": JOINTS.expand(NUM, 21, 3) + 0.005 * drawn(NUM, 21, 3),
        "text": drawn(NUM, 1, dim),
        "other_texts": drawn(NUM, 3, 1, dim),
        "recorded": torch.arange(NUM) % 2 == 0,
        "up_hand": nn.functional.normalize(drawn(NUM, 3), dim=1),
        "up_known": torch.arange(NUM) % 3 > 0,
    }


def _case(kind: type[Any]) -> tuple[nn.Module, dict[str, Tensor]]:
    """A small model that was never trained, and a batch as it is validated on."""
    torch.manual_seed(0)
    drawn = _drawn(1)
    if kind is SdfVQVAE:
        vqvae = SdfVQVAE(**VQVAE)
        return vqvae, _placed(vqvae.spec, 6)
    if kind is GridPrior:
        grid = tiny(GridPrior)
        grid.normalized.fill_(True)
        return grid, _placed(grid.spec, 6)
    if kind in (ShapeAutoencoder, InteractionPrior):
        shapes = ShapeAutoencoder(code=8, encoder_width=8, plane_channels=(8, 8, 8, 8, 8), hidden=16)
        balls = torch.linspace(0.4, 0.9, NUM)[:, None, None, None, None]
        lattice = torch.from_numpy(ShapeBox.lattice(32)).float().norm(dim=1).view(1, 1, 32, 32, 32)
        if kind is ShapeAutoencoder:
            return shapes, {"field": lattice - balls}
        prior = InteractionPrior(shapes.config(), width=16, blocks=1, text_dim=6)
        prior.normalized.fill_(True)
        return prior, {"code": drawn(NUM, 8), "text": drawn(NUM, 1, 6)}
    if kind is PosePrior:
        pose = small_pose_prior()
        pose.normalized.fill_(True)
        return pose, {"hand_pose": 0.2 * drawn(NUM, 15, 3), "text": drawn(NUM, 1, pose.text_dim)}
    if kind is ContrastivePrior:
        contrastive = ContrastivePrior(width=8, members=1)
        return contrastive, _placed(contrastive.spec, 6)
    if kind is TextMatchPrior:
        match = TextMatchPrior(width=8, text_dim=6)
        return match, _placed(match.spec, 6)
    texts = drawn(NUM, 4, 6)
    if kind is GraspTypePrior:
        kinds = GraspTypePrior(text_dim=6)
        named = {"texts": texts[:, 0], "told": torch.arange(NUM) % (KINDS + 1)}
        return kinds, {"joints": JOINTS.expand(NUM, 21, 3), "kind": torch.arange(NUM) % KINDS, **named}
    cube = GridSpec((0.0, 0.0, 0.0), 1.0, 16)
    field = ball(cube, 0.5, (0.0, 0.0, 0.0)).expand(NUM, 1, *cube.shape)
    if kind is PartsPrior:
        parts = PartsPrior(resolution=16, width=8, features=8, text_dim=6)
        fits = drawn(NUM, 4, 20) > 0
        fits[:, -1] = True
        places = {"places": drawn(NUM, 20, 3).clamp(-1, 1), "texts": texts, "fits": fits}
        return parts, {"field": field, "size": torch.full((NUM,), 0.1), **places}
    assert kind is ShapeCompletionPrior
    shapes = ShapeCompletionPrior(resolution=16, width=8, text_dim=6)
    solids = {"hull": field, "filled": field, "hollow": field + 0.2, "hand": field}
    told = {
        "half": torch.ones(NUM, 3),
        "ways": drawn(NUM, 5, 3),
        "text": texts[:, 0],
        "heard": torch.ones(NUM, dtype=torch.bool),
    }
    return shapes, {**solids, **told, "mouth": torch.zeros(NUM, 3)}


KINDS_OF_MODEL = (
    SdfVQVAE, GridPrior, PosePrior, ContrastivePrior, TextMatchPrior, GraspTypePrior, PartsPrior, ShapeCompletionPrior,
    ShapeAutoencoder, InteractionPrior,
)  # fmt: skip


def test_every_model_that_a_configuration_trains_is_drawn() -> None:
    found = [yaml.safe_load(path.read_text()) for path in CONFIGS.rglob("*.yaml")]
    trained = {config["model"]["class_path"].rpartition(".")[2] for config in found if "model" in config}
    assert trained == {kind.__name__ for kind in KINDS_OF_MODEL}


@pytest.mark.parametrize("kind", KINDS_OF_MODEL)
def test_it_is_drawn_and_nothing_else_happens(kind: type[Any]) -> None:
    model, batch = _case(kind)
    model.eval()
    before, state = {name: t.clone() for name, t in model.state_dict().items()}, torch.get_rng_state()
    with torch.no_grad():
        found, again = pictures_of(model, batch), pictures_of(model, batch)
    assert found
    for name, picture in found.items():
        pixels = np.asarray(picture)
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 5, name
        assert np.array_equal(pixels, np.asarray(again[name])), "the same weights give the same picture"
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(t, before[name]) for name, t in model.state_dict().items())


def test_a_model_of_yours_draws_itself_and_a_foreign_one_nothing() -> None:
    class Mine(nn.Linear):
        def pictures(self, batch: Any) -> dict[str, Image.Image]:
            return {"mine": Image.new("RGB", (4, 4))}

    assert list(pictures_of(Mine(1, 1), {})) == ["mine"]
    assert pictures(nn.Linear(1, 1), {}) == {}


def test_what_is_not_there_leaves_its_place_empty() -> None:
    nothing: list[Any] = [[], []]
    corners = np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])
    assert len(np.asarray(scene_rows({"": nothing}, corners)).reshape(-1, 3).std(axis=0).nonzero()[0]) == 0
    assert skeleton(np.full((21, 3), np.nan)) == []
    assert score_strips({"none": np.array([]), "lost": np.array([np.nan])}, "").size[0] > 0
