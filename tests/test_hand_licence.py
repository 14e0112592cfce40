"""MANO's arrays are the user's own: no file that hoprior writes has any of them."""

import gzip
import importlib
import json
import pickle
import pkgutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
import trimesh
from hand_arrays import found_in, hand_arrays, needles
from hand_estimates import estimate
from held_box import FILM, QUICK, held_box
from made_up_mano import write_mano_folder
from pytorch_lightning import LightningModule
from recording_layouts import write_dexycb, write_grab
from recording_scenes import make_scene
from small_priors import VQVAE, Knowing, small_pose_prior, tiny
from synthesis_settings import MAKE

import hoprior
import hoprior.models
from hoprior.cli.entry import main
from hoprior.datasets.clips.clip import read_clip
from hoprior.datasets.clips.film import film
from hoprior.datasets.procedural.source import Procedural
from hoprior.datasets.recordings.hands import Hands
from hoprior.datasets.recordings.source import Recorded
from hoprior.datasets.samples.background import BackgroundConfig
from hoprior.datasets.samples.grids import PrepareConfig, prepare
from hoprior.datasets.streaming.items import StreamSpec
from hoprior.datasets.streaming.pack import PackConfig, pack
from hoprior.datasets.synthetic.build import SynthesisConfig, make_object
from hoprior.datasets.synthetic.objects import Catalogue
from hoprior.hand import load_hand
from hoprior.hand.mano import ManoHand
from hoprior.hand.placement import LocalSearchConfig
from hoprior.models.base import TrainedModule
from hoprior.models.shape_autoencoder import ShapeAutoencoder
from hoprior.models.training.lightning import trainable
from hoprior.models.vqvae import SdfVQVAE
from hoprior.priors.pretrained import PretrainedMixin, load_safetensors
from hoprior.results.reconstructions import CHECKPOINT
from hoprior.tasks.generate.poses import generate_poses
from hoprior.tasks.grasp.config import GraspConfig
from hoprior.tasks.grasp.descent import DescentConfig
from hoprior.tasks.grasp.faults import FaultWeights
from hoprior.tasks.reconstruct.task import reconstruct
from hoprior.tasks.refine.sampling import RefineConfig
from hoprior.tasks.refine.task import refine

