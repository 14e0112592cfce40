"""The prior of shapes: boxes along an object's axes, hulls as clips leave them, and hollows that can be learnt."""

import warnings
from copy import copy
from pathlib import Path
from typing import Any

import pytest
import roma
import torch
import trimesh
from resumed_training import EPOCH, assert_resumes
from safetensors.torch import load, load_file

from hoprior.datasets.procedural.containers import CONTAINERS
from hoprior.datasets.samples.sample import ObjectInfo
from hoprior.datasets.synthetic.objects import Catalogue, Graspable
from hoprior.datasets.training.holding_hands import holders_of
from hoprior.datasets.training.hull_batches import HullModule, hulls_of
from hoprior.datasets.training.visual_hulls import FAR, Solid, at, box_points, degraded, hollow_of, hull_of, solid_of
from hoprior.errors import HopriorError
from hoprior.geometry.sdf import SdfGrid, signed_distance
from hoprior.geometry.state import HandObjectState
from hoprior.hand import load_hand
from hoprior.models.shape_completion import ShapeCompletionPrior
from hoprior.models.shape_inputs import MARGIN, Box, box_around, hand_distance, hand_ways, tidied, ways_of
from hoprior.models.training.lightning import trainable
from hoprior.priors.records import ObjectView


def tumbler(solid: bool = False) -> Graspable:
    """A cup without a handle, or a solid of the same outside."""
    outside = trimesh.creation.cylinder(0.04, 0.1, sections=48)
    ring = [[0, -0.05], [0.04, -0.05], [0.04, 0.05], [0.035, 0.05], [0.035, -0.044], [0, -0.044]]
    cup = outside if solid else trimesh.creation.revolve(ring, sections=48)
    info = ObjectInfo("cup_0", "cup", "synthetic", "CC0", "made-up", "a hand holding a cup")
    parts: Any = torch.zeros(len(cup.faces)).int().numpy()
    filled = None if solid else outside
    return Graspable(info, cup, parts, ("body",), cup, filled, (), (), (0.1, 0.3), True, lambda rule: None)


