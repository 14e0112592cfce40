"""What cannot be done is refused before work begins, in a sentence that names the value and says what would do."""

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from shown_results import some_grasps

import hoprior
from hoprior.cli.entry import main
from hoprior.common.array_files import read_arrays, save_arrays
from hoprior.common.pickles import safe_load, safe_loads
from hoprior.datasets.clips.film import FilmConfig
from hoprior.datasets.recordings.mixture import Mixture, Part
from hoprior.datasets.training.grasp_table import GraspTable
from hoprior.errors import HopriorError
from hoprior.geometry.grid import GridSpec
from hoprior.geometry.isosurface import marching_cubes
from hoprior.geometry.mesh import load_mesh
from hoprior.geometry.skeletal import skeletal_field
from hoprior.geometry.units import Sizing, parse_length
from hoprior.kernels.choice import SWITCH, why_none
from hoprior.metrics.reconstruction import align
from hoprior.physics.simulation.convex import convex_parts
from hoprior.priors.asking import energies
from hoprior.priors.diffusion import NoiseSchedule
from hoprior.results.simulators import scene_of
from hoprior.tasks.objects import as_object_mesh, load_object
from hoprior.vision.images import read_mask

BOX = trimesh.creation.box((0.05, 0.06, 0.07))
SPEC = GridSpec(center=(0.0, 0.0, 0.0), half_extent=0.1, resolution=8)
DEXYCB = Part("dexycb")


class Words:
    """A prior that says nothing of use."""

    def energy(self, state, cond=None):
        return "low"


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: Sizing(scale=0.0), "scale=0.0 is no scale: use a number above 0"),
        (lambda: Sizing(scale=float("nan")), "scale=nan is no scale"),
        (lambda: parse_length("12"), "has no unit: write 12cm or 12mm"),
        (lambda: parse_length("1,2 cm"), r"has a comma: write decimals after a point, as in 1\.2 cm"),
        (lambda: parse_length("3 parsecs"), "is no length: write a number and m, cm"),
        (lambda: parse_length("0 cm"), "is no length of a thing"),
        (lambda: parse_length("1.2.3cm"), "is no length: write a number and m, cm"),
        (lambda: as_object_mesh(BOX, size="12cm"), "this one is in metres already"),
        (lambda: as_object_mesh(BOX, part="lid"), "this one is in metres already"),
        (lambda: marching_cubes(torch.zeros(4, 4, 4), SPEC), r"shape \(4, 4, 4\), its spec says \(8, 8, 8\)"),
        (lambda: skeletal_field(torch.zeros(1, 21, 3), SPEC, 0.0048, channels=16), "15 or 20 channels, not 16"),
        (lambda: NoiseSchedule(timesteps=0), "0 timesteps; at least 1"),
        (lambda: NoiseSchedule(beta_start=0.02, beta_end=0.01), "betas from 0.02 to 0.01"),
        (lambda: align(np.zeros((0, 3)), np.ones((4, 3))), "has no points"),
        (lambda: align(np.full((4, 3), np.nan), np.ones((4, 3))), "NaN or infinite"),
        (lambda: align(np.ones((4, 3)), np.ones((4, 3))), "no extent: is a mesh empty"),
        (lambda: convex_parts(BOX, "hull"), "unknown convex decomposition 'hull': use one of coacd, coacd-fine, vhacd"),
        (lambda: energies(Words(), torch.zeros(2, 3), None), r"gives str: it must give a tensor \(b,\)"),
        (lambda: scene_of(some_grasps(0)), "no grasps to export: ask for at least one"),
        (lambda: GraspTable([]), "no objects in this split: lower val_fraction"),
        (lambda: hoprior.grasp_many("meshes", "out", numb=3), "numb=3 is no argument of grasp_many"),
        (lambda: hoprior.refine_video("clip.mp4", max_frames=1), "max_frames=1 is too few: use at least 2"),
        (lambda: FilmConfig(size=10), "size is 10 pixels: use 64 to 4096"),
        (lambda: FilmConfig(occlusion=1.5), "are shares: use 0 to 1"),
        (lambda: FilmConfig(missing=1.0), "are shares: use 0 to 1"),
        (lambda: FilmConfig(mask_noise=-1.0), "noises and motions are not negative"),
        (lambda: Part("dexycb", split=3), "split of 'dexycb' is 3: give a name"),  # type: ignore[arg-type]
        (lambda: Part("dexycb", weight=-1.0), "the weight of 'dexycb' is -1.0: give 0 or more"),
        (lambda: Part("dexycb", protocol="s9"), "has no protocol 's9': use"),
        (lambda: Part("nobody"), "no dataset 'nobody': there are"),
        (lambda: Mixture((DEXYCB,), root=3), "root is 3: give a path"),  # type: ignore[arg-type]
        (lambda: Mixture((DEXYCB,), class_weights={"mug": -1.0}), "factors by class: give numbers, 0 or more"),
        (lambda: Mixture((DEXYCB,), balance=2.0), r"balance 2.0: give 0 \(as they are\) to 1"),
        (lambda: Mixture((Part("dexycb", 0.0),)), "no dataset has a weight above 0"),
        (lambda: Mixture((DEXYCB, DEXYCB)), "a dataset is named twice"),
    ],
)
@pytest.mark.usefixtures("wrong_types")
def test_values_that_cannot_be(call: Callable[[], object], says: str) -> None:
    with pytest.raises(HopriorError, match=says):
        call()


