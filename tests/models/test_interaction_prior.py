"""Codes of whole shapes, and hands with them as one vector: there and back, and what a network that knows draws."""

from typing import Any

import numpy as np
import pytest
import torch
import trimesh
from torch import Tensor

import hoprior
from hoprior.datasets.training.shape_points import ShapeBatches, shape_points
from hoprior.errors import HopriorError
from hoprior.geometry.sdf import SdfGrid
from hoprior.geometry.shape_box import ShapeBox
from hoprior.geometry.state import HandObjectState
from hoprior.hand.placement import random_placements
from hoprior.models.interaction_completion import _loose, completed
from hoprior.models.interaction_draws import draw_hands, draw_objects
from hoprior.models.interaction_prior import HAND, InteractionPrior, Interactions
from hoprior.models.shape_autoencoder import ShapeAutoencoder
from hoprior.models.shape_surfaces import surface_of
from hoprior.priors.diffusion import NoiseSchedule, noise_from_x0
from hoprior.priors.guidance import guidance_loss

STEPS = 20
AUTOENCODER = {"code": 16, "encoder_width": 8, "plane_channels": (16, 8, 8, 8, 8), "hidden": 32}
BOX = trimesh.creation.box((0.04, 0.06, 0.16))
BALL = trimesh.creation.icosphere(subdivisions=4, radius=0.04)


@pytest.fixture(scope="module")
def autoencoder() -> ShapeAutoencoder:
    """Of a ball and a box, learnt in a minute of its own."""
    torch.manual_seed(0)
    model = ShapeAutoencoder(**AUTOENCODER)
    model.log = lambda *values, **options: None
    things = [shape_points(mesh, name, name, 0) for mesh, name in ((BALL, "ball"), (BOX, "box"))]
    batches = ShapeBatches(things, 8, 1024, 0)
    adam = torch.optim.Adam(model.parameters(), 4e-3)
    for step in range(150):
        loss = model.training_step(batches[step], step)
        adam.zero_grad()
        loss.backward()
        adam.step()
    return model.eval()


def tiny(autoencoder: ShapeAutoencoder) -> InteractionPrior:
    torch.manual_seed(1)
    prior = InteractionPrior(autoencoder.config(), width=32, blocks=1, text_dim=6)
    prior.shapes.load_state_dict(autoencoder.state_dict())
    prior.text_encoder_name = None
    return prior.eval()


@pytest.mark.parametrize(("mesh", "extents"), [(BALL, (0.08, 0.08, 0.08)), (BOX, (0.04, 0.06, 0.16))])
def test_a_shape_comes_back_from_its_code(
    autoencoder: ShapeAutoencoder, mesh: trimesh.Trimesh, extents: tuple[float, float, float]
) -> None:
    sdf = SdfGrid.from_mesh(mesh)
    box = ShapeBox.of_inside(sdf)
    np.testing.assert_allclose(box.extents, extents, atol=2e-3)
    with torch.no_grad():
        code = autoencoder.encode(box.field(sdf)[None, None])[0]
    found = surface_of(autoencoder, code, torch.tensor(box.extents)).mesh
    assert found.is_watertight and len(found.split()) == 1
    assert found.volume == pytest.approx(mesh.volume, rel=0.15)
    missed = np.abs(trimesh.proximity.signed_distance(mesh, found.vertices))
    assert missed.mean() < 0.003


def test_the_fine_lattice_agrees_with_looking_everywhere(autoencoder: ShapeAutoencoder) -> None:
    """What is far from the surface is taken from a coarser one; inside and outside stay where they are."""
    sdf = SdfGrid.from_mesh(BOX)
    code = autoencoder.encode(ShapeBox.of_inside(sdf).field(sdf)[None, None])[0]
    quick = autoencoder.decode(code, 48)
    with torch.no_grad():
        everywhere = autoencoder.decoder(code[None], torch.from_numpy(ShapeBox.lattice(48)).float()[None])
    assert torch.equal(quick < 0, everywhere.view(48, 48, 48) < 0)


def states(num: int = 4, offset: float = 0.0) -> HandObjectState:
    moved = BALL.copy().apply_translation((offset, 0.0, 0.0))
    hand, generator = hoprior.load_hand(), torch.Generator().manual_seed(0)
    T = random_placements(BALL, num, generator)
    T[:, 0, 3] += offset
    pose = hand.angles_to_pose(hand.relaxed_angles.expand(num, -1, -1))
    return HandObjectState(SdfGrid.from_mesh(moved), T, hand.joints_only(pose), hand_pose=pose)


