"""The prior of parts: what it says is of places, adds up to a ratio, and can be learnt from labelled objects."""

import warnings
from copy import copy
from pathlib import Path
from typing import Any

import pytest
import torch
import trimesh
from resumed_training import EPOCH, assert_resumes
from safetensors.torch import load, load_file

from hoprior.datasets.samples.sample import ObjectInfo
from hoprior.datasets.synthetic.objects import Graspable
from hoprior.datasets.training.part_points import PartPoints, PartPointsModule, part_points, turned
from hoprior.errors import HopriorError
from hoprior.geometry.sdf import SdfGrid
from hoprior.geometry.state import HandObjectState, rigid
from hoprior.hand import load_hand
from hoprior.models.parts import PartsPrior, at_places, view_of
from hoprior.models.training.lightning import trainable

HAND = load_hand()


def bar() -> trimesh.Trimesh:
    return trimesh.creation.box((0.24, 0.03, 0.02)).subdivide().subdivide().subdivide()


def state(x: float, num: int = 1) -> HandObjectState:
    """Hands whose palms are over the bar at x."""
    joints = HAND.joints_only(HAND.angles_to_pose(HAND.relaxed_angles[None])).expand(num, -1, -1)
    at = torch.tensor([x - 0.08, 0.0, -0.045]).expand(num, 3)
    return HandObjectState(SdfGrid.from_mesh(bar(), 32), rigid(torch.eye(3).expand(num, 3, 3), at), joints)


def small(**options: Any) -> PartsPrior:
    torch.manual_seed(0)
    return PartsPrior(resolution=16, width=8, features=8, text_dim=26, dropout=0.0, **options).eval()


def test_without_a_sentence_it_says_nothing() -> None:
    assert torch.equal(small().energy(state(0.0, 3)), torch.zeros(3))


def test_energy_is_differentiable_in_placement_and_joints() -> None:
    prior, hands = small(), state(0.05)
    T, joints = hands.T_object_hand.clone().requires_grad_(), hands.joints_hand.clone().requires_grad_()
    prior.energy(HandObjectState(hands.sdf, T, joints), torch.rand(1, 1, 26)).sum().backward()
    assert T.grad is not None and T.grad[:, :3].abs().sum() > 0
    assert joints.grad is not None and joints.grad.abs().sum() > 0


def test_bones_at_a_part_are_those_near_the_object_where_the_sentence_is_likely() -> None:
    prior, cond = small(), torch.rand(1, 1, 26)
    claims = prior.net.listen[-1]  # of no feature anything, and sure
    assert isinstance(claims, torch.nn.Linear)
    torch.nn.init.zeros_(claims.weight)
    torch.nn.init.zeros_(claims.bias)
    claims.bias.data[-1] = 20.0
    near, far = state(0.05), state(0.05)
    far.T_object_hand[:, 2, 3] -= 0.5
    assert prior.bones_at(near, cond).item() > 3
    assert prior.bones_at(far, cond).item() < 1e-3
    assert prior.at_object(near.sdf).bones_at(near, cond).item() == pytest.approx(prior.bones_at(near, cond).item())
    claims.bias.data[-1] = -20.0
    assert prior.bones_at(near, cond).item() < 1e-3


def test_a_sentence_that_fits_everywhere_changes_nothing() -> None:
    prior = small()
    claims = prior.net.listen[-1]  # of no feature anything, and sure
    assert isinstance(claims, torch.nn.Linear)
    torch.nn.init.zeros_(claims.weight)
    torch.nn.init.zeros_(claims.bias)
    claims.bias.data[-1] = 3.0
    assert prior.energy(state(0.1), torch.rand(1, 1, 26)).abs().item() < 1e-5


