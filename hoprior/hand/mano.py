"""MANO (Romero, Tzionas and Black, Embodied Hands, 2017) through smplx, from the user's own licensed file.

Everything outside this module sees the hand frame. `ManoHand.from_smplx` and `to_smplx` convert parameters to and
from those of MANO's own frame, that datasets and other software use.
"""

import logging
import os
from itertools import pairwise
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
import torch
from jaxtyping import Float, Int
from torch import Tensor

from hoprior.common.pickles import safe_load
from hoprior.errors import HopriorError
from hoprior.geometry.rotations import rotmat_to_rotvec, rotvec_to_rotmat
from hoprior.geometry.state import rigid
from hoprior.hand.base import HandModel, HandTemplate, Side, hand_length
from hoprior.hand.frame import anatomical_axes, hand_axes
from hoprior.hand.joint_order import PARENTS
from hoprior.hand.kinematics import bone_matrices, skinned
from hoprior.hand.pose import HandPose, mirror_points, mirror_rotvec

logger = logging.getLogger(__name__)

TIP_IDS = (745, 317, 444, 556, 673)
"""Fingertip vertices (thumb, index, middle, ring, pinky) of both sides; smplx adds none, these are manopth's."""

VERTICES, SHAPES = 778, 10
ENVIRONMENT = "HOPRIOR_MANO_DIR"
SUBFOLDERS = (".", "mano", "models", "models/mano", "mano_v1_2/models")
"""Where people keep the files inside the folder that they name."""

REQUIRED = {
    "v_template": (VERTICES, 3),
    "shapedirs": (VERTICES, 3, None),
    "posedirs": (VERTICES, 3, 135),
    "J_regressor": (16, VERTICES),
    "weights": (VERTICES, 16),
    "kintree_table": (2, 16),
    "f": (None, 3),
    "hands_components": (None, 45),
    "hands_mean": (45,),
}


class SmplxParameters(NamedTuple):
    """What smplx.MANO takes with flat_hand_mean=True and use_pca=False: axis-angle in MANO's own frame, metres."""

    hand_pose: Float[Tensor, "b 45"]
    betas: Float[Tensor, "b 10"]
    global_orient: Float[Tensor, "b 3"]
    transl: Float[Tensor, "b 3"]