def held() -> torch.Tensor:
    """Joints of an open hand whose palm lies at the cup's side, its thumb's side up."""
    joints = load_hand().joints_only(torch.zeros(1, 15, 3), torch.zeros(1, 10))[0]
    # Fingers along y, out of the palm -x (towards the cup), the thumb's side (-y of the hand) up.
    turn = torch.tensor([[0.0, 0.0, -1.0], [1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    return (joints - torch.tensor([0.09, 0.0, 0.0])) @ turn.T + torch.tensor([0.055, 0.0, 0.0])


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def small(**options: Any) -> ShapeCompletionPrior:
    torch.manual_seed(0)
    return ShapeCompletionPrior(resolution=16, width=8, text_dim=26, dropout=0.0, **options).eval()


def test_the_box_lies_along_the_object() -> None:
    turn = roma.rotvec_to_rotmat(torch.tensor([0.4, -0.9, 0.3]))
    points = (torch.rand(4000, 3, generator=seeded()) - 0.5) * torch.tensor([0.3, 0.02, 0.06])
    box = box_around(points @ turn.T + torch.tensor([0.1, 0.2, 0.3]))
    expected = MARGIN * torch.tensor([0.01, 0.03, 0.15])
    torch.testing.assert_close(box.half[1:], expected[1:], rtol=0.05, atol=0)
    assert expected[0] < box.half[0] == pytest.approx(0.12 * float(box.half[2]))
    assert abs(float(box.axes[:, 2] @ turn[:, 0])) > 0.999
    unit = box.unit(box.points(5))
    assert unit[0].tolist() == pytest.approx([-1, -1, -1], abs=1e-4)
    assert unit[1].tolist() == pytest.approx([-0.5, -1, -1], abs=1e-4)


def test_a_hand_is_capsules_that_lie_about_its_mesh() -> None:
    hand = load_hand()
    out = hand(torch.zeros(1, 15, 3), torch.zeros(1, 10))
    joints, mesh = out.joints[0], trimesh.Trimesh(out.verts[0].numpy(), hand.faces.numpy(), process=False)
    # On the skin beyond the wrist they are off by a few millimetres.
    skin = out.verts[0][out.verts[0, :, 0] > 0.02]
    assert hand_distance(skin, joints).abs().mean() < 0.005
    points = torch.rand(4000, 3, generator=seeded()) * torch.tensor([0.2, 0.16, 0.1]) + torch.tensor(
        [0.02, -0.1, -0.04]
    )
    depth = torch.from_numpy(signed_distance(mesh, points.numpy())).float()
    assert (hand_distance(points, joints)[depth < -0.005] < 0.004).float().mean() > 0.9
    assert (depth[hand_distance(points, joints) < -0.004] < 0.004).float().mean() > 0.9
    ways = hand_ways(joints)
    torch.testing.assert_close(ways @ ways.T, torch.eye(3), atol=1e-5, rtol=0)
    # Of the hand's frame x runs along the fingers, z out of the palm, and -y to the thumb.
    assert ways[0, 0] > 0.95 and ways[1, 2] > 0.9 and ways[2, 1] < -0.9


def test_what_a_clip_leaves_becomes_distances_of_one_thing() -> None:
    """Of two balls whose inside is but a sign the larger stays, with its distances."""
    box = Box(torch.zeros(3), torch.eye(3), torch.tensor([0.04, 0.06, 0.08]))
    points = box.points(32).view(32, 32, 32, 3)
    large, small_one = (
        (points - torch.tensor(at)).norm(dim=-1) - radius
        for at, radius in (([0, 0, -0.02], 0.03), ([0, 0, 0.06], 0.012))
    )
    values = torch.minimum(large, small_one).clamp(min=-0.003)
    found = tidied(values, box)
    assert (found - large).abs().max() < 0.003
    with pytest.raises(HopriorError, match="no inside"):
        tidied(values + 1, box)


def test_directions_are_told_in_the_boxs_axes() -> None:
    turn = roma.rotvec_to_rotmat(torch.tensor([0.3, 0.8, -0.4]))
    box, there = Box(torch.zeros(3), turn, torch.ones(3)), Box(torch.zeros(3), torch.eye(3), torch.ones(3))
    up = torch.tensor([0.0, 0.6, 0.8])
    joints = held()
    here, turned = (
        ways_of(ObjectView(None, up, joints), there),
        ways_of(ObjectView(None, turn @ up, joints @ turn.T), box),
    )
    torch.testing.assert_close(here, turned, atol=1e-5, rtol=0)
    assert not here[0].any() and torch.equal(here[1], up)
    assert not ways_of(ObjectView(), box).any()


def test_hands_that_hold_a_cup_touch_it() -> None:
    thing = Catalogue.of(["cup"], [], 3).make(0)
    joints = holders_of(thing, load_hand(), 0, tried=6)
    assert 1 <= len(joints) <= 6 and joints.shape[1:] == (21, 3)
    middle = torch.from_numpy(thing.solid.bounds.mean(axis=0)).float()
    surface = torch.from_numpy(thing.solid.sample(500, seed=0)).float()
    for hand in joints:
        assert (hand.mean(dim=0) - middle).norm() < 0.15 and hand_distance(surface, hand).min() < 0.004
    assert len(holders_of(tumbler(), load_hand(), 0)) == 0  # nobody said how


def test_a_hollow_goes_on_through_its_mouth_and_no_further() -> None:
    cup = solid_of(tumbler())
    inside, lid, above, wall, below = torch.tensor(
        [[0.0, 0.0, 0.0], [0.0, 0.0, 0.05], [0.0, 0.0, 0.053], [0.038, 0.0, 0.0], [0.0, 0.0, -0.052]]
    )
    found = at(cup.hollow, cup.half, torch.stack([inside, lid, above, wall, below]))
    assert (found[:3] < -5e-4).all() and (found[3:] > 0).all()
    assert cup.mouth.tolist() == pytest.approx([0, 0, 1], abs=0.02)
    closed = solid_of(tumbler(solid=True))
    assert (closed.hollow == FAR).all() and not closed.mouth.any()
    whole = torch.rand(1, 8, 8, 8, generator=seeded()) - 0.5
    assert (hollow_of(whole, whole, torch.ones(3)) == FAR).all()


def test_a_knife_with_room_around_its_blade_is_not_hollow() -> None:
    catalogue = Catalogue.of(["knife"], [], 3)
    thing = catalogue.make(0)
    assert thing.filled is not None and (solid_of(thing).hollow == FAR).all()
    assert (solid_of(Catalogue.of([CONTAINERS[0].name], [], 3).make(0)).hollow < 0).any()


def test_a_hull_holds_the_object_and_is_larger() -> None:
    cup = solid_of(tumbler())
    nothing = torch.ones(1, 8, 8, 8)
    points = box_points(cup.half, 20)
    truth = at(cup.filled, cup.half, points)
    larger = []
    for seed in range(4):
        hull, filmed = hull_of(cup, nothing, seeded(seed))
        values = hull(points)
        # Views err by a few millimetres; what is well inside stays.
        assert (values[truth < -0.012] < 0).float().mean() > 0.97
        assert filmed.toward is not None and 0.2 < float(filmed.toward.norm()) <= 1
        assert filmed.up is not None and float(filmed.up.norm()) > 0.2
        larger.append(float((values < 0).sum() / (truth < 0).sum()))
    assert 1 < sum(larger) / 4 < 2.5


def test_what_the_hand_hides_is_another_matter_than_what_it_holds() -> None:
    """A ball before the object hides it: it is not carved there; a ball that is seen beside it takes space away."""
    cup = solid_of(tumbler(solid=True))
    rows = [degraded(cup, held()[None], 16, seeded(seed)) for seed in range(12)]
    found = [row for row in rows if row is not None]
    assert len(found) >= 10
    hull, filled, hollow, hand = torch.stack([row["fields"] for row in found]).unbind(dim=1)
    assert (hollow > 0).all()
    shown = (hand < 0).flatten(1).any(dim=1)
    assert shown.any() and (torch.stack([row["ways"][2:] for row in found]).abs().sum(dim=(1, 2)) > 0).equal(shown)
    both, either = ((hull < 0) & (filled < 0)).flatten(1).sum(1), ((hull < 0) | (filled < 0)).flatten(1).sum(1)
    overlap = both / either
    assert 0.2 < overlap.mean() < 0.97 and overlap.std() > 0.02


class Words:
    """Stands in for a text encoder."""

    name, dim = "minilm", 26

    def encode(self, texts: list[str]) -> torch.Tensor:
        return torch.nn.functional.pad(torch.tensor([[["cup" in text]] for text in texts]).float(), (0, 25))


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HullModule:
    monkeypatch.setattr("hoprior.datasets.samples.text_features.load_text_encoder", lambda name: Words())
    monkeypatch.setattr("hoprior.datasets.training.object_store.Catalogue.make", lambda self, i: tumbler())
    return HullModule(tmp_path, objects=2, vessels=0, hulls=3, resolution=16, batch_size=4, val_fraction=0.0)


def test_it_learns_that_cups_are_hollow(module: HullModule) -> None:
    """A hundred and twenty small steps on one cup: told nothing but its outside, it says where the air is."""
    module.setup()
    assert module.train_batches is not None
    prior = trainable(ShapeCompletionPrior).from_config(small().config()).train()
    adam = torch.optim.Adam(prior.parameters(), 5e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # logging without a trainer
        for k in range(120):
            adam.zero_grad()
            prior.training_step(module.train_batches[k], k).backward()
            adam.step()
    prior.eval()
    outside = SdfGrid.from_mesh(trimesh.creation.cylinder(0.04, 0.1, sections=48), 40)
    found = prior.complete(outside, Words().encode(["a hand holding a cup"])).at(
        torch.tensor([[0.0, 0.0, 0.0], [0.0, 0.0, -0.06], [0.06, 0.0, 0.0]])
    )
    assert found.known.tolist() == [True, True, False]
    assert found.filled[0, 0] < 0 and found.hollow[0, 0] < 0 < found.hollow[0, 1]
    # The cup is likelier than the solid cylinder.
    states = [
        HandObjectState(SdfGrid.from_mesh(mesh, 40), torch.eye(4)[None], torch.zeros(1, 21, 3))
        for mesh in (tumbler().solid, trimesh.creation.icosphere(3, radius=0.05))
    ]
    energies = [prior.energy(state, Words().encode(["a hand holding a cup"])) for state in states]
    assert energies[0].shape == (1,) and bool((energies[0] < energies[1]).all())


def test_mirrored_answers_are_told_in_the_same_frame() -> None:
    """With a network that changes nothing, all eight are the object as it is."""
    prior = small()
    last = prior.net.unfold[-1]
    assert isinstance(last, torch.nn.Conv3d) and last.bias is not None
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.zeros_(last.bias)
    ball = trimesh.creation.icosphere(2, 0.04)
    ball.apply_translation((0.05, 0.02, 0))
    mesh: Any = trimesh.util.concatenate([trimesh.creation.box((0.1, 0.06, 0.04)), ball])
    grid = SdfGrid.from_mesh(mesh, 32)
    found = prior.complete(grid, torch.zeros(2, 1, 26), ObjectView(torch.tensor([0.0, 0.0, 1.0])), mirrored=True)
    assert found.filled.shape == (16, 16, 16, 16)
    torch.testing.assert_close(found.filled, found.filled[:1].expand(16, -1, -1, -1))
    # The object is not its own mirror image.
    assert (found.filled[0] - found.filled[0].flip(0)).abs().max() > 0.004


def test_energy_pulls_distances_towards_its_answer() -> None:
    prior = small()
    grid = SdfGrid.from_mesh(trimesh.creation.box((0.1, 0.06, 0.04)), 24)
    values = grid.values.clone().requires_grad_()
    state = HandObjectState(
        SdfGrid(values, grid.lower, grid.upper), torch.eye(4).expand(3, 4, 4), torch.zeros(3, 21, 3)
    )
    energy = prior.energy(state)
    assert energy.shape == (3,)
    energy.sum().backward()
    assert values.grad is not None and values.grad.abs().sum() > 0


def test_what_has_no_inside_is_refused() -> None:
    hands = torch.eye(4)[None], torch.zeros(1, 21, 3)
    with pytest.raises(HopriorError, match="no surface near a hand"):
        small().energy(HandObjectState(lambda p: p.norm(dim=-1) + 5.0, *hands))
    with pytest.raises(HopriorError, match="no inside"):
        small().complete(SdfGrid(torch.ones(4, 4, 4), torch.zeros(3), torch.ones(3)))


def test_objects_are_kept_and_damage_is_mended(module: HullModule, tmp_path: Path) -> None:
    module.setup()
    files = sorted(tmp_path.glob("*_0_*.safetensors"))
    assert len(files) == 2
    whole = files[0].read_bytes()
    files[0].write_bytes(whole[:100])
    again = HullModule(tmp_path, objects=2, vessels=0, hulls=3, resolution=16, batch_size=4, val_fraction=0.0)
    again.setup()
    assert torch.equal(load_file(files[0])["fields"], load(whole)["fields"])
    assert again.train_batches is not None and module.train_batches is not None
    for name, column in module.train_batches[3].items():
        assert torch.equal(column, again.train_batches[3][name])


def test_objects_of_other_code_are_made_anew_and_that_is_said(
    module: HullModule, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def setup() -> str:
        again = HullModule(tmp_path, objects=2, vessels=0, hulls=3, resolution=16, batch_size=4, val_fraction=0.0)
        again.setup()
        return capsys.readouterr().out

    assert "resumed" not in (said := setup()) and "anew" not in said
    assert "resumed: 2 of 2 objects are there" in setup()
    monkeypatch.setattr("hoprior.datasets.training.object_store.code_digest", lambda *places: 64 * "0")
    assert "started anew, because the code that makes them differs" in setup()
    assert len(list(tmp_path.glob("*_0_*.safetensors"))) == 4


def test_flips_move_the_cameras_too(module: HullModule) -> None:
    """An object seen from +z, lit by its own hull: after any flip the field at the camera's side is still the one."""
    module.setup()
    assert module.train_batches is not None
    thing = module.train_batches.objects[0]
    lopsided = torch.zeros_like(thing.fields)
    lopsided[:, :, -1] = 100  # the side at +z
    ways = torch.tensor([0.0, 0.0, 1.0]).expand(len(thing.half), 5, 3)
    module.train_batches.objects = [type(thing)(thing.key, thing.category, lopsided, thing.half, ways, ways[:, 0])]
    module.train_batches.vessels = []
    seen = 0
    for k in range(6):
        batch = module.train_batches[k]
        for field, told, mouth in zip(batch["filled"][:, 0], batch["ways"], batch["mouth"], strict=True):
            side = told[0]
            if side.any():
                assert torch.equal(side, mouth)
                seen += 1
                assert (field[-1 if side[2] > 0 else 0] > 0).all() and (field[0 if side[2] > 0 else -1] == 0).all()
    assert seen > 6


def test_an_object_too_thin_to_be_seen_is_named() -> None:
    cup = solid_of(tumbler(solid=True))
    gone = Solid("hair_0", "hair", cup.half, torch.full_like(cup.filled, 1.0), cup.hollow, cup.mouth, True)
    with pytest.raises(HopriorError, match="hair_0: is too thin"):
        hulls_of(gone, torch.zeros(0, 21, 3), 2, 8, 0)


def test_a_resumed_training_has_the_batches_of_an_uninterrupted_one(module: HullModule, tmp_path: Path) -> None:
    def make() -> HullModule:
        data = copy(module)
        data.batches_per_epoch, data.batch_size = EPOCH, 2
        return data

    assert_resumes(make, tmp_path / "out")


def test_a_validation_on_training_objects_says_so(module: HullModule, caplog: pytest.LogCaptureFixture) -> None:
    module.val_fraction = 0.01
    module.setup()
    assert "no object is held out at a val_fraction of 0.01" in caplog.text