def test_what_has_no_surface_is_refused() -> None:
    hands = state(0.0)
    nothing = HandObjectState(lambda p: p.norm(dim=-1) + 5.0, hands.T_object_hand, hands.joints_hand)
    with pytest.raises(HopriorError, match="no surface near a hand"):
        small().energy(nothing, torch.rand(1, 1, 26))
    empty = SdfGrid(torch.ones(4, 4, 4), torch.zeros(3), torch.ones(3))
    with pytest.raises(HopriorError, match="no surface"):
        view_of(empty, 16)


def test_the_cube_is_around_the_surface() -> None:
    mesh = bar().apply_translation((0.3, 0.1, 0.0))
    view = view_of(SdfGrid.from_mesh(mesh, 48), 48)
    assert view.spec.center == pytest.approx((0.3, 0.1, 0.0), abs=0.008)
    assert view.spec.half_extent == pytest.approx(1.25 * 0.12, rel=0.1)
    inside = view.field.flatten() < 0
    points = view.spec.points()[inside]
    assert len(points) and (abs(points - torch.tensor([0.3, 0.1, 0.0])) < torch.tensor([0.13, 0.02, 0.015])).all()


def test_turned_objects_keep_their_places() -> None:
    view = view_of(SdfGrid.from_mesh(bar(), 64), 32)
    unit = torch.rand(300, 3, generator=torch.Generator().manual_seed(0)) - 0.5
    before = at_places(view.field[None], unit[None])[0, :, 0]
    for seed in range(6):
        field, places = turned(view.field, unit, torch.Generator().manual_seed(seed))
        assert torch.allclose(places.norm(dim=1), unit.norm(dim=1), atol=1e-4)
        assert (at_places(field[None], places[None])[0, :, 0] - before).abs().mean() < 0.02


def halves() -> Graspable:
    """A bar with a thick end: the left half is its handle, the right its head."""
    mesh: Any = trimesh.util.concatenate(
        [bar(), trimesh.creation.icosphere(3, radius=0.035).apply_translation((0.1, 0, 0))]
    )
    side = (mesh.triangles_center[:, 0] > 0.05).astype(int)
    info = ObjectInfo("club_0", "club", "synthetic", "CC0", "made-up", "a hand holding a club")
    return Graspable(info, mesh, side, ("handle", "head"), mesh, None, (), (), (0.1, 0.3), True, lambda rule: None)


class Words:
    """Stands in for a text encoder: which of two parts a text names."""

    name, dim = "minilm", 26

    def encode(self, texts: list[str]) -> torch.Tensor:
        named = torch.tensor([[["head" in text, "handle" in text]] for text in texts]).float()
        return torch.nn.functional.pad(named, (0, 24))


def test_places_have_the_part_that_is_nearest() -> None:
    points = part_points(halves(), 16, seed=0)
    x = points.places[:, 0]
    share = (points.part == 1).float().mean()
    assert 0.3 < share < 0.75 and x[points.part == 1].min() > x[points.part == 0].median()
    again = part_points(halves(), 16, seed=0)
    assert torch.equal(points.places, again.places) and torch.equal(points.part, again.part)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PartPointsModule:
    monkeypatch.setattr("hoprior.datasets.samples.text_features.load_text_encoder", lambda name: Words())
    monkeypatch.setattr("hoprior.datasets.training.object_store.Catalogue.make", lambda self, i: halves())
    return PartPointsModule(tmp_path, objects=2, resolution=16, batch_size=2, places=64, val_fraction=0.0)


