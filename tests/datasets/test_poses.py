"""Tables of poses with sentences (datasets/training/poses.py), their batches, and a short training on them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
import trimesh
from resumed_training import ENOUGH, EPOCH, KILLED, Killed, assert_resumes

from hoprior.cli.entry import main
from hoprior.cli.fit import command_line
from hoprior.datasets.training.pose_data import PoseDataModule
from hoprior.datasets.training.poses import (
    OPPOSITE_TIPS,
    THUMB_TIP,
    PoseRow,
    PoseTable,
    make_table,
    read_poses,
    sizes_in_hand,
    thickness_in_hand,
    write_poses,
)
from hoprior.errors import HopriorError
from hoprior.hand import load_hand
from hoprior.language.schema import Affordance
from hoprior.models.pose_prior import PosePrior
from hoprior.priors.pretrained import load_checkpoint

CONFIG = Path(__file__).resolve().parents[2] / "configs" / "pose.yaml"
SMALL = ["--model.width=32", "--model.layers=1", "--model.mlp_blocks=1", "--model.warmup_steps=1"]


def made_up(objects: int = 12, each: int = 20) -> PoseTable:
    """Hands that open with the number of their object, which its sentence says."""
    generator = torch.Generator().manual_seed(0)
    hand = load_hand()
    rows = tuple(
        PoseRow(f"made-thing{i}", f"thing {i % 3}", "made", "one", Affordance(f"thing {i % 3}", grasp=(1, 9)[i % 2]))
        for i in range(objects)
    )
    row_id = torch.arange(objects).repeat_interleave(each)
    share = (row_id / objects)[:, None, None]
    angles = hand.angle_low + share * (hand.angle_high - hand.angle_low)
    angles = angles + 0.01 * torch.randn(angles.shape, generator=generator)
    sentences = tuple(text for i in range(objects) for text in (f"a hand at thing {i}", f"thing {i} in a hand"))
    return PoseTable(
        angles, torch.zeros(len(row_id), 10), row_id, torch.stack([2 * row_id, 2 * row_id + 1], 1), rows, sentences
    )


@pytest.fixture(scope="module")
def table_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("poses") / "poses.safetensors"
    write_poses(path, made_up())
    return path


def test_a_table_survives_the_disk(table_file: Path) -> None:
    written, read = made_up(), read_poses(table_file)
    assert read.rows == written.rows and read.sentences == written.sentences
    assert torch.equal(read.angles, written.angles) and torch.equal(read.text_id, written.text_id)


def test_objects_are_held_out_whole() -> None:
    train, val = made_up().split(0.25)
    inside, outside = ({table.row(i).object for i in range(len(table))} for table in (train, val))
    assert len(outside) == 3 and not inside & outside and len(train) + len(val) == 240


def test_draws_are_even_over_kinds_and_sources() -> None:
    table = made_up()
    rows = tuple(replace(row, affordance=Affordance(grasp=9)) if i else row for i, row in enumerate(table.rows))
    weights = replace(table, rows=rows).weights()
    assert float(weights[table.row_id == 0].sum()) == pytest.approx(0.5, abs=1e-5)
    assert float(weights.sum()) == pytest.approx(1.0, abs=1e-5)


def test_batches_are_of_their_split_and_each_pose_has_a_sentence_of_its_own(table_file: Path) -> None:
    data = PoseDataModule(table_file, batch_size=64, val_fraction=0.25, angles=0.0, text_encoder="minilm")
    data.setup()
    assert data.train_batches is not None
    batch, again = data.train_batches[5], data.train_batches[5]
    assert all(torch.equal(batch[name], again[name]) for name in batch)
    train, val = made_up().split(0.25)
    assert set(batch["row"].tolist()) <= set(train.row_id.tolist())
    assert set(next(iter(data.val_dataloader()))["row"].tolist()) <= set(val.row_id.tolist())
    features = data.train_batches.features
    for pose, text, row in zip(batch["hand_pose"], batch["text"], batch["row"].tolist(), strict=True):
        assert any(torch.equal(text, features[k]) for k in (2 * row, 2 * row + 1))
        known = made_up().hand_pose()[made_up().row_id == row]
        assert (known - pose).abs().amax(dim=(1, 2)).min() < 1e-6


def test_the_prior_trains_by_the_command_and_hears_the_text(table_file: Path, tmp_path: Path) -> None:
    quiet = ["--trainer.enable_model_summary=false", "--trainer.accelerator=cpu", "--trainer.log_every_n_steps=1"]
    data = [
        f"--data.poses={table_file}",
        "--data.batches_per_epoch=100",
        "--data.val_batches=1",
        "--data.batch_size=64",
    ]
    steps = ["--trainer.max_steps=200", "--model.learning_rate=0.003", f"--out={tmp_path}"]
    assert main(["fit", f"--config={CONFIG}", *SMALL, *data, *quiet, *steps]) == 0
    prior = load_checkpoint(tmp_path / "last.ckpt")
    assert isinstance(prior, PosePrior) and bool(prior.normalized)
    module = PoseDataModule(table_file, batch_size=128, angles=0.0)
    module.setup()
    assert module.train_batches is not None
    batch = module.train_batches[0]
    x = (prior._represented(batch["hand_pose"]) - prior.pose_mean) / prior.pose_std
    t = torch.full((128,), 700)
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        right, null = (prior.denoising_loss(x, cond, t, noise).mean() for cond in (batch["text"], None))
        wrong = prior.denoising_loss(x, batch["text"].roll(64, 0), t, noise).mean()
    assert right < 0.8 * null and null < wrong


@pytest.mark.parametrize("damage", ["absent", "cut", "changed"])
def test_a_table_that_cannot_be_read_is_said(damage: str, table_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "poses.safetensors"
    content = bytearray(table_file.read_bytes())
    if damage == "changed":
        content[-9] ^= 1
    if damage != "absent":
        path.write_bytes(content[:500] if damage == "cut" else content)
    with pytest.raises(HopriorError, match=r"poses.safetensors: .*make it with `hoprior data poses`"):
        read_poses(path)


def test_nothing_to_take_poses_from_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "poses", f"--out={tmp_path / 'p.safetensors'}"]) == 2
    assert "give --myodm FOLDER, --synthetic FOLDER, or both" in capsys.readouterr().err


def test_recorded_grasps_have_their_verbs_and_sizes(shared_data: Path, tmp_path: Path) -> None:
    """Two objects of the release, so that it is quick."""
    folder = tmp_path / "myodm"
    (folder / "objects").mkdir(parents=True)
    (folder / "grasps.npz").symlink_to(shared_data / "myodm" / "grasps.npz")
    for name in ("mug", "spherelarge"):
        (folder / "objects" / f"{name}.ply").symlink_to(shared_data / "myodm" / "objects" / f"{name}.ply")
    table = make_table(folder)
    told = {row.object: row.affordance for row in table.rows}
    assert told["myodm-spherelarge"].object_size == "large" and told["myodm-spherelarge"].object_category == "sphere"
    assert "a hand drinking from a mug" in table.sentences
    mugs = [i for i in range(len(table)) if table.row(i).object == "myodm-mug"]
    told_of_mugs = [{table.sentences[k] for k in table.text_id[i].tolist()} for i in mugs]
    # A few sentences name another thing, so that a name which was never heard says nothing.
    assert all(any("mug" not in s and "object" not in s for s in texts) for texts in told_of_mugs)
    assert all(sum("mug" in s for s in texts) >= 3 for texts in told_of_mugs)
    hand = load_hand()
    assert (table.angles <= hand.angle_high + 1e-4).all() and (table.angles >= hand.angle_low - 1e-4).all()


def test_a_thing_is_as_thick_as_it_is_between_thumb_and_fingers() -> None:
    """A slab of 2 x 6 x 10 cm, held across each of its sides by fingertips that just touch it."""
    slab = trimesh.creation.box((0.02, 0.06, 0.10))
    joints = torch.zeros(4, 21, 3)
    for axis, half in enumerate((0.01, 0.03, 0.05)):
        joints[axis, THUMB_TIP, axis] = -half
        joints[axis, OPPOSITE_TIPS, axis] = half
    joints[3] = torch.tensor([1.0, 0.0, 0.0])
    points = torch.tensor(trimesh.sample.sample_surface(slab, 20_000, seed=0)[0]).float()
    thick = thickness_in_hand(points, joints)
    torch.testing.assert_close(thick[:3], torch.tensor([0.02, 0.06, 0.10]), rtol=0, atol=1e-3)
    assert thick[3].isnan()
    assert sizes_in_hand(slab, joints) == ["small", "large", "large", ""]


def test_a_resumed_training_has_the_batches_of_an_uninterrupted_one(table_file: Path, tmp_path: Path) -> None:
    assert_resumes(lambda: PoseDataModule(table_file, batch_size=4, batches_per_epoch=EPOCH), tmp_path)


def test_a_validation_on_training_objects_says_so(table_file: Path, caplog: pytest.LogCaptureFixture) -> None:
    PoseDataModule(table_file, val_fraction=0.01).setup()
    assert "no object is held out at a val_fraction of 0.01" in caplog.text


class Dies(pl.Callback):
    """Ends a training before one of its steps."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: pl.Trainer, *rest: Any) -> None:
        if trainer.global_step == self.step:
            raise Killed


def test_a_resumed_training_ends_with_the_weights_of_an_uninterrupted_one(table_file: Path, tmp_path: Path) -> None:
    """Noise and dropout go on with the batches, and so the weights are the same, bit for bit."""

    def fit(name: str, *more: str) -> dict[str, torch.Tensor]:
        steps = ["--checkpoint.every_n_train_steps=4", f"--trainer.max_steps={ENOUGH}", f"--out={tmp_path / name}"]
        data = [f"--data.poses={table_file}", f"--data.batches_per_epoch={EPOCH}", "--data.batch_size=8"]
        command_line(["fit", f"--config={CONFIG}", *SMALL, *data, "--trainer.accelerator=cpu", *steps, *more])
        state: dict[str, torch.Tensor] = torch.load(tmp_path / name / "last.ckpt", weights_only=True)["state_dict"]
        return state

    whole = fit("whole")
    with pytest.raises(Killed):
        fit("killed", f"--trainer.callbacks+={__name__}.Dies", f"--trainer.callbacks.step={KILLED}")
    resumed = fit("killed", "--ckpt_path=last")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