SHIPPED = sorted((Path(hoprior.__file__).parent / "assets" / "priors").glob("*.safetensors"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(write_mano_folder(tmp_path_factory.mktemp("mano")))


@pytest.fixture(scope="module")
def hand(folder: Path) -> ManoHand:
    return ManoHand("right", folder)


@pytest.fixture(autouse=True)
def named_by_the_environment(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOPRIOR_MANO_DIR", str(folder))
    monkeypatch.setenv("HOPRIOR_CACHE_DIR", str(tmp_path / "indices"))


@pytest.fixture(scope="module")
def has_none(folder: Path) -> Callable[..., None]:
    """Fails if a file in a folder has anything of either hand's arrays; there must be files of each kind asked for."""
    hands = [ManoHand(side, folder) for side in ("right", "left")]
    every = {needle: name for hand in hands for needle, name in needles(hand_arrays(hand)).items()}
    # A mesh shows vertices, and a posed hand's wrist may be where it was at rest.
    of_meshes = {needle: name for hand in hands for needle, name in needles(hand_arrays(hand, rest=False)).items()}

    def check(place: Path, *kinds: str) -> None:
        files = [path for path in place.rglob("*") if path.is_file()]
        assert set(kinds) <= {path.suffix for path in files}
        for path in files:
            assert found_in(path, of_meshes if path.suffix == ".glb" else every) == set(), path.name

    return check


# ---- The search finds what is there ----


def test_the_search_finds_arrays_however_they_are_written(hand: ManoHand, tmp_path: Path) -> None:
    arrays = hand_arrays(hand)
    sought = needles(arrays)
    single = {name: torch.from_numpy(array).float().contiguous() for name, array in arrays.items()}
    halves = {name: tensor.half() for name, tensor in single.items()}
    torch.save({"state_dict": single}, tmp_path / "a.ckpt")
    safetensors.torch.save_file(halves, tmp_path / "b.safetensors")
    np.savez_compressed(tmp_path / "c.npz", **{f"array {i}": array for i, array in enumerate(arrays.values())})
    (tmp_path / "d.pkl").write_bytes(pickle.dumps(hand.layer.posedirs.reshape(135, 778, 3).permute(1, 2, 0).numpy()))
    (tmp_path / "e.json").write_text(json.dumps({name: tensor.tolist() for name, tensor in single.items()}))
    (tmp_path / "f.bin").write_bytes(gzip.compress(single["v_template"].numpy().tobytes()))
    (tmp_path / "g.json").write_text(json.dumps(arrays["lbs_weights"].tolist()))
    for name in ("a.ckpt", "b.safetensors", "c.npz", "e.json"):
        assert found_in(tmp_path / name, sought) == set(arrays), name
    assert "posedirs" in found_in(tmp_path / "d.pkl", sought)
    assert found_in(tmp_path / "f.bin", sought) == {"v_template"}
    assert found_in(tmp_path / "g.json", sought) == {"lbs_weights"}


# ---- The hand itself ----


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_hand_has_no_state(folder: Path, side: str) -> None:
    hand = load_hand("mano", side, folder)
    assert hand.state_dict() == {} and list(hand.parameters()) == []


def test_arrays_without_state_still_move(folder: Path) -> None:
    hand = load_hand("mano", mano_dir=folder).double()
    assert {b.dtype for b in hand.buffers() if b.is_floating_point()} == {torch.float64}
    pose = torch.zeros(1, 15, 3, dtype=torch.float64)
    assert hand(pose).verts.dtype == torch.float64
    moved = hand.to("meta")
    assert {buffer.device.type for buffer in moved.buffers()} == {"meta"}
    assert moved.layer.posedirs.device.type == "meta" and moved.layer.lbs_weights.device.type == "meta"


# ---- Weights and checkpoints ----


BASE = "hoprior.models.base"


def modules() -> list[type[TrainedModule]]:
    """Every class of a trainable model; what they share is none."""
    found = set()
    for item in pkgutil.iter_modules(hoprior.models.__path__, "hoprior.models."):
        for thing in vars(importlib.import_module(item.name)).values():
            if isinstance(thing, type) and issubclass(thing, TrainedModule) and thing.__module__ == item.name != BASE:
                found.add(thing)
    return sorted(found, key=lambda cls: cls.__name__)


def instances() -> dict[type, Any]:
    loaded = [load_safetensors(path) for path in SHIPPED]
    small = {"code": 8, "encoder_width": 8, "plane_channels": (8, 8, 8, 8, 8), "hidden": 8}
    return {type(module): module for module in [*loaded, SdfVQVAE(**VQVAE), ShapeAutoencoder(**small)]}


def test_no_model_s_files_have_a_hand_s_arrays(hand: ManoHand, tmp_path: Path, has_none: Callable[..., None]) -> None:
    """Not even if the model holds a hand."""
    found = instances()
    assert set(found) == set(modules())
    for cls, plain in found.items():
        module = trainable(cls)(**plain.config())
        module.load_state_dict(plain.state_dict())
        assert isinstance(module, PretrainedMixin) and isinstance(module, LightningModule)
        before = set(module.state_dict())
        module.posed_hand = hand
        assert set(module.state_dict()) == before
        checkpoint: dict[str, Any] = {"state_dict": module.state_dict(), "hyper_parameters": dict(module.hparams)}
        module.on_save_checkpoint(checkpoint)
        torch.save(checkpoint, tmp_path / f"{cls.__name__}.ckpt")
        module.save_safetensors(tmp_path / f"{cls.__name__}.safetensors")
    has_none(tmp_path, ".ckpt", ".safetensors")


# ---- Tasks ----


def test_grasps(tmp_path: Path, has_none: Callable[..., None]) -> None:
    still = FaultWeights(simulate=False)
    config = GraspConfig(
        pool=32,
        local_search=LocalSearchConfig(1),
        spare=0.0,
        guiding=DescentConfig(2),
        refining=DescentConfig(2),
        faults=still,
    )
    can = trimesh.creation.cylinder(radius=0.03, height=0.1, sections=16)
    for side in ("right", "left"):
        grasps = hoprior.grasp(can, num=1, hand="mano", side=side, priors=[], config=config, device="cpu")
        grasps.save(tmp_path / side)
    has_none(tmp_path, ".glb", ".json", ".yaml", ".png")


def test_interactions_and_poses(tmp_path: Path, has_none: Callable[..., None]) -> None:
    knowing = tiny(Knowing)
    knowing.text_encoder_name = None
    hoprior.generate("a ball", 1, prior=knowing, steps=4, hand="mano", device="cpu").save(tmp_path / "interactions")
    prior = small_pose_prior()
    prior.text_encoder_name = None
    generate_poses("a mug", 2, prior=prior, steps=4, hand="mano", device="cpu").save(tmp_path / "poses")
    has_none(tmp_path, ".glb", ".json", ".yaml", ".png")


def test_refined_hands(tmp_path: Path, has_none: Callable[..., None]) -> None:
    refined = refine(
        [estimate("a"), estimate("b", "left")],
        priors=[(1.0, small_pose_prior())],
        hand="mano",
        config=RefineConfig(steps=10, samples=2),
    )
    refined.save(tmp_path / "out")
    has_none(tmp_path, ".glb", ".json", ".npz", ".png", ".yaml")


def test_reconstructions_and_their_checkpoints(
    hand: ManoHand, tmp_path: Path, has_none: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hoprior.tasks.reconstruct.checkpoint.CHECKPOINT_SECONDS", 0.0)
    (tmp_path / "clip").mkdir()
    film(replace(held_box(3)), hand, tmp_path / "clip", FILM)
    clip = read_clip(tmp_path / "clip")
    assert clip.hand == "mano"
    config = replace(QUICK, hand_steps=2, steps=2)
    checkpoint = tmp_path / CHECKPOINT
    reconstruct(clip, priors=(), config=config, checkpoint=checkpoint, device="cpu").save(tmp_path / "out")
    assert checkpoint.is_file()
    has_none(tmp_path, ".pt", ".glb", ".ply", ".npz", ".json", ".yaml", ".mp4")


# ---- Data ----


def test_caches_and_their_shards(tmp_path: Path, has_none: Callable[..., None]) -> None:
    config = PrepareConfig(12, background=BackgroundConfig(num=2, steps=2, batch=2), hand="mano")
    source = Procedural(1, grasps_per_object=2, candidates=4)
    assert len(list(prepare([source], tmp_path / "cache", config))) == 1
    list(pack(tmp_path / "cache", tmp_path / "packed", PackConfig(StreamSpec(resolution=12), val_fraction=0.0)))
    has_none(tmp_path, ".safetensors", ".json", ".tar")


def test_synthetic_sets(tmp_path: Path, has_none: Callable[..., None]) -> None:
    config = SynthesisConfig(Catalogue.of(["ball"], [], 0), 1, replace(MAKE, tries=2, steps=5, shapes=1), hand="mano")
    threads = torch.get_num_threads()
    entry = make_object(config, 0, tmp_path)
    torch.set_num_threads(threads)
    assert not entry.skipped
    has_none(tmp_path, ".safetensors")


def test_recorded_sets(folder: Path, tmp_path: Path, has_none: Callable[..., None]) -> None:
    """Also of persons with a template of their own, and what is sent to other processes."""
    scene = make_scene(Hands(folder), num=3)
    (tmp_path / "dexycb").mkdir()
    write_dexycb(tmp_path / "dexycb", scene)
    arguments = ["data", "prepare", "dexycb", str(tmp_path / "dexycb"), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--mano-dir", str(folder)]) == 0
    personal = make_scene(Hands(folder), num=2, personal=True, betas=False)
    write_grab(tmp_path / "grab", personal)
    source = Recorded("grab", tmp_path / "grab", None, mano_dir=folder)
    assert len(list(prepare([source], tmp_path / "out" / "grab", PrepareConfig(12, background=BackgroundConfig(0)))))
    (tmp_path / "out" / "sent.pkl").write_bytes(pickle.dumps(source))
    (tmp_path / "out" / "hands.pkl").write_bytes(pickle.dumps(source.adapter.hands))
    has_none(tmp_path / "out", ".safetensors", ".tar", ".json", ".pkl")
    has_none(tmp_path / "indices", ".npz")
