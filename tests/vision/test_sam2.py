"""SAM 2 as transformers runs it, with tiny weights made here: the classes, files and calls of the released ones."""

import json
from pathlib import Path

import numpy as np
import pytest

from hoprior.errors import HopriorError
from hoprior.vision.mask_tracking import hand_and_object_prompts, load_tracker
from hoprior.vision.masks import load_segmenter
from hoprior.vision.sam2 import PhotoModel, Prompt, VideoModel

pytest.importorskip("torchvision", reason="the extra segment is not installed")
transformers = pytest.importorskip("transformers", minversion="5.0", reason="the extra segment is not installed")

SIDE = 128
"""Pixels of the square that the tiny network looks at."""
KEYPOINTS = np.random.default_rng(0).uniform(25, 65, (21, 2))
FRAMES = [np.random.default_rng(k).integers(0, 255, (90, 120, 3), dtype=np.uint8) for k in range(4)]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A folder as on the hub: a video model's network of few channels, never trained."""
    folder = tmp_path_factory.mktemp("sam2")
    backbone = transformers.Sam2HieraDetConfig(
        hidden_size=8,
        image_size=[SIDE, SIDE],
        blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=[8, 16, 32, 64],
        num_attention_heads_per_stage=[1, 1, 1, 1],
        window_size_per_stage=[4, 4, 4, 4],
        global_attention_blocks=[3],
        window_positional_embedding_background_size=[4, 4],
    )
    vision = transformers.Sam2VisionConfig(
        backbone_config=backbone,
        backbone_channel_list=[64, 32, 16, 8],
        backbone_feature_sizes=[[32, 32], [16, 16], [8, 8]],
        fpn_hidden_size=128,
    )
    config = transformers.Sam2VideoConfig(
        vision_config=vision,
        prompt_encoder_config={"hidden_size": 128, "image_size": SIDE, "patch_size": 16},
        mask_decoder_config={"hidden_size": 128, "mlp_dim": 32, "num_attention_heads": 2, "iou_head_hidden_dim": 32},
        image_size=SIDE,
        memory_attention_hidden_size=128,
        memory_attention_num_layers=1,
        memory_attention_feed_forward_hidden_size=32,
        memory_attention_num_attention_heads=1,
        memory_attention_rope_feat_sizes=[8, 8],
        memory_encoder_hidden_size=128,
        mask_downsampler_embed_dim=128,
        memory_fuser_embed_dim=128,
        memory_fuser_intermediate_dim=64,
    )
    square = {"height": SIDE, "width": SIDE}
    processor = transformers.Sam2VideoProcessor(
        image_processor=transformers.Sam2ImageProcessor(size=square, mask_size={"height": 32, "width": 32}),
        video_processor=transformers.Sam2VideoVideoProcessor(size=square),
        target_size=SIDE,
    )
    transformers.set_seed(0)
    transformers.Sam2VideoModel(config).save_pretrained(folder)
    processor.save_pretrained(folder)
    return str(folder)


def prompt(x: float, y: float, box: bool = False) -> Prompt:
    points = np.array([[x, y], [100.0, 80.0]])
    return Prompt(points, np.array([1.0, 0.0]), np.array([x - 10, y - 10, x + 10, y + 10]) if box else None)


def test_a_photo_has_several_masks_of_its_size_each_with_a_score(weights: str) -> None:
    masks, scores = PhotoModel(weights, "cpu").masks(FRAMES[0], prompt(30.0, 40.0, box=True))
    assert masks.shape == (3, 90, 120) and masks.dtype == bool and scores.shape == (3,)
    assert 0 < masks.mean() < 1


def test_points_boxes_and_photos_reach_the_network(weights: str) -> None:
    model = PhotoModel(weights, "cpu")

    def scores(photo: int = 0, x: float = 30.0, box: bool = False) -> list[float]:
        return [round(float(s), 6) for s in model.masks(FRAMES[photo], prompt(x, 40.0, box))[1]]

    assert scores() == scores()
    assert len({tuple(s) for s in (scores(), scores(photo=1), scores(x=70.0), scores(box=True))}) == 4


def test_a_segmenter_shows_the_likeliest_mask(weights: str) -> None:
    palm = load_segmenter(weights, "cpu")(FRAMES[0], KEYPOINTS)
    assert palm.shape == (90, 120) and palm.dtype == bool
    with pytest.raises(HopriorError, match="the palm is outside the photo"):
        load_segmenter(weights, "cpu")(FRAMES[0], KEYPOINTS - 500)


@pytest.mark.parametrize("prompted", [0, 1, 3])
def test_things_are_followed_through_all_frames_from_any_of_them(weights: str, prompted: int) -> None:
    hand, held = load_tracker(weights, "cpu")(FRAMES, prompted, hand_and_object_prompts(KEYPOINTS, (120, 90)))
    assert hand.shape == held.shape == (4, 90, 120) and hand.dtype == bool
    again = VideoModel(weights, "cpu").masks(FRAMES, prompted, hand_and_object_prompts(KEYPOINTS, (120, 90)))
    assert (hand == again[0]).all() and (held == again[1]).all()


def test_each_thing_has_its_own_masks(weights: str) -> None:
    """Alone or beside another, a thing is the same; in the other order the masks change places."""
    model, one, two = VideoModel(weights, "cpu"), prompt(30.0, 40.0, box=True), prompt(70.0, 20.0)
    both, swapped = model.masks(FRAMES, 1, [one, two]), model.masks(FRAMES, 1, [two, one])
    assert (both[0] == swapped[1]).all() and (both[1] == swapped[0]).all()
    assert (both[0] == model.masks(FRAMES, 1, [one])[0]).all()


def test_weights_that_are_not_there_or_not_sam_2_s_are_refused(weights: str, tmp_path: Path) -> None:
    with pytest.raises(HopriorError, match=r"--segment: SAM 2's weights '.*nothing' cannot be loaded .* with --mask"):
        load_segmenter(str(tmp_path / "nothing"))
    with pytest.raises(HopriorError, match=r"--hand-masks and --object-masks .* cannot be loaded"):
        load_tracker(str(tmp_path / "nothing"))
    with pytest.raises(HopriorError, match="'nowhere' cannot be used here"):
        PhotoModel(weights, "nowhere")
    for name in ("config.json", "processor_config.json"):
        (tmp_path / name).write_text(Path(weights, name).read_text())
    (tmp_path / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch run'\ntR.")
    with pytest.raises(HopriorError, match="cannot be loaded"):
        PhotoModel(str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(Path(weights, "model.safetensors").read_bytes()[:2000])
    with pytest.raises(HopriorError, match="cannot be loaded"):
        PhotoModel(str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "no such kind"}))
    with pytest.raises(HopriorError, match="cannot be loaded"):
        PhotoModel(str(tmp_path))
