"""Clips from what people have: an estimator's files, plain videos with and without masks, sequences of HOI4D."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from made_up_mano import write_mano_folder
from PIL import Image
from recording_layouts import K as HOI4D_K
from recording_layouts import write_hoi4d
from recording_scenes import make_scene
from scipy import ndimage

from hoprior.cli.entry import main
from hoprior.datasets.clips.clip import Clip, read_clip
from hoprior.datasets.clips.film import FilmConfig, film
from hoprior.datasets.clips.hands import ClipHands, hands_of_pictures
from hoprior.datasets.clips.hoi4d import read_hoi4d_clip
from hoprior.datasets.clips.scene import ClipScene
from hoprior.datasets.clips.truth import estimated_joints
from hoprior.datasets.clips.video import read_video_clip
from hoprior.datasets.recordings.hands import Hands
from hoprior.datasets.samples.sample import Side
from hoprior.errors import HopriorError
from hoprior.geometry.state import rigid, transform_points
from hoprior.hand import load_hand
from hoprior.hand.joint_order import reorder_joints
from hoprior.rendering.pinhole import visible_faces
from hoprior.tasks.reconstruct.config import FitConfig
from hoprior.tasks.reconstruct.task import reconstruct
from hoprior.vision.mask_tracking import hand_and_object_prompts
from hoprior.vision.sam2 import Prompt

pytest.importorskip("imageio_ffmpeg", reason="the extra video is not installed")

import trimesh

from hoprior.geometry.transforms import rotate_about
from hoprior.vision.video import write_video

FRAMES, SIZE = 5, 256
QUICK = FitConfig(hand_steps=8, steps=8, frames=2, rays=48, samples=24, resolution=24, hand_size=40)


def held_box(side: str) -> ClipScene:
    """A box in the fingers of a relaxed hand, turning a little."""
    turn = torch.zeros(FRAMES, 3)
    turn[:, 2] = torch.linspace(-0.4, 0.4, FRAMES)
    return ClipScene(
        name="box",
        text="a hand holding a box",
        mesh=trimesh.creation.box((0.06, 0.05, 0.12)),
        T_world_object=rotate_about(torch.zeros(3), turn, torch.zeros(FRAMES, 3)),
        T_object_hand=rigid(torch.eye(3), -torch.tensor([0.10, 0.0, 0.045])).expand(FRAMES, 4, 4).clone(),
        angles=load_hand("open", side).relaxed_angles.expand(FRAMES, 15, 3).clone(),
        betas=torch.zeros(10),
    )


@pytest.fixture(scope="module", params=["right", "left"])
def filmed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A clip folder, and its side."""
    place = tmp_path_factory.mktemp("clips") / "box"
    place.mkdir()
    film(held_box(request.param), load_hand("open", request.param), place, FilmConfig(size=SIZE, camera_motion=4.0))
    return place, request.param


def true_joints(clip: Clip) -> np.ndarray:
    assert clip.truth is not None
    return transform_points(clip.truth.T_camera_hand, clip.truth.joints_hand).numpy()


def as_estimator(joints: np.ndarray) -> np.ndarray:
    return reorder_joints(torch.from_numpy(joints).float(), "mano", "openpose").numpy()


def hamer_items(folder: Path, side: str) -> list[dict[str, Any]]:
    """What HaMeR would say of each frame, without any error."""
    clip = read_clip(folder)
    with np.load(folder / "cameras_hoi.npz") as file:
        focal = float(file["K_pix"][0, 0, 0])
    items = []
    for joints in true_joints(clip):
        pixels = joints[:, :2] / joints[:, 2:] * focal + SIZE / 2
        place = joints[0].copy()
        relative = (joints - place) * [1 if side == "right" else -1, 1, 1]
        items.append(
            {
                "keypoints_3d": as_estimator(relative),
                "cam_t_full": place.astype(np.float32),
                "keypoints_2d": as_estimator(np.concatenate([pixels, pixels[:, :1]], axis=1))[:, :2],
                "focal_length": np.float32(focal),
                "img_size": np.array([SIZE, SIZE]),
                "is_right": np.float32(side == "right"),
            }
        )
    return items


def close(clip: Clip, source: Path) -> None:
    """A clip whose hands are the truth's, to what inverse kinematics leaves."""
    truth = true_joints(read_clip(source))
    found = estimated_joints(clip)
    known = clip.has_hand.numpy()
    assert np.linalg.norm(found[known] - truth[: len(found)][known], axis=-1).mean() < 0.006


