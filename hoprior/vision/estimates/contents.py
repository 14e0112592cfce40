"""What an estimator's file says of each hand, under hoprior's names; no code in it is run."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hoprior.common.array_files import array_names, read_arrays
from hoprior.common.reading import interpreting, read_json
from hoprior.errors import HopriorError

ALIASES = {
    "joints": ("xyz", "keypoints_3d", "pred_keypoints_3d", "joints_3d", "joint_3d", "joints", "world_landmarks"),
    "keypoints": ("uv", "keypoints_2d", "pred_keypoints_2d", "joints_2d", "joint_2d", "landmarks"),
    "K": ("K", "cam_K", "intrinsics", "camera_matrix"),
    "confidence": ("confidence", "scores", "visibility"),
    "cam_t": ("cam_t_full", "pred_cam_t_full", "cam_t", "pred_cam_t", "camera_translation"),
    "focal": ("focal_length", "scaled_focal_length"),
    "size": ("img_size", "image_size"),
    "is_right": ("is_right", "right"),
    "side": ("side", "hand_side"),
    "order": ("order",),
    "image": ("image", "img_path"),
    "mask": ("mask",),
    "text": ("text",),
    "occluded": ("occluded",),
    "frame": ("frame", "frame_number"),
    "global_orient": ("global_orient", "pred_mano_params.global_orient"),
    "hand_pose": ("hand_pose", "pred_mano_params.hand_pose"),
    "betas": ("betas", "pred_mano_params.betas"),
    "mirrored_back": ("wilor_preds",),
}
"""Our name of an entry, and the names that files use. WiLoR-mini's predictions are of hands that are mirrored back."""
NESTED = {"wilor_preds": "", "pred_mano_params": "pred_mano_params."}
"""Entries that hold entries of the same hand, and what those are called."""
KNOWN = frozenset(alias for aliases in ALIASES.values() for alias in aliases) | set(NESTED)
PICTURES = (".jpg", ".jpeg", ".png")
DEPTH = 4
"""Of lists and names that hands may lie in."""
WHOLE_FILE = ("order",)
"""Entries that are never listed by hand."""

OF_ALL_HANDS = {"K": 2, "size": 1}
"""Entries that may be listed by hand, and how many axes they have when they are not."""


def hands_in(file: Path) -> list[dict[str, Any]]:
    """The hands of an .npz or .json file, each as entries by our names (`ALIASES`).

    Raises:
        HopriorError: it cannot be read, or holds no hands.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> with TemporaryDirectory() as folder:
        ...     file = Path(folder) / "hands.json"
        ...     _ = file.write_text('[{"side": "left", "uv": [[1, 2]]}]')
        ...     hands_in(file)
        [{'keypoints': [[1, 2]], 'side': 'left'}]
    """
    content = _read_npz(file) if file.suffix.lower() == ".npz" else _read_json(file)
    with interpreting(file, "see docs/refine.md", "not hands as estimators write them"):
        return list(_items(content, file))


def _read_npz(file: Path) -> dict[str, Any]:
    # What else is in the file may be of any size, and of objects.
    known = {alias for aliases in ALIASES.values() for alias in aliases}
    found = read_arrays(file, optional=sorted(known), advice="save it again, as docs/refine.md shows")
    return found or dict.fromkeys(array_names(file))


def _read_json(file: Path) -> Any:
    content = read_json(file, "save it again")
    cameras = file.with_name(file.stem.removesuffix("_xyz") + "_K.json")
    if isinstance(content, list) and file.stem.endswith("_xyz") and cameras.is_file():
        # FreiHAND: training_xyz.json lists joints, training_K.json beside it the cameras.
        return {"xyz": content, "K": read_json(cameras, "save it again")}
    return content


def _items(content: Any, file: Path) -> Iterator[dict[str, Any]]:
    """The hands of a file, each with our names of its entries."""
    if isinstance(content, list) and not any(isinstance(item, Mapping) for item in _flat(content)):
        content = {"xyz": content}
    if not isinstance(content, (Mapping, list)):
        raise HopriorError(f"{file}: holds neither hands nor arrays of hands: see docs/refine.md for what is read")
    leaves = list(_leaves(content, {}, DEPTH))
    # A hand that lacks joints is told of; other things that a file holds are none of ours.
    hands = [one for one in leaves if _is_hand(one) or "keypoints" in _renamed(one)]
    if not any(map(_is_hand, hands)) and not (hands and isinstance(content, list)):
        entries = dict.fromkeys(str(name) for one in leaves for name in one)
        raise HopriorError(
            f"{file}: has neither 3D joints ({', '.join(ALIASES['joints'])}) nor hand_pose; it has"
            f" {', '.join(sorted(entries)[:20]) or 'nothing'}"
        )
    for one in hands:
        entries = _renamed(one)
        try:
            several = list(_each(entries, file)) if _is_hand(one) else [entries]
        except HopriorError:
            if len(hands) == 1:
                raise
            several = [entries]  # what is wrong with it is said where it is posed, and costs that hand alone
        yield from several