class ManoHand(HandModel):
    """MANO in the hand frame: smplx's vertices, turned by the rest pose's own axes, wrist at the origin.

    `layer` is the smplx.MANOLayer itself, whose arrays are turned into the hand frame once; `file` is the pickle that
    it came from. `pca_basis` (rows are components) and `pca_mean` are those of the file's space of finger poses. With
    `v_template` it is one person's hand: its vertices at rest, in the file's frame and metres, stand in place of the
    average ones.
    """

    blends: Tensor
    """Pose blend shapes (135) and shapes (10) in the hand frame: what each adds to the vertices at rest, metres."""
    pca_basis: Tensor
    pca_mean: Tensor

    def __init__(
        self,
        side: Side = "right",
        path: str | PathLike[str] | None = None,
        v_template: Float[np.ndarray, "778 3"] | None = None,
    ) -> None:
        file = find_mano(side, path)
        arrays = read_mano(file, side)
        if v_template is not None:
            arrays = arrays | {"v_template": np.asarray(v_template, dtype=np.float64)}
        self._build(side, arrays, file, file_side=side)

    def _build(
        self,
        side: Side,
        arrays: dict[str, np.ndarray],
        file: Path,
        file_side: Side,
        betas: Float[Tensor, " 10"] | None = None,
    ) -> None:
        layer = _smplx_layer(arrays, side)
        # The frame is the average hand's: poses and shapes of files mean the same, whoever's hand it is.
        axes = hand_axes(layer.J_regressor @ layer.v_template, side)
        if betas is not None and betas.any():
            shaped = layer.v_template + layer.shapedirs[..., :SHAPES] @ betas.to(layer.v_template)
            shaped_arrays = arrays | {"v_template": shaped.double().numpy()}
            average = ManoHand.__new__(ManoHand)
            average._build(side, arrays, file, file_side)
            layer = _smplx_layer(shaped_arrays, side)
        wrist = layer.J_regressor[0] @ layer.v_template
        super().__init__("mano", side, _template(layer, axes, side), rigid(axes, -axes @ wrist))
        if betas is not None and betas.any():
            self.betas, self.pad_ids, self.palm_ids = betas.to(self.v_template), average.pad_ids, average.palm_ids
            self.size = hand_length(self) / hand_length(average)
        self.source, self.source_side = file.name, file_side
        self.file, self._arrays = file, arrays
        self.layer = _without_state(layer)
        blends = torch.cat([_posedirs(layer, axes), self.shapedirs.movedim(2, 0)])
        self.register_buffer("blends", blends, persistent=False)
        self.register_buffer("pca_basis", torch.from_numpy(arrays["hands_components"]).float(), persistent=False)
        self.register_buffer("pca_mean", torch.from_numpy(arrays["hands_mean"]).float(), persistent=False)

    def mirrored(self) -> "ManoHand":
        """The other side's hand from this one's arrays, one person's `v_template` included; needs no other file."""
        other = ManoHand.__new__(ManoHand)
        other._build(self.other_side, mirrored_arrays(self._arrays), self.file, self.source_side, self.betas.cpu())
        return other.to(self.v_template)

    def shaped(self, betas: Float[Tensor, " 10"]) -> "ManoHand":
        """The hand of another shape from this one's arrays, on the same device; needs no other file."""
        other = ManoHand.__new__(ManoHand)
        other._build(self.side, self._arrays, self.file, self.source_side, betas.cpu())
        return other.to(self.v_template)

    @property
    def _axes_hand_model(self) -> Float[Tensor, "3 3"]:
        return self.T_hand_model[:3, :3]

    def skin(
        self, rotations: Float[Tensor, "b 16 3 3"], betas: Float[Tensor, "b 10"] | None
    ) -> tuple[Float[Tensor, "b v 3"], Float[Tensor, "b 16 3"]]:
        """Vertices and rotating joints, metres, wrist at the origin."""
        bones, placed = bone_matrices(rotations, self.joints_rest(betas))
        features = self._bend_features(rotations)
        if betas is not None:
            features = torch.cat([features, betas], dim=1)
        blends = self.blends[: features.shape[1]].flatten(1)
        verts = torch.addmm(self.v_template.flatten(), features, blends).unflatten(1, (-1, 3))
        return skinned(self.weights, bones, verts), placed

    def _bend_features(self, rotations: Float[Tensor, "b 16 3 3"]) -> Float[Tensor, "b 135"]:
        """What MANO's pose blend shapes are weighted by."""
        return (rotations[:, 1:] - torch.eye(3).to(rotations)).flatten(1)

    def tips_rest(
        self, rotations: Float[Tensor, "b 16 3 3"], betas: Float[Tensor, "b 10"] | None
    ) -> Float[Tensor, "#b 5 3"]:
        """The fingertip vertices before skinning, with MANO's pose blend shapes."""
        features = self._bend_features(rotations)
        bent = torch.einsum("bp,pic->bic", features, self.blends[: features.shape[1], self.tip_ids])
        return super().tips_rest(rotations, betas) + bent

    def from_pca(self, coefficients: Float[Tensor, "b k"], flat_hand_mean: bool = False) -> Float[Tensor, "b 45"]:
        """Axis-angle from the flat hand, in MANO's own axes, of the first k coefficients of its space of poses.

        Args:
            flat_hand_mean: whether the coefficients start at the flat hand instead of the space's mean.
        """
        offset = coefficients @ self.pca_basis[: coefficients.shape[1]]
        return offset if flat_hand_mean else offset + self.pca_mean

    def from_smplx(
        self,
        hand_pose: Float[Tensor, "b 45"],
        betas: Float[Tensor, "b 10"] | None = None,
        global_orient: Float[Tensor, "b 3"] | None = None,
        transl: Float[Tensor, "b 3"] | None = None,
    ) -> HandPose:
        """The pose whose mesh is smplx.MANO's for these parameters (flat_hand_mean=True, no PCA), in their frame.

        MANO turns about its own wrist, which is off its origin, so translations differ by where that wrist is.
        """
        zeros = hand_pose.new_zeros(len(hand_pose), 3)
        betas = (hand_pose.new_zeros(len(hand_pose), SHAPES) if betas is None else betas) - self.betas
        global_orient = zeros if global_orient is None else global_orient
        transl = zeros if transl is None else transl
        axes = self._axes_hand_model
        return HandPose(
            hand_pose=hand_pose.unflatten(1, (15, 3)) @ axes.mT,
            betas=betas,
            global_orient=rotmat_to_rotvec(rotvec_to_rotmat(global_orient) @ axes.mT),
            transl=transl + self._wrist_model(betas),
        )

    def to_smplx(self, pose: HandPose) -> SmplxParameters:
        """The parameters with which smplx.MANO puts its mesh where this pose does; the inverse of `from_smplx`."""
        axes = self._axes_hand_model
        return SmplxParameters(
            hand_pose=(pose.hand_pose @ axes).flatten(1),
            betas=pose.betas + self.betas,
            global_orient=rotmat_to_rotvec(rotvec_to_rotmat(pose.global_orient) @ axes),
            transl=pose.transl - self._wrist_model(pose.betas),
        )

    def _wrist_model(self, betas: Float[Tensor, "b 10"]) -> Float[Tensor, "b 3"]:
        layer = self.layer
        shaped = layer.v_template + torch.einsum("vcs,bs->bvc", layer.shapedirs, betas)
        return layer.J_regressor[0] @ shaped