@pytest.mark.parametrize("form", ["one", "numbered", "named", "freihand"])
def test_hands_come_from_an_estimators_files(filmed: tuple[Path, str], form: str, tmp_path: Path) -> None:
    folder, side = filmed
    items, place = hamer_items(folder, side), tmp_path / "hands"
    place.mkdir()
    if form == "one":
        place = place / "hamer.npz"
        arrays: dict[str, Any] = {name: np.stack([item[name] for item in items]) for name in items[0]}
        np.savez(place, **arrays)
    elif form == "freihand":
        K = [[items[0]["focal_length"].item(), 0, SIZE / 2], [0, items[0]["focal_length"].item(), SIZE / 2], [0, 0, 1]]
        joints = [as_estimator(joints).tolist() for joints in true_joints(read_clip(folder))]
        place = place / "hands.json"
        place.write_text(json.dumps({"xyz": joints, "K": [K] * FRAMES, "side": side}))
    else:
        for k, item in enumerate(items):
            if k != 1:
                np.savez(place / (f"{k:04d}.npz" if form == "named" else f"crop_of_{k}.npz"), **item)
    clip = read_clip(folder, hands=place)
    assert clip.hand == "open" and clip.side == side
    assert clip.has_hand.tolist() == [True, form in ("one", "freihand"), True, True, True]
    close(clip, folder)


def test_hands_of_other_frames_are_refused(filmed: tuple[Path, str], tmp_path: Path) -> None:
    folder, side = filmed
    items = hamer_items(folder, side)[:3]
    arrays: dict[str, Any] = {name: np.stack([item[name] for item in items]) for name in items[0]}
    np.savez(tmp_path / "hamer.npz", **arrays)
    with pytest.raises(HopriorError, match=f"has 3 {side} hands for 5 frames"):
        read_clip(folder, hands=tmp_path / "hamer.npz")
    other = "left" if side == "right" else "right"
    unseen = {name: value for name, value in items[0].items() if name != "keypoints_2d"}
    np.savez(tmp_path / "other.npz", **unseen | {"is_right": np.float32(other == "right")})
    with pytest.raises(HopriorError, match=f"holds no {side} hand"):
        read_clip(folder, hands=tmp_path / "other.npz")


@pytest.fixture
def video(filmed: tuple[Path, str], tmp_path: Path) -> Path:
    """The clip as a video, each picture shown twice."""
    pictures = [np.asarray(Image.open(path)) for path in sorted((filmed[0] / "image").iterdir())]
    write_video(tmp_path / "clip.mp4", [p for picture in pictures for p in (picture, picture)], 10.0)
    return tmp_path / "clip.mp4"


def doubled(folder: Path, out: Path) -> Path:
    """Masks of the video with doubled frames."""
    out.mkdir()
    for k, path in enumerate(sorted(folder.iterdir())):
        for j in (0, 1):
            (out / f"{2 * k + j:04d}.png").write_bytes(path.read_bytes())
    return out


def hands_beside(folder: Path, side: str, out: Path) -> Path:
    """HaMeR's files of the video with doubled frames."""
    out.mkdir()
    for k, item in enumerate(hamer_items(folder, side)):
        for j in (0, 1):
            np.savez(out / f"frame{2 * k + j:05d}.npz", **item)
    return out


def test_a_video_with_masks_and_hands_is_a_clip(filmed: tuple[Path, str], video: Path, tmp_path: Path) -> None:
    folder, side = filmed
    masks = [doubled(folder / name, tmp_path / name) for name in ("hand_mask", "obj_mask")]
    hands = hands_beside(folder, side, tmp_path / "hands")
    clip = read_video_clip(video, masks[0], masks[1], "a box", side, 5, hands=hands)
    assert clip.frame == (0, 2, 4, 7, 9) and clip.fps == pytest.approx(5.0)
    close(clip, folder)
    result = reconstruct(clip, priors=(), config=QUICK)
    assert result.side == side and len(result) == 5
    (masks[1] / "0009.png").unlink()
    (masks[1] / "0008.png").unlink()
    with pytest.raises(HopriorError, match="has 10 frames and masks for 8"):
        read_video_clip(video, masks[0], masks[1], "a box", side, 5, hands=hands)


def chroma(colours: np.ndarray) -> np.ndarray:
    return colours / (colours.sum(axis=-1, keepdims=True) + 1)