def test_the_switch_of_the_kernels_is_on_or_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SWITCH, "perhaps")
    with pytest.raises(HopriorError, match=f"{SWITCH} is 'perhaps': use on or off"):
        why_none()
    monkeypatch.setenv(SWITCH, "off")
    assert why_none() == f"{SWITCH} is off"


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("mug.obj", b"", "the file is empty: export or download it again"),
        ("mug.obj", b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\nsize 4\n", "pointer of Git LFS"),
        (
            "mug.gltf",
            b'{"asset": {"version": "2.0"}, "extensionsRequired": ["ACME_rays"], "meshes": []}',
            "needs the extension ACME_rays, which .*: export it without",
        ),
        ("line.obj", b"v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n", r"degenerate|no area"),
    ],
)
def test_meshes_that_hold_none(name: str, content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(HopriorError, match=says):
        load_mesh(tmp_path / name)


def test_a_folder_is_no_mesh(tmp_path: Path) -> None:
    with pytest.raises(HopriorError, match="is a folder: give one mesh file in it"):
        load_mesh(tmp_path)


@pytest.mark.parametrize("shapes", [((4, 4, 3), (3, 3)), ((4, 4), (2, 2))])
def test_depth_without_intrinsics(shapes: tuple[tuple[int, ...], tuple[int, ...]], tmp_path: Path) -> None:
    np.savez(tmp_path / "view.npz", depth=np.ones(shapes[0]), K=np.ones(shapes[1]))
    with pytest.raises(HopriorError, match="give h x w, and 3 x 3 intrinsics"):
        load_object(tmp_path / "view.npz")


def test_masks_without_a_hand(tmp_path: Path) -> None:
    from PIL import Image

    Image.new("L", (64, 48)).save(tmp_path / "black.png")
    with pytest.raises(HopriorError, match="the mask is empty: paint the hand white"):
        read_mask(tmp_path / "black.png", (64, 48))
    with pytest.raises(HopriorError, match="64 x 48 pixels, the photo 48 x 64"):
        read_mask(tmp_path / "black.png", (48, 64))


def itself() -> list[object]:
    """A list that is in itself."""
    ring: list[object] = []
    ring.append((ring,))
    return ring


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (pickle.dumps(np.zeros(2, [("x", "f4")])), "array of"),
        (pickle.dumps(itself()), "it contains itself"),
        (b"\x80\x02Nr\xff\xff\xff\x7f.", "numbers one of its parts 2147483647"),
        (b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x05\x00\x00\x00rot13\x86R.", "encodes text as 'rot13'"),
    ],
)
def test_pickles_of_something_else(data: bytes, says: str) -> None:
    with pytest.raises(HopriorError, match=says):
        safe_loads(data)


def test_a_pickle_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(HopriorError, match=r"cannot be read .*give the path of a pickle file"):
        safe_load(tmp_path / "hand.pkl")


def stored(header: bytes, content: bytes = b"") -> bytes:
    """A .npy file of a header and what follows it."""
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header + content


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\x93NUMPY\x07\x00" + b"\0" * 20, r"array format \(7, 0\)"),
        (stored(b"{'descr': '<f8', 'fortran_order': False, 'shape': (9,)}\n", bytes(8)), "fewer numbers than that"),
        (stored(b"{'descr': '|V4', 'fortran_order': False, 'shape': (1,)}\n", bytes(4)), "array of type"),
    ],
)
def test_arrays_that_are_not_whole(content: bytes, says: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("joints.npy", content)
    with pytest.raises(HopriorError, match=says):
        read_arrays(tmp_path / "a.npz", ["joints"])


def test_what_is_no_array_is_not_saved() -> None:
    with pytest.raises(TypeError, match="'joints' is of object, which arrays in files are not"):
        save_arrays(io.BytesIO(), {"joints": np.array([None])})


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["data", "render-clip", "--family", "mug", "--frames", "1", "--out", "clip"], "--frames is 1: a clip has"),
        (["data", "render-clip", "--family", "mug", "--out", "there"], "is there already: choose another --out"),
        (["data", "render-clip", "--out", "clip"], "say what to film"),
        (["data", "render-clip", "--sequence", "mug_drink3", "--out", "clip"], "--sequence needs --myodm"),
        (["eval", "prior", "--cache", "there", "--num", "1"], "--num 1: give at least 2"),
        (["eval", "refine", "--root", "there", "--myodm", "there"], "leave --myodm, --synthetic and --free out"),
        (["eval", "refine", "--estimates", "there"], "give its folder with --root"),
        (["eval", "refine", "--num", "1"], "one hand a level"),
        (["eval", "refine", "--out", "there"], "give the name of a .json file"),
        (["describe", "--image", "a.png", "--vision-model", "a", "--local-vision", "b"], "name one of them"),
        (["run", "grasp", "--mesh", "there", "--robot", "a.urdf"], "--robot is for one mesh: run hoprior retarget"),
        (["run", "grasp", "--mesh", "a.stl", "--workers", "2"], "this is one, give a folder or a list"),
        (["run", "grasp", "--mesh", "a.stl", "--fingers", "a.urdf"], "give its hand as --robot hand.urdf"),
    ],
)
def test_command_lines_that_do_not_fit(
    argv: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("there").mkdir()
    for name in ("a.png", "a.urdf"):
        Path(name).write_bytes(b"x")
    BOX.export("a.stl")
    BOX.export("there/a.stl")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert main(argv) == 2
    assert says in " ".join(capsys.readouterr().err.split())
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before, "and nothing is written"