def load_mano(side: Side, path: str | PathLike[str] | None = None) -> ManoHand:
    """A side's hand from its own file; where there is only the other side's, the mirror image of that.

    Raises:
        HopriorError: no file of either side; or a file, given as such, that is the other side's or no MANO model.
    """
    other: Side = "left" if side == "right" else "right"
    where = path if path is not None else os.environ.get(ENVIRONMENT)
    if where and _in_folder(Path(where), side) is None and _in_folder(Path(where), other) is not None:
        hand = ManoHand(other, path).mirrored()
        logger.info("MANO's %s hand is %s: there is no file of its own", side, hand.origin())
        return hand
    return ManoHand(side, path)


def find_mano(side: Side, path: str | PathLike[str] | None = None) -> Path:
    """The user's MANO_RIGHT.pkl or MANO_LEFT.pkl: `path` itself, or in the folder `path`, or in HOPRIOR_MANO_DIR.

    Raises:
        HopriorError: no such file; says where to get it. Or a file of the other side.
    """
    name = _file_name(side)
    where = path if path is not None else os.environ.get(ENVIRONMENT)
    advice = f"get it from https://mano.is.tue.mpg.de (free registration) and put its folder into {ENVIRONMENT}"
    if not where:
        raise HopriorError(f"the MANO hand needs your own {name}: {advice}, or use the open hand")
    where = Path(where)
    if where.is_file():
        other = "left" if side == "right" else "right"
        if other in where.stem.lower() and side not in where.stem.lower():
            raise HopriorError(f"{where}: is MANO's {other} hand, and the {side} one is wanted: give {name}")
        return where
    found = _in_folder(where, side)
    if found is None:
        raise HopriorError(f"{where / name}: no such file: {advice}, or use the open hand")
    return found


def _file_name(side: Side) -> str:
    return f"MANO_{side.upper()}.pkl"


def _in_folder(where: Path, side: Side) -> Path | None:
    """A side's file somewhere in the folder that people name; None if there is none."""
    places = (where / folder / _file_name(side) for folder in SUBFOLDERS)
    return next((place for place in places if place.is_file()), None)


def read_mano(file: Path, side: Side) -> dict[str, np.ndarray]:
    """MANO's arrays from its pickle, dense, checked, with the left hand's shapes put right.

    Raises:
        HopriorError: the file is no MANO model.
    """
    content = safe_load(file)
    if not isinstance(content, dict):
        raise HopriorError(f"{file}: holds a {type(content).__name__}, no MANO model: give the original file")
    arrays = {}
    for key, shape in REQUIRED.items():
        value: Any = content.get(key)
        array: Any = value if scipy.sparse.issparse(value) else np.asarray(value)
        # Looked at before it is made dense: a sparse one of a few bytes may have any shape.
        fits = len(array.shape) == len(shape) and all(s in (None, n) for s, n in zip(shape, array.shape, strict=True))
        if not fits or array.dtype.kind not in "fiu":
            found = "missing" if value is None else f"{array.dtype} of shape {array.shape}"
            raise HopriorError(f"{file}: '{key}' is {found}, MANO has numbers of shape {shape}: give the original file")
        arrays[key] = array.toarray() if scipy.sparse.issparse(array) else array
    if tuple(arrays["kintree_table"][0, 1:].astype(int)) != PARENTS[1:] or arrays["shapedirs"].shape[2] < SHAPES:
        raise HopriorError(f"{file}: its joints or shapes are not those of MANO: give the original file")
    if side == "left" and _shapes_are_mirrored(arrays):
        arrays["shapedirs"] = arrays["shapedirs"] * np.array([-1.0, 1.0, 1.0])[:, None]
    return arrays