def test_it_learns_where_parts_are(module: PartPointsModule) -> None:
    """A hundred and fifty small steps on one object: told of the head, a hand over the head is the better one."""
    module.setup()
    assert module.train_batches is not None
    prior = trainable(PartsPrior).from_config(small(learning_rate=5e-3).config()).train()
    adam = torch.optim.Adam(prior.parameters(), 5e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # logging without a trainer
        for k in range(150):
            adam.zero_grad()
            prior.training_step(module.train_batches[k], k).backward()
            adam.step()
    prior.eval()
    sdf = SdfGrid.from_mesh(halves().solid, 48)
    for part, better in (("head", 0.1), ("handle", -0.08)):
        cond = Words().encode([f"a hand holding a club by the {part}"])
        energy = {
            x: prior.energy(HandObjectState(sdf, state(x).T_object_hand, state(x).joints_hand), cond).item()
            for x in (0.1, -0.08)
        }
        assert energy[better] < energy[0.02 - better] - 0.3 and energy[better] < 0


def test_objects_are_kept_and_damage_is_mended(
    module: PartPointsModule, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    module.setup()
    assert "cannot be read" not in caplog.text
    files = sorted(tmp_path.glob("*_0_*.safetensors"))
    assert len(files) == 2
    whole = files[0].read_bytes()
    files[0].write_bytes(whole[:100])
    again = PartPointsModule(tmp_path, objects=2, resolution=16, batch_size=2, places=64, val_fraction=0.0)
    again.setup()
    assert f"{files[0]}: cannot be read" in caplog.text and "the object is made anew" in caplog.text
    assert len(files[0].read_bytes()) == len(whole)
    assert torch.equal(load_file(files[0])["field"], load(whole)["field"])
    assert again.train_batches is not None and module.train_batches is not None
    first: PartPoints = again.train_batches.objects[0]
    assert first.parts == ("handle", "head")
    for name, column in module.train_batches[3].items():
        assert torch.equal(column, again.train_batches[3][name])


def test_what_it_says_follows_its_weights() -> None:
    """It was asked of an object before, and of the same object is asked again with other weights."""
    prior, hands = small(), state(0.05)
    told = torch.rand(1, 1, 26)
    before = prior.energy(hands, told)
    with torch.no_grad():
        for weight in prior.net.last.parameters():
            weight.zero_()
    after = prior.energy(hands, told)
    assert not torch.equal(before, after)
    fresh = small()
    fresh.load_state_dict(prior.state_dict())
    assert torch.equal(after, fresh.energy(hands, told))


def test_at_an_object_it_says_the_same_without_looking_again(monkeypatch: pytest.MonkeyPatch) -> None:
    prior, hands, other = small(), state(0.05, 2), state(-0.05, 2)
    told = torch.rand(2, 1, 26)
    expected, elsewhere = prior.energy(hands, told), prior.energy(other, told)
    there = prior.at_object(hands.sdf)  # type: ignore[arg-type]
    looks: list[object] = []
    look = PartsPrior.look
    monkeypatch.setattr(PartsPrior, "look", lambda self, sdf: looks.append(sdf) or look(self, sdf))
    assert torch.equal(there.energy(hands, told), expected) and not looks
    assert torch.equal(there.energy(hands), torch.zeros(2))
    assert torch.equal(there.energy(other, told), elsewhere) and looks == [other.sdf]
    assert there.text_encoder_name == prior.text_encoder_name and there.info == prior.info


def test_each_row_is_held_against_its_own_sentence() -> None:
    prior, hands = small(), state(0.05, 2)
    told = torch.rand(2, 1, 26, generator=torch.Generator().manual_seed(1))
    together = prior.energy(hands, told)
    torch.testing.assert_close(together.flip(0), prior.energy(hands, told.flip(0)))
    assert (together[0] - together[1]).abs() > 1e-5


def test_a_resumed_training_has_the_batches_of_an_uninterrupted_one(module: PartPointsModule, tmp_path: Path) -> None:
    def make() -> PartPointsModule:
        data = copy(module)
        data.batches_per_epoch, data.batch_size = EPOCH, 2
        return data

    assert_resumes(make, tmp_path / "out")


def test_a_validation_on_training_objects_says_so(module: PartPointsModule, caplog: pytest.LogCaptureFixture) -> None:
    module.val_fraction = 0.01
    module.setup()
    assert "no object is held out at a val_fraction of 0.01" in caplog.text