def _leaves(content: Any, around: dict[str, Any], depth: int) -> Iterator[dict[str, Any]]:
    """The innermost groups of entries, with what the names and entries that they lie in say of them: people keep
    hands in lists, by their pictures' names, by frames, by sides."""
    if isinstance(content, list):
        for item in content if depth else []:
            yield from _leaves(item, around, depth - 1)
        return
    if not isinstance(content, Mapping):
        return
    inner = {name: value for name, value in content.items() if _holds_names(value) and name not in KNOWN}
    if not inner or _is_hand(content) or not depth:
        yield {**around, **content}
        return
    told = {name: value for name, value in content.items() if name not in inner}
    for name, value in inner.items():
        of_name: dict[str, Any] = {}
        if str(name).lower() in ("left", "right"):
            of_name["side"] = str(name).lower()
        elif Path(str(name)).suffix.lower() in PICTURES:
            of_name["image"] = str(name)
        yield from _leaves(value, {**around, **told, **of_name}, depth - 1)


def _holds_names(value: Any) -> bool:
    return isinstance(value, Mapping) or (isinstance(value, list) and any(isinstance(item, Mapping) for item in value))


def _flat(content: Any) -> Iterator[Any]:
    for item in content:
        if isinstance(item, list):
            yield from _flat(item)
        else:
            yield item


def _is_hand(content: Mapping[str, Any]) -> bool:
    entries = _renamed(content)
    return "joints" in entries or "hand_pose" in entries


def _each(entries: dict[str, Any], file: Path) -> Iterator[dict[str, Any]]:
    """The hands of one group of entries: one, or arrays over hands."""
    main, depth = ("joints", 2) if "joints" in entries else ("hand_pose", 3)
    shape = np.shape(numbers_of(entries[main], main, file))
    in_a_row = shape in ({"joints": ((63,),), "hand_pose": ((45,), (135,))}[main])
    if in_a_row or len(shape) == depth or (main == "hand_pose" and len(shape) == 2 and shape[-1] == 3):
        yield entries
        return
    if len(shape) < depth - (main == "hand_pose") or 0 in shape:
        wanted = "21 x 3, or that for each hand" if main == "joints" else "15 rotations, or those of each hand"
        raise HopriorError(f"{file}: {main} have the shape {tuple(shape)}: give {wanted}")
    for k in range(shape[0]):
        yield {name: _kth(value, k, shape[0], name) for name, value in entries.items()}


def _kth(value: Any, k: int, count: int, name: str) -> Any:
    """What of an entry belongs to hand k of `count`: its row, or all of what is not listed by hand."""
    if name in WHOLE_FILE or isinstance(value, str) or np.ndim(value) == 0:
        return value
    if np.ndim(value) == OF_ALL_HANDS.get(name):
        return value
    return value[k] if len(value) == count else value[0] if len(value) == 1 else value


def _renamed(content: Mapping[str, Any]) -> dict[str, Any]:
    flat = {**content}
    for name, prefix in NESTED.items():
        nested = content.get(name)
        if isinstance(nested, Mapping):
            flat = {**{f"{prefix}{key}": value for key, value in nested.items()}, **flat, name: True}
    found = {}
    for name, aliases in ALIASES.items():
        present = [alias for alias in aliases if flat.get(alias) is not None]
        if present:
            found[name] = flat[present[0]]
    return found


def _points(value: Any) -> Any:
    """Points as lists of numbers where a file has them as x, y and z by name."""
    if isinstance(value, list):
        return [_points(item) for item in value]
    if isinstance(value, Mapping) and {"x", "y"} <= set(value):
        return [value[name] for name in ("x", "y", "z") if name in value]
    return value


def numbers_of(value: Any, what: str, file: Path) -> np.ndarray:
    """An entry as float32; NaN where JSON has null.

    Raises:
        HopriorError: it is no array of numbers.

    Example:
        >>> numbers_of([1, None], "keypoints", Path("hand.json"))
        array([ 1., nan], dtype=float32)
    """
    try:
        # JSON has null for what is missing.
        return (
            np.array(_points(value), dtype=object).astype(np.float32)
            if isinstance(value, list)
            else np.asarray(value, np.float32)
        )
    except (TypeError, ValueError, OverflowError) as error:
        raise HopriorError(f"{file}: {what} are not an array of numbers") from error


def shaped(value: Any, shape: tuple[int, ...], what: str, file: Path) -> np.ndarray:
    """An entry as float32 of a shape (-1: any length), without leading axes of length one; points may stand in a row.

    Raises:
        HopriorError: it has another shape.

    Example:
        >>> shaped([[[1, 2], [3, 4]]], (-1, 2), "keypoints", Path("hand.json"))
        array([[1., 2.],
               [3., 4.]], dtype=float32)
    """
    numbers = numbers_of(value, what, file)
    while numbers.ndim > len(shape) and numbers.shape[0] == 1:
        numbers = numbers[0]
    if numbers.ndim == 1 and len(shape) == 2 and shape[0] > 0 and numbers.size % shape[0] == 0:
        numbers = numbers.reshape(shape[0], -1)
    if numbers.ndim != len(shape) or any(w not in (-1, n) for w, n in zip(shape, numbers.shape, strict=True)):
        wanted = " x ".join("k" if n == -1 else str(n) for n in shape)
        raise HopriorError(f"{file}: {what} have the shape {numbers.shape}: give {wanted}")
    return numbers