def mirrored_arrays(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """MANO's arrays of the other hand, in the mirror x -> -x of their own frame, in which the published hands are."""
    flip = np.array([-1.0, 1.0, 1.0])
    # Rotations in the mirror have entries i, j times flip[i] flip[j]; axis-angles are pseudo-vectors.
    features = np.tile(np.outer(flip, flip).ravel(), 15)
    rotvec = np.tile(-flip, 15)
    return arrays | {
        "v_template": arrays["v_template"] * flip,
        "shapedirs": arrays["shapedirs"] * flip[:, None],
        "posedirs": arrays["posedirs"] * flip[:, None] * features,
        "f": arrays["f"][:, ::-1].copy(),
        "hands_components": arrays["hands_components"] * rotvec,
        "hands_mean": arrays["hands_mean"] * rotvec,
    }


def _shapes_are_mirrored(arrays: dict[str, np.ndarray]) -> bool:
    """Whether the shapes' first column has the wrong sign, as it has in the published left hand.

    MANO's first shape is the size of the hand, so along every axis it stretches away from the centre or shrinks
    towards it alike. In the published left hand it does one along x and the other along z.
    """
    centred = arrays["v_template"] - arrays["v_template"].mean(axis=0)
    stretch = (centred * arrays["shapedirs"][:, :, 0]).sum(axis=0)
    return bool(stretch[0] * stretch[2] < 0)


def _smplx_layer(arrays: dict[str, np.ndarray], side: Side) -> Any:
    # smplx takes a second to import, only this hand needs it, and its licence is for research alone.
    try:
        import smplx
        from smplx.utils import Struct
    except ImportError as error:
        raise HopriorError(
            f"hand 'mano': needs smplx, whose licence allows research and no commerce ({error}):"
            " pip install 'hoprior[mano]', or use the open hand (--hand open), which anyone may use"
        ) from error

    class Layer(smplx.MANOLayer):
        # Keeps smplx from printing a warning that MANO has ten shapes and not three hundred.
        SHAPE_SPACE_DIM = SHAPES

    return Layer("", data_struct=Struct(**arrays), is_rhand=side == "right", use_pca=False, flat_hand_mean=True)


def _without_state(layer: Any) -> Any:
    """The layer, whose arrays move with the hand but stay out of every `state_dict`: their licence forbids copies.

    smplx registers them as buffers that travel along, and an empty pose as a parameter.
    """
    for module in layer.modules():
        for name, value in [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]:
            delattr(module, name)
            module.register_buffer(name, value.detach(), persistent=False)
    return layer


def _template(layer: Any, axes: Float[Tensor, "3 3"], side: Side) -> HandTemplate:
    """The layer's arrays in the hand frame."""
    joints_model = layer.J_regressor @ layer.v_template
    verts = (layer.v_template - joints_model[0]) @ axes.mT
    joints = (joints_model - joints_model[0]) @ axes.mT
    joint_shapedirs_model = torch.einsum("jv,vcs->jcs", layer.J_regressor, layer.shapedirs)
    # A shape moves MANO's wrist; in the hand frame the wrist stays and the hand moves.
    wrist_shapedirs = joint_shapedirs_model[:1]
    points = torch.cat([joints, verts[list(TIP_IDS)]])
    right = points if side == "right" else mirror_points(points)
    right_axes = anatomical_axes(right)
    return HandTemplate(
        v_template=verts,
        faces=close_wrist(layer.faces_tensor),
        weights=layer.lbs_weights,
        joints=joints,
        shapedirs=axes @ (layer.shapedirs - wrist_shapedirs),
        joint_shapedirs=axes @ (joint_shapedirs_model - wrist_shapedirs),
        tip_ids=torch.tensor(TIP_IDS),
        axes=right_axes if side == "right" else mirror_rotvec(right_axes),
    )


def _posedirs(layer: Any, axes: Float[Tensor, "3 3"]) -> Float[Tensor, "135 v 3"]:
    """The layer's pose blend shapes for rotations in the hand frame's axes, in these: f' = A f Aᵀ, d' = A d."""
    dirs = layer.posedirs.reshape(15, 3, 3, VERTICES, 3)
    return torch.einsum("ik,jl,nklvc,dc->nijvd", axes, axes, dirs, axes).flatten(0, 2).contiguous()


def close_wrist(faces: Int[Tensor, "f 3"]) -> Int[Tensor, "g 3"]:
    """Faces with the one hole of a mesh closed by a fan of triangles; the same faces if it has no hole, or several.

    MANO ends in an open ring at the wrist, and what is inside of an open mesh is not defined.

    Example:
        >>> tetrahedron = torch.tensor([[0, 1, 2], [0, 3, 1], [1, 3, 2]])  # without its fourth side
        >>> close_wrist(tetrahedron)[3:]
        tensor([[0, 2, 3]])
    """
    edges = {(a, b) for face in faces.tolist() for a, b in zip(face, face[1:] + face[:1], strict=True)}
    following = {a: b for a, b in edges if (b, a) not in edges}
    if not following:
        return faces
    ring = [min(following)]
    while following.get(ring[-1]) not in (None, ring[0]) and len(ring) <= len(following):
        ring.append(following[ring[-1]])
    if len(ring) != len(following):
        return faces
    fan = [[ring[0], after, before] for before, after in pairwise(ring[1:])]
    return torch.cat([faces, faces.new_tensor(fan)])
