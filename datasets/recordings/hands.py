"""The door through which datasets' hand parameters come in: MANO in every convention, out as one.

Files differ in four ways: finger poses are axis-angle or PCA coefficients; they start at the flat hand or at MANO's
mean pose; the translation is MANO's own or the wrist's place; and some persons have a template of their own.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from os import PathLike
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from hoprior.datasets.samples.sample import Side
from hoprior.errors import HopriorError
from hoprior.geometry.rotations import rigid_registration, rotmat_to_rotvec, rotvec_to_rotmat
from hoprior.geometry.state import rigid
from hoprior.hand import HandModel, HandPose, load_hand
from hoprior.hand.ik import PALM
from hoprior.hand.mano import ManoHand, find_mano

BATCH = 1024
"""Hands that are posed at once."""
FINGERS = 45
"""Numbers of MANO's finger pose; of its principal components a file may have fewer."""
MAX_TEMPLATES = 64
"""Personal hands that are kept in memory at once; GRAB has twenty."""


@dataclass(frozen=True)
class ManoReading:
    """One hand's MANO parameters as a file has them.

    Attributes:
        global_orient: (3,) axis-angle, about the wrist.
        fingers: (45,) axis-angle in MANO's axes, or the first k PCA coefficients if `is_pca`.
        flat_hand_mean: whether zeros are the flat hand; else they are MANO's mean pose.
        transl: (3,) metres, with `origin` "model" added to MANO's own frame (smplx, manopth), with "wrist" the place
            of the wrist (layers that are centred on joint 0).
        v_template: (778, 3) one person's hand at rest, metres, in place of betas; None for the average one.
        scale: size of the recorded hand relative to the model's, about the wrist.
        T_scene_file: rigid motion from the file's frame into the scene: axes that are flipped, a camera.
    """

    side: Side
    global_orient: Float[Tensor, " 3"]
    fingers: Float[Tensor, " k"]
    betas: Float[Tensor, " 10"]
    transl: Float[Tensor, " 3"]
    is_pca: bool = False
    flat_hand_mean: bool = True
    origin: Literal["model", "wrist"] = "model"
    v_template: Float[Tensor, "778 3"] | None = None
    scale: float = 1.0
    T_scene_file: Float[Tensor, "4 4"] = field(default_factory=lambda: torch.eye(4))

    def __post_init__(self) -> None:
        sizes = {"global_orient": 3, "betas": 10, "transl": 3, "fingers": FINGERS}
        for name, size in sizes.items():
            numbers: Tensor = getattr(self, name)
            fewer = name == "fingers" and 0 < numbers.numel() < size  # self_check asks what others would mean
            if numbers.dim() != 1 or (numbers.numel() != size and not fewer):
                raise HopriorError(f"the hand's {name} has {numbers.numel()} values, {size} are expected")
            if not numbers.isfinite().all():
                raise HopriorError(f"the hand's {name} has NaN or infinite values")