def test_states_come_back_from_their_vectors(autoencoder: ShapeAutoencoder) -> None:
    prior, state = tiny(autoencoder), states(offset=0.3)
    found = prior.decode(prior.encode(state))
    expected = state.T_object_hand.clone()
    expected[:, 0, 3] -= 0.3  # the box's middle is the origin
    torch.testing.assert_close(found.T_box_hand, expected, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(found.hand_pose, state.hand_pose)
    torch.testing.assert_close(found.extents, torch.full((4, 3), 0.08), atol=2e-3, rtol=0)


def test_where_an_object_lies_does_not_matter(autoencoder: ShapeAutoencoder) -> None:
    prior = tiny(autoencoder)
    torch.testing.assert_close(prior.encode(states(offset=0.3)), prior.encode(states()), atol=2e-2, rtol=0)


def test_guidance_reaches_place_and_fingers(autoencoder: ShapeAutoencoder) -> None:
    prior, state = tiny(autoencoder), states()
    T, pose = state.T_object_hand.requires_grad_(), state.hand_pose
    assert pose is not None
    pose.requires_grad_()
    moved = HandObjectState(state.sdf, T, state.joints_hand, hand_pose=pose)
    loss = guidance_loss(prior, moved, None, generator=torch.Generator().manual_seed(0)).sum()
    for slope in torch.autograd.grad(loss, [T, pose]):
        assert slope.isfinite().all() and slope.abs().sum() > 0


def test_without_a_bent_hand_it_says_so(autoencoder: ShapeAutoencoder) -> None:
    state = states()
    blind = HandObjectState(state.sdf, state.T_object_hand, state.joints_hand)
    with pytest.raises(HopriorError, match="give it a hand_pose"):
        tiny(autoencoder).encode(blind)


def knowing(autoencoder: ShapeAutoencoder, x0: Tensor) -> InteractionPrior:
    """A prior whose network knows the one answer, in either order of drawing."""
    prior = tiny(autoencoder)
    size, T = prior.object_size, len(prior.schedule)

    def network(x: Tensor, times: Tensor, text: Tensor) -> Tensor:
        abar = prior.alphas_cumprod[times.long().clamp(max=T - 1)]
        abar = torch.cat([abar[:, :1].expand(-1, size), abar[:, 1:].expand(-1, HAND)], dim=1)
        # Of what is known, or unknown, nobody asks.
        noise = (x - abar.sqrt() * x0) / (1 - abar).sqrt()
        return abar.sqrt() * noise - (1 - abar).sqrt() * x0

    prior.network.forward = network  # type: ignore[method-assign]
    return prior


def test_a_network_that_knows_draws_the_hand_at_the_object(autoencoder: ShapeAutoencoder) -> None:
    state = states(1, offset=0.2)
    x0 = tiny(autoencoder).encode(state)
    prior = knowing(autoencoder, x0)
    draws = prior.sample_interactions(None, 2, steps=STEPS, generator=torch.Generator().manual_seed(0))
    assert draws.meshes is not None and draws.hand_pose is not None
    torch.testing.assert_close(draws.hand_pose[0], state.hand_pose[0], atol=0.02, rtol=0)  # type: ignore[index]
    expected = torch.linalg.inv(state.T_object_hand)[0] @ torch.tensor([0.2, 0.0, 0.0, 1.0])
    np.testing.assert_allclose(draws.meshes[0].bounds.mean(axis=0), expected[:3], atol=0.005)
    # The grid has the same object.
    inside = draws.grid.spec.points()[draws.grid.object_sdf[0].flatten() < 0]
    np.testing.assert_allclose(inside.mean(dim=0), expected[:3], atol=0.006)

    found = prior.sample_hands_at(state.sdf, None, 3, steps=STEPS)  # type: ignore[arg-type]
    torch.testing.assert_close(found.T_object_hand, state.T_object_hand.expand(3, -1, -1), atol=5e-3, rtol=0)


def test_a_draw_does_not_depend_on_the_others(autoencoder: ShapeAutoencoder) -> None:
    prior = tiny(autoencoder)

    def sample(num: int, seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return draw_objects(prior, None, num, steps=STEPS, guidance_scale=1.0, generator=generator)

    torch.testing.assert_close(sample(3, 0)[:2], sample(2, 0))
    assert not torch.allclose(sample(2, 1), sample(2, 0))


def test_objects_are_drawn_without_a_look_at_hands(autoencoder: ShapeAutoencoder) -> None:
    """The hand is unknown: whatever stands in its place in training changes no error of the object."""
    prior = tiny(autoencoder)
    prior.network.head[1].weight.data.normal_()
    x = torch.randn(4, prior.object_size + HAND)
    times = torch.tensor([[500, len(prior.schedule)]] * 4)
    noise, cond = torch.randn_like(x), torch.zeros(4, 1, 6)
    other = torch.cat([x[:, : prior.object_size], torch.randn(4, HAND)], dim=1)
    torch.testing.assert_close(prior._loss(x, cond, times, noise), prior._loss(other, cond, times, noise))


class TwoThings:
    """A prior of objects that has seen nothing but the ball and the box: what is noised becomes the nearer of them."""

    def __init__(self, shapes: ShapeAutoencoder) -> None:
        self.shapes, self.schedule = shapes, NoiseSchedule("cosine", 100)
        self.alphas_cumprod, self.hand_size = self.schedule.alphas_cumprod, HAND
        rows = []
        for mesh in (BALL, BOX):
            box = ShapeBox.of_inside(sdf := SdfGrid.from_mesh(mesh))
            with torch.no_grad():
                rows.append(torch.cat([shapes.encode(box.field(sdf)[None, None])[0], torch.tensor(box.extents).log()]))
        self.things = torch.stack(rows).float()
        self.object_size = self.things.shape[1]

    def decode_objects(self, objects: Tensor) -> tuple[Tensor, Tensor]:
        return objects[:, :-3], objects[:, -3:].exp()

    def noise_in(self, x: Tensor, x_t: Tensor, t: Tensor, times: Tensor, cond: Any, part: slice) -> Tensor:
        estimate = x_t / self.alphas_cumprod[t][:, None].sqrt()
        nearest = torch.cdist(estimate, self.things).argmin(dim=1)
        return noise_from_x0(self.alphas_cumprod, x_t, self.things[nearest], t)


@pytest.mark.parametrize(("mesh", "extents"), [(BALL, (0.08, 0.08, 0.08)), (BOX, (0.04, 0.06, 0.16))])
def test_what_was_seen_of_an_object_tells_which_and_where_it_is(
    autoencoder: ShapeAutoencoder, mesh: trimesh.Trimesh, extents: tuple[float, float, float]
) -> None:
    """One side of the ball or the box, turned about +z and 20 cm away."""
    whole = mesh.copy().apply_transform(trimesh.transformations.rotation_matrix(0.7, (0, 0, 1)))
    whole.apply_translation((0.2, 0.0, 0.1))
    points = whole.sample(2000, seed=0)
    seen = torch.from_numpy(points[points[:, 0] > 0.19]).float()
    prior, generator = TwoThings(autoencoder), torch.Generator().manual_seed(0)
    found = completed(prior, seen, None, 2, steps=STEPS, guidance_scale=1.0, generator=generator)
    assert len(found) == 2 and found[0].is_watertight
    assert np.abs(trimesh.proximity.signed_distance(found[0], points)).mean() < 0.01
    # How far a box goes on, and how it is turned about +z, one side does not tell for sure; the other thing is far off.
    assert (found[0].extents[2] > 0.12) == (extents[2] > 0.12)
    if mesh is BALL:
        turned_back = found[0].copy().apply_transform(trimesh.transformations.rotation_matrix(-0.7, (0, 0, 1)))
        np.testing.assert_allclose(sorted(turned_back.extents), sorted(extents), atol=0.012)


def test_a_loose_piece_costs_its_share_of_the_surface() -> None:
    beside = BALL.copy().apply_translation((0.2, 0, 0))
    assert _loose(BALL) == 0 and _loose(BALL + beside) == pytest.approx(0.5) and _loose(trimesh.Trimesh()) == 1


def test_it_learns_two_objects_and_their_hands(autoencoder: ShapeAutoencoder) -> None:
    """Told the first, it draws the first; told the second, the second, each with its hand."""
    prior = tiny(autoencoder)
    logged: dict[str, Any] = {}
    prior.log = lambda name, value, **options: logged.__setitem__(name, float(value))
    prior.trainer = type("Alone", (), {"world_size": 1})()
    torch.manual_seed(0)
    codes = torch.tensor([[1.0], [-1.0]]).expand(-1, 16).contiguous()
    places = torch.eye(4).repeat(2, 1, 1)
    places[:, 0, 3] = torch.tensor([0.05, -0.05])
    rows = torch.arange(32) % 2
    batch = {
        "code": codes[rows],
        "extents": torch.full((32, 3), 0.08),
        "T_box_hand": places[rows],
        "hand_pose": 0.3 * torch.randn(32, 15, 3),
        "held": torch.arange(32) < 24,
        "text": torch.eye(6)[rows][:, None],
    }
    adam = torch.optim.Adam(prior.network.parameters(), 3e-3)
    for step in range(1000):
        loss = prior.training_step(batch, step)
        adam.zero_grad()
        loss.backward()
        adam.step()
    prior.evaluate(batch, 0, "val")
    assert logged["val/object"] < logged["val/object_null"]
    told = torch.eye(6)[:2][:, None]
    options = {"steps": STEPS, "guidance_scale": 1.0, "generator": torch.Generator().manual_seed(0)}
    drawn = draw_objects(prior, told, 2, **options)
    found: Interactions = prior.decode(draw_hands(prior, drawn, told, **options))
    assert found.code[0].mean() > 0.5 and found.code[1].mean() < -0.5
    assert found.T_box_hand[0, 0, 3] > 0.02 and found.T_box_hand[1, 0, 3] < -0.02