class ColourTracker:
    """Stands for SAM 2: a thing is what has the colour of a prompted pixel, in all frames."""

    device = ""

    def __init__(self, name: str, device: str) -> None:
        type(self).device = device
        if name == "nowhere":
            raise HopriorError("SAM 2's weights 'nowhere' cannot be loaded")

    def masks(self, frames: Sequence[np.ndarray], prompted: int, prompts: Sequence[Prompt]) -> list[np.ndarray]:
        found = []
        for prompt in prompts:
            x, y = prompt.points[prompt.labels == 1].round().astype(int).T
            colours = frames[prompted].astype(int)[y, x]
            # The wrist's pixel may lie beside the hand, on the grey background.
            colour = chroma(colours[np.ptp(chroma(colours), axis=1).argmax()])
            found.append(np.stack([np.abs(chroma(frame.astype(int)) - colour).sum(axis=2) < 0.08 for frame in frames]))
        return found


@pytest.fixture
def sam2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hoprior.vision.mask_tracking.VideoModel", ColourTracker)


@pytest.mark.parametrize("side", ["right", "left"])
def test_a_hand_to_which_none_of_its_side_can_be_posed_is_not_found(side: Side, shared_data: Path) -> None:
    """A right hand in a photo."""
    pytest.importorskip("ai_edge_litert")
    photo = np.asarray(Image.open(shared_data / "images" / "EK_0010_P04_101_frame_0000013113.jpg").convert("RGB"))

    def look() -> ClipHands:
        return hands_of_pictures([photo], [None], side, np.zeros(1))

    if side == "right":
        assert np.isfinite(look().keypoints).all()
    else:
        with pytest.raises(HopriorError, match="no left hand is found in any frame"):
            look()