class Hands:
    """The hand models that datasets' parameters need, each loaded once, when it is first asked for.

    Args:
        mano_dir: folder of the user's MANO files; without it the environment's HOPRIOR_MANO_DIR. They may be missing:
            datasets that give joints are read without them.
    """

    def __init__(self, mano_dir: str | PathLike[str] | None = None) -> None:
        self.mano_dir = mano_dir
        self._models: dict[tuple[str, str], HandModel] = {}

    def __getstate__(self) -> dict[str, object]:
        # Models are loaded again in another process: MANO is nobody's to send around.
        return {"mano_dir": self.mano_dir, "_models": {}}

    def has_mano(self, side: Side) -> bool:
        """Whether MANO's file of a side is there."""
        try:
            find_mano(side, self.mano_dir)
        except HopriorError:
            return False
        return True

    def open(self, side: Side) -> HandModel:
        """The open hand."""
        return self._model(("open", side), lambda: load_hand("open", side))

    def mano(self, side: Side, v_template: Float[Tensor, "778 3"] | None = None) -> ManoHand:
        """MANO, or one person's.

        Raises:
            HopriorError: MANO's file is missing; says where to get it.
        """
        if v_template is None:
            model = self._model(("mano", side), lambda: ManoHand(side, self.mano_dir))
        else:
            template = v_template.double().numpy()
            name = hashlib.sha256(template.tobytes()).hexdigest()
            model = self._model((name, side), lambda: ManoHand(side, self.mano_dir, template))
        assert isinstance(model, ManoHand)
        return model

    def _model(self, key: tuple[str, str], make: Callable[[], HandModel]) -> HandModel:
        if key not in self._models:
            if len(self._models) >= MAX_TEMPLATES:
                self._models.pop(next(iter(self._models)))
            self._models[key] = make()
        return self._models[key]

    @torch.no_grad()
    def pose(self, reading: ManoReading) -> HandPose:
        """The parameters in the one convention: axis-angle from the flat hand, in the hand frame's axes, in the scene.

        `scale` is not part of a pose: the mesh of this pose has the model's size.

        Raises:
            HopriorError: MANO's file is missing.
        """
        return self._poses([reading])

    @torch.no_grad()
    def joints(self, readings: Sequence[ManoReading]) -> Float[Tensor, "n 21 3"]:
        """MANO's 21 joints of each reading in the scene, metres; readings of one kind together.

        Raises:
            HopriorError: MANO's file is missing.
        """
        kinds: dict[tuple[object, ...], list[int]] = {}
        for i, r in enumerate(readings):
            kind = (r.side, id(r.v_template), r.is_pca, r.flat_hand_mean, r.origin, r.fingers.numel())
            kinds.setdefault(kind, []).append(i)
        out = torch.empty(len(readings), 21, 3)
        parts = [mine[start : start + BATCH] for mine in kinds.values() for start in range(0, len(mine), BATCH)]
        for mine in parts:
            group = [readings[i] for i in mine]
            hand, pose = self.mano(group[0].side, group[0].v_template), self._poses(group)
            joints = hand.joints_only(pose.hand_pose, pose.betas, pose.global_orient, pose.transl)
            scale = torch.tensor([r.scale for r in group])[:, None, None]
            out[mine] = joints[:, :1] + scale * (joints - joints[:, :1])
        return out

    def _poses(self, readings: Sequence[ManoReading]) -> HandPose:
        """Poses of readings that differ in their numbers only."""
        first = readings[0]
        hand = self.mano(first.side, first.v_template)
        fingers, betas, orient, transl = (
            torch.stack([getattr(r, name).float() for r in readings])
            for name in ("fingers", "betas", "global_orient", "transl")
        )
        if first.is_pca:
            fingers = hand.from_pca(fingers, first.flat_hand_mean)
        elif not first.flat_hand_mean:
            fingers = fingers + hand.pca_mean
        pose = hand.from_smplx(fingers, betas, orient, transl)
        if first.origin == "wrist":
            pose = replace(pose, transl=transl)
        return moved_pose(pose, torch.stack([r.T_scene_file.float() for r in readings]))

    def frame(self, side: Side, joints: Float[Tensor, "21 3"], pose: HandPose | None) -> Float[Tensor, "4 4"]:
        """The hand frame in the scene: the pose's, else by laying the open hand's wrist and knuckles on the joints."""
        if pose is not None:
            return pose.T_target_hand[0]
        palm = list(PALM)
        rotation, transl = rigid_registration(self.open(side).joints_template[palm], joints[palm])
        return rigid(rotation, transl)


def moved_pose(pose: HandPose, T_to_from: Float[Tensor, "*b 4 4"]) -> HandPose:
    """Hands of one frame, placed in another, or each in its own; the rest of the pose is as it was."""
    rotation = T_to_from[..., :3, :3] @ rotvec_to_rotmat(pose.global_orient)
    return replace(
        pose,
        global_orient=rotmat_to_rotvec(rotation),
        transl=(T_to_from[..., :3, :3] @ pose.transl[..., None])[..., 0] + T_to_from[..., :3, 3],
    )


def vector(values: object, size: int, name: str) -> Float[Tensor, " k"]:
    """`size` finite numbers from a file, as a float tensor.

    Raises:
        HopriorError: another number of values, or something that is no number.

    Example:
        >>> vector([1, 2, 3], 3, "transl")
        tensor([1., 2., 3.])
    """
    try:
        array = np.asarray(values, dtype=np.float64).reshape(-1)
    except OverflowError as error:
        raise HopriorError(f"'{name}' has numbers larger than any that is stored") from error
    except (TypeError, ValueError) as error:
        raise HopriorError(f"'{name}' holds no numbers") from error
    if array.size != size:
        raise HopriorError(f"'{name}' has {array.size} values, {size} are expected")
    found = torch.from_numpy(array).float()
    if not found.isfinite().all():
        raise HopriorError(f"'{name}' has NaN or infinite values")
    return found
