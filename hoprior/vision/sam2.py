"""SAM 2 (Ravi et al. 2024) as transformers carries it: masks of what points and a box show, in a photo or a video.

Weights are named as on the Hugging Face hub ("facebook/sam2.1-hiera-small"; from the hub's cache or a download) or as a
local folder that has `config.json`, `processor_config.json` and `model.safetensors`. Only safetensors are read.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8

from hoprior.common.compute import torch_device
from hoprior.errors import HopriorError

SAM2 = "facebook/sam2.1-hiera-small"
"""The weights that are tried where none are named."""


class Prompt(NamedTuple):
    """What shows SAM 2 a thing in one picture: pixels on it (1) and beside it (0), perhaps a box (x0, y0, x1, y1)."""

    points: Float[np.ndarray, "k 2"]
    labels: Float[np.ndarray, " k"]
    box: Float[np.ndarray, " 4"] | None = None

    def given(self) -> dict[str, Any]:
        """The same as transformers' processors take it: lists by picture and by thing."""
        shown = {
            "input_points": [[self.points.astype(float).tolist()]],
            "input_labels": [[self.labels.astype(int).tolist()]],
        }
        return shown if self.box is None else {**shown, "input_boxes": [[self.box.astype(float).tolist()]]}


class PhotoModel:
    """SAM 2 for single pictures.

    Args:
        name: on the hub, or a folder.
        device: "auto", "cpu", "cuda" ...

    Raises:
        HopriorError: transformers is not installed, or the weights or the device cannot be had.
    """

    def __init__(self, name: str, device: str = "auto") -> None:
        self._processor, self._model, self._device = _load("Sam2Processor", "Sam2Model", name, device)

    @torch.inference_mode()
    def masks(
        self, photo: UInt8[np.ndarray, "h w 3"], prompt: Prompt
    ) -> tuple[Bool[np.ndarray, "n h w"], Float[np.ndarray, " n"]]:
        """What the prompt may mean, part or whole, each with the IoU that the network expects of it."""
        inputs = self._processor(images=photo, return_tensors="pt", **prompt.given()).to(self._device)
        found = self._model(**inputs, multimask_output=True)
        (masks,) = self._processor.post_process_masks(found.pred_masks.cpu(), inputs["original_sizes"].cpu())
        return masks[0].numpy(), found.iou_scores[0, 0].float().cpu().numpy()


class VideoModel:
    """SAM 2 for videos, with its memory of frames before; arguments and errors as for `PhotoModel`."""

    def __init__(self, name: str, device: str = "auto") -> None:
        self._processor, self._model, self._device = _load("Sam2VideoProcessor", "Sam2VideoModel", name, device)

    @torch.inference_mode()
    def masks(
        self, frames: Sequence[UInt8[np.ndarray, "h w 3"]], prompted: int, prompts: Sequence[Prompt]
    ) -> list[Bool[np.ndarray, "n h w"]]:
        """Masks of several things in all frames, followed forwards and backwards from the prompted one."""
        height, width = frames[0].shape[:2]
        masks = np.zeros((len(prompts), len(frames), height, width), dtype=bool)
        session = self._processor.init_video_session(
            video=list(frames), inference_device=self._device, video_storage_device="cpu"
        )
        for thing, prompt in enumerate(prompts):
            self._processor.add_inputs_to_inference_session(
                session, frame_idx=prompted, obj_ids=thing, **prompt.given()
            )
            # Only the things added last count as new, so each is seen before the next is added.
            self._model(session, frame_idx=prompted)
        for reverse in (False, True):
            for seen in self._model.propagate_in_video_iterator(session, start_frame_idx=prompted, reverse=reverse):
                (found,) = self._processor.post_process_masks([seen.pred_masks.cpu()], [[height, width]])
                for thing, mask in zip(seen.object_ids, found[:, 0], strict=True):
                    masks[int(thing), int(seen.frame_idx)] = mask.numpy()
        return list(masks)


def _load(processor: str, model: str, name: str, device: str) -> tuple[Any, Any, torch.device]:
    """Transformers' processor and model of these classes, with the weights of this name, on a device."""
    try:
        import torchvision  # noqa: F401  (the processors resize with it)
        import transformers
    except ImportError as error:
        raise HopriorError("SAM 2 is not installed (pip install 'hoprior[segment]')") from error
    where = torch_device(device)
    before = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity_error()  # weights of a video model serve for photos too: no warning is needed
    try:
        read = getattr(transformers, processor).from_pretrained(name)
        network = getattr(transformers, model).from_pretrained(name, use_safetensors=True)
    except Exception as error:  # the hub, safetensors and configurations each raise their own
        reason = " ".join(str(error).split())[:160]
        raise HopriorError(
            f"SAM 2's weights '{name}' cannot be loaded ({reason}): give a name on the hub, such as {SAM2}, and see"
            " that it can be downloaded, or a folder with config.json, processor_config.json and model.safetensors"
        ) from error
    finally:
        transformers.logging.set_verbosity(before)
    return read, network.to(where).eval().requires_grad_(False), where