@pytest.mark.usefixtures("sam2")
def test_masks_that_are_missing_are_tracked(
    filmed: tuple[Path, str], video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, side = filmed
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    hands = hands_beside(folder, side, tmp_path / "hands")
    with Image.open(folder / "obj_mask" / "0000.png") as picture:
        inside = np.argwhere(ndimage.binary_erosion(np.asarray(picture) > 0, iterations=4))
    y, x = inside[len(inside) // 2].tolist()
    clip = read_video_clip(video, None, None, "a box", side, 5, hands=hands, object_point=(x, y), device="cpu")
    assert ColourTracker.device == "cpu"
    source = read_clip(folder)
    for found, true in ((clip.object_mask, source.object_mask), (clip.hand_mask, source.hand_mask)):
        share = [float((a * b).sum() / torch.maximum(a, b).sum()) for a, b in zip(found, true, strict=True)]
        assert min(share) > 0.7, share
    with pytest.raises(HopriorError, match="or SAM 2, which makes them: SAM 2's weights 'nowhere'"):
        read_video_clip(video, None, None, "a box", side, 5, hands=hands, segment="nowhere")


def test_without_masks_and_sam2_one_sentence_says_what_to_do(
    video: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    assert main(["run", "reconstruct", "--video", str(video), "--out", str(tmp_path / "out")]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "--hand-masks and --object-masks" in said and "pip install 'hoprior[segment]'" in said
    assert not (tmp_path / "out").exists()


def test_prompts_show_the_hand_and_what_is_between_its_fingers() -> None:
    keypoints = np.stack([np.linspace(10, 90, 21), np.linspace(20, 60, 21)], axis=1)
    hand, held = hand_and_object_prompts(keypoints, (100, 100))
    assert hand.labels.tolist() == [1, 1, 1, 1, 1, 0] and held.labels.tolist() == [1, 0, 0, 0, 0, 0]
    np.testing.assert_allclose(held.points[0], hand.points[-1])
    assert hand.box is not None and hand.box[0] <= 10 and hand.box[3] >= 60
    assert hand_and_object_prompts(keypoints, (100, 100), np.array([7.0, 8.0]))[1].points[0].tolist() == [7, 8]


@pytest.fixture(scope="module")
def hoi4d(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Hands, Any, str]:
    """HOI4D with one sequence of five frames, in the release's layout."""
    base = tmp_path_factory.mktemp("hoi4d")
    (base / "mano").mkdir()
    hands = Hands(write_mano_folder(base / "mano"))
    scene = make_scene(hands, num=FRAMES)
    root = base / "data"
    root.mkdir()
    write_hoi4d(root, scene)
    sequence = "ZY20210800001/H1/C2/N05/S100/s02/T5"
    # The camera of the release's pictures; the layout's own is a smaller one.
    scaled = HOI4D_K * [[3.0], [2.25], [1.0]]
    np.save(root / "camera_params" / "ZY20210800001" / "intrin.npy", scaled)
    intrinsics = np.array([scaled[0, 0], scaled[1, 1], scaled[0, 2], scaled[1, 2]])
    small = (384, 216)
    masks = root / "HOI4D_annotations" / sequence / "2Dseg" / "mask"
    masks.mkdir(parents=True)
    pictures = []
    mano = hands.mano("right")
    for k, frame in enumerate(scene.frames):
        verts = mano(frame.pose.hand_pose, frame.pose.betas, frame.pose.global_orient, frame.pose.transl).verts[0]
        held = transform_points(frame.T_scene_object, torch.from_numpy(scene.mesh.vertices).float())
        both = torch.cat([verts, held]).double().numpy()
        faces = np.concatenate([mano.faces.numpy(), scene.mesh.faces + len(verts)])
        face = visible_faces(both, faces, intrinsics * small[0] / 1920, small)
        colours = np.zeros((*face.shape, 3), dtype=np.uint8)
        colours[(face >= 0) & (face >= len(mano.faces))] = [255, 0, 0]
        colours[(face >= 0) & (face < len(mano.faces))] = [0, 255, 0]
        large = np.kron(colours, np.ones((5, 5, 1), dtype=np.uint8))
        Image.fromarray(large).save(masks / f"{k:05d}.png")
        pictures.append(large)
    video = root / "HOI4D_release" / sequence / "align_rgb" / "image.mp4"
    video.parent.mkdir(parents=True)
    write_video(video, [*pictures, pictures[-1]], 15.0)
    return root, hands, scene, sequence


def test_a_sequence_of_hoi4d_is_a_clip(hoi4d: tuple[Path, Hands, Any, str], monkeypatch: pytest.MonkeyPatch) -> None:
    root, hands, scene, sequence = hoi4d
    monkeypatch.setenv("HOPRIOR_MANO_DIR", str(hands.mano_dir))
    clip = read_hoi4d_clip(root, sequence, frames=(0, FRAMES - 1))
    assert len(clip) == FRAMES and clip.hand == "mano" and clip.text == "a hand holding a mug"
    assert clip.has_object.all() and clip.has_hand.all()
    expected = torch.stack([frame.joints for frame in scene.frames]).numpy()
    np.testing.assert_allclose(estimated_joints(clip), expected, atol=1e-4)
    # Through the crops' cameras the hand's joints lie on what its mask or the object's covers.
    pixels = expected[..., :2] / expected[..., 2:] * clip.intrinsics[:, None, :2].numpy()
    pixels = (pixels + clip.intrinsics[:, None, 2:].numpy()).round().astype(int).clip(0, 255)
    either = np.maximum(clip.object_mask.numpy(), clip.hand_mask.numpy())
    share = np.mean([either[i, v, u] > 0.5 for i in range(FRAMES) for u, v in pixels[i]])
    assert share > 0.9
    assert clip.truth is not None
    frames = torch.stack([torch.linalg.inv(frame.T_object_hand) for frame in scene.frames])
    torch.testing.assert_close(clip.truth.T_hand_object, frames, atol=1e-4, rtol=0)


def test_frames_of_hoi4d_without_annotation_are_lived_with(
    hoi4d: tuple[Path, Hands, Any, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, hands, _, sequence = hoi4d
    monkeypatch.setenv("HOPRIOR_MANO_DIR", str(hands.mano_dir))
    # The last frame has a hand but neither masks nor the object's pose.
    clip = read_hoi4d_clip(root, sequence)
    assert len(clip) == FRAMES + 1 and clip.truth is None
    assert not clip.has_object[-1] and clip.has_object[:-1].all()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--sequence", "ZY1/H1"], "names no sequence"),
        (["--sequence", "ZY20210800001/H1/C2/N05/S100/s02/T9"], "0 hand poses"),
        ([], "--hoi4d needs a sequence"),
        (["--sequence", "ZY20210800001/H1/C2/N05/S100/s02/T5", "--frames", "[3, 3]"], "a clip needs two"),
        (["--sequence", "ZY20210800001/H1/C2/N05/S100/s02/T5", "--side", "left"], "0 hand poses"),
    ],
)
def test_what_is_wrong_with_a_sequence_is_said(
    hoi4d: tuple[Path, Hands, Any, str],
    arguments: Sequence[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root, hands, _, _ = hoi4d
    monkeypatch.setenv("HOPRIOR_MANO_DIR", str(hands.mano_dir))
    out = tmp_path / "out"
    assert main(["run", "reconstruct", "--hoi4d", str(root), "--out", str(out), *arguments]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not out.exists()
