"""Whether a dataset's numbers mean what they are taken for: units, side, PCA, rotations; and what is wrong if not.

Each test measures the samples as they are, and where that is not what hands do, measures them again under each mistake
that people make. The mistake that explains the numbers is named.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
import trimesh
from jaxtyping import Float
from torch import Tensor

from hoprior.datasets.recordings.files import is_file
from hoprior.datasets.recordings.hands import Hands, ManoReading
from hoprior.datasets.recordings.record import RecordedObject, RecordedSample, joints_of
from hoprior.datasets.samples.sample import Side
from hoprior.errors import HopriorError
from hoprior.geometry.repair import simplify
from hoprior.geometry.sdf import signed_distance
from hoprior.geometry.state import rigid, transform_points
from hoprior.geometry.units import length_text
from hoprior.hand.joint_order import TIPS
from hoprior.metrics.joint_faults import (
    BETTER,
    ODD_BONES,
    SIZE_RANGE,
    UNITS,
    average_bones,
    order_fault,
    palm_side,
    unit_fault,
)

MODEL_DISTANCE = 0.012
"""Metres that a dataset's joints may be away from those of its parameters, on average."""
LIMIT_EXCESS = 0.35
"""Radians, summed over a hand's 45 angles, beyond the joint limits: fits of MANO go over them a little."""
FLESH = 0.008
"""Metres from a fingertip's joint to what it touches."""
NEAR = 0.005
"""Metres by which the three nearest fingertips of a grasp miss `FLESH`, on average, where nothing is wrong; above it
mistakes are looked for."""
GRASPS_SHARE = 0.6
"""Share of a recording's frames that are taken to be grasps, where not all are: those that fit best."""
FAR = 0.06
"""Metres beyond which no grasp explains the distance of fingertips."""
MAX_FACES = 4000


@dataclass(frozen=True)
class Measure:
    """One thing that was measured: its value, what it should be, and what is suspected where it is not."""

    name: str
    value: float
    unit: str
    expected: str
    good: bool
    suspect: str = ""


@dataclass(frozen=True)
class SelfCheck:
    """What was measured on how many samples."""

    samples: int
    measures: list[Measure] = field(default_factory=list)

    @property
    def suspects(self) -> list[str]:
        """Everything that looks wrong, a clause each."""
        return [m.suspect for m in self.measures if not m.good]


def self_check(samples: Sequence[RecordedSample], grasps_only: bool = False) -> SelfCheck:
    """Measures samples of one dataset, best some dozens from all over it.

    Args:
        grasps_only: whether every sample is a grasp; else a third of them are taken to be.
    """
    if not samples:
        return SelfCheck(0)
    joints = joints_of(samples)
    bones, size = _bones(joints, samples[0].hands), _size(joints, samples[0].hands)
    # Joints in another order have neither a size nor a side.
    measures = [bones, size] if bones.good else [bones]
    if bones.good and size.good:
        measures.append(_side(joints, [s.side for s in samples]))
    measures += _model(samples)
    measures += _objects(samples, grasps_only)
    return SelfCheck(len(samples), measures)


def _size(joints: Float[Tensor, "n 21 3"], hands: Hands) -> Measure:
    ratio, suspect = unit_fault(joints, average_bones(hands.open("right")))
    return Measure("hand size", ratio, "x", "{:g} to {:g}".format(*SIZE_RANGE), not suspect, suspect)


def _bones(joints: Float[Tensor, "n 21 3"], hands: Hands) -> Measure:
    share, suspect = order_fault(joints, average_bones(hands.open("right")), said="MANO")
    return Measure("bones of odd length", share, "", f"at most {ODD_BONES:g}", not suspect, suspect)


def _side(joints: Float[Tensor, "n 21 3"], sides: Sequence[Side]) -> Measure:
    sign = torch.tensor([1.0 if side == "right" else -1.0 for side in sides])
    bends = palm_side(joints) * sign
    value = float((bends > -0.05).float().mean())
    suspect = ""
    if value < 0.5:
        named = max(set(sides), key=list(sides).count)
        other = "left" if named == "right" else "right"
        suspect = f"side: {1 - value:.0%} of the hands bend as {other} hands do, though they are called {named}"
    return Measure("fingers bend to the palm", value, "", "at least 0.5", not suspect, suspect)


Reread = Callable[[ManoReading], ManoReading]


def _other_side(reading: ManoReading) -> ManoReading:
    return replace(reading, side="left" if reading.side == "right" else "right")


def _turned_pca(reading: ManoReading) -> ManoReading:
    return replace(reading, is_pca=not reading.is_pca)


def _turned_mean(reading: ManoReading) -> ManoReading:
    return replace(reading, flat_hand_mean=not reading.flat_hand_mean)


def _both(reading: ManoReading) -> ManoReading:
    return _turned_mean(_turned_pca(reading))


FINGER_MISTAKES: dict[str, Reread] = {
    "PCA: the finger pose is {pca}, and is taken for {not_pca}": _turned_pca,
    "mean pose: finger poses start at {mean}, not at {not_mean}": _turned_mean,
    "PCA and mean pose: the finger pose is {pca} from {mean}": _both,
    "side: the parameters are those of the {other} hand": _other_side,
}
PLACE_MISTAKES: dict[str, Reread] = {
    "rotation: the hand's global rotation is transposed": lambda r: replace(r, global_orient=-r.global_orient),
    "translation: it is where {origin} goes": lambda r: replace(r, origin="wrist" if r.origin == "model" else "model"),
    "unit: the hand's translation is in millimetres": lambda r: replace(r, transl=r.transl / 1000),
    "unit: the hand's translation is in centimetres": lambda r: replace(r, transl=r.transl / 100),
    "axes: OpenGL's and OpenCV's are mixed up": lambda r: replace(
        r, T_scene_file=torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0])) @ r.T_scene_file
    ),
}


def _words(reading: ManoReading) -> dict[str, str]:
    kinds, means = ("axis-angle", "PCA coefficients"), ("MANO's mean pose", "the flat hand")
    return {
        "pca": kinds[not reading.is_pca],
        "not_pca": kinds[reading.is_pca],
        "mean": means[not reading.flat_hand_mean],
        "not_mean": means[reading.flat_hand_mean],
        "other": "left" if reading.side == "right" else "right",
        "origin": "the wrist" if reading.origin == "model" else "MANO's own origin",
    }


def _model(samples: Sequence[RecordedSample]) -> list[Measure]:
    """Parameters against the file's joints; without such joints, against what joints of hands can do."""
    usable = [s for s in samples if s.reading is not None and s.hands.has_mano(s.reading.side)]
    readings = [s.reading for s in usable if s.reading is not None]
    if not usable:
        return []
    hands = usable[0].hands
    given = [s.joints_given for s in usable if s.joints_given is not None]
    if len(given) == len(usable):
        targets = torch.stack(given)

        def miss(reread: Reread) -> float:
            fitted = hands.joints([reread(reading) for reading in readings])
            return float((fitted - targets).norm(dim=-1).mean(1).median())

        return [_explained("joints to MANO's", miss, MODEL_DISTANCE, 100.0, "cm", readings[0], hands, PLACE_MISTAKES)]

    def excess(reread: Reread) -> float:
        beyond = []
        for reading in map(reread, readings):
            hand, pose = hands.mano(reading.side, reading.v_template), hands.pose(reading)
            angles = hand.pose_to_angles(pose.hand_pose)
            beyond.append((torch.relu(hand.angle_low - angles) + torch.relu(angles - hand.angle_high)).sum())
        return float(torch.stack(beyond).median())

    return [_explained("angles beyond limits", excess, 45 * LIMIT_EXCESS / 10, 1.0, "rad", readings[0], hands, {})]


def _explained(
    name: str,
    error_of: Callable[[Reread], float],
    limit: float,
    shown: float,
    unit: str,
    reading: ManoReading,
    hands: Hands,
    more: dict[str, Reread],
) -> Measure:
    error = error_of(lambda r: r)
    suspect = ""
    if error > limit:
        suspect = f"the hand's parameters do not give what they should ({name}: {shown * error:.1f} {unit})"
        found = {text: error_of(reread) for text, reread in _possible({**FINGER_MISTAKES, **more}, reading, hands)}
        best = min(found, key=lambda text: found[text])
        if found[best] < BETTER * error:
            suspect = f"{best} ({name}: {shown * error:.1f} {unit}, else {shown * found[best]:.1f})"
    return Measure(name, shown * error, unit, f"at most {shown * limit:.2g}", not suspect, suspect)


def _possible(mistakes: dict[str, Reread], reading: ManoReading, hands: Hands) -> list[tuple[str, Reread]]:
    """The mistakes that can have been made with such readings, in words of theirs."""
    found = []
    for text, reread in mistakes.items():
        other = reread(reading)
        if other.side != reading.side and (reading.v_template is not None or not hands.has_mano(other.side)):
            continue
        # Axis-angle are always 45.
        if not other.is_pca and other.fingers.numel() != 45:
            continue
        found.append((text.format(**_words(reading)), reread))
    return found


Replace = Callable[[Float[Tensor, "4 4"]], Float[Tensor, "4 4"]]


def _transposed(T: Float[Tensor, "4 4"]) -> Float[Tensor, "4 4"]:
    return rigid(T[:3, :3].mT, T[:3, 3])


def _scaled_translation(factor: float) -> Replace:
    return lambda T: rigid(T[:3, :3], T[:3, 3] * factor)


OBJECT_MISTAKES: dict[str, Replace] = {
    "rotation: the object's rotation is transposed": _transposed,
    "transform: the object's pose is inverted": lambda T: torch.linalg.inv(T),
    "unit: the object's translation is in millimetres": _scaled_translation(0.001),
    "unit: the object's translation is in centimetres": _scaled_translation(0.01),
    "unit: the object's translation was divided by 1000 once too often": _scaled_translation(1000.0),
    "axes: OpenGL's and OpenCV's are mixed up in the object's pose": lambda T: (
        torch.diag(torch.tensor([1.0, -1.0, -1.0, 1.0])) @ T
    ),
}


def _objects(samples: Sequence[RecordedSample], grasps_only: bool) -> list[Measure]:
    """How well the fingertips of grasps lie on the object."""
    held = [s for s in samples if s.object is not None and s.in_contact is not False]
    held = [s for s in held if s.object is not None and is_file(s.object.path)]
    if not held:
        return []
    surfaces: dict[str, trimesh.Trimesh] = {}
    for sample in held:
        if sample.object is not None and sample.object.info.key not in surfaces:
            # A damaged mesh is reported where meshes are counted.
            with contextlib.suppress(HopriorError):
                surfaces[sample.object.info.key] = _thinned(sample.object)
    usable = [s for s in held if s.object is not None and s.object.info.key in surfaces]
    if not usable:
        return []
    measures = []
    sizes = [float(mesh.extents.max()) for mesh in surfaces.values()]
    size = float(torch.tensor(sizes).median())
    suspect = ""
    if not 0.01 <= size <= 1.2:
        unit = next((name for factor, name in UNITS.items() if 0.02 <= size / factor <= 0.6), "")
        suspect = f"unit: the objects' meshes are in {unit}, not metres" if unit else "unit: of the objects' meshes"
        suspect += f" (the usual one measures {length_text(size)})"
    measures.append(Measure("object size", 100 * size, "cm", "1 to 120", not suspect, suspect))
    all_touch = grasps_only or all(sample.in_contact for sample in usable)
    measures.append(_fingertips(usable, surfaces, 1.0 if all_touch else GRASPS_SHARE))
    return measures


def _fingertips(samples: Sequence[RecordedSample], surfaces: dict[str, trimesh.Trimesh], share: float) -> Measure:
    """Fingertips against surfaces; the hand's parameters are doubted too where nothing else tells of them."""

    given = joints_of(samples)

    def miss(change: Replace, reread: Reread | None = None) -> float:
        joints = list(given)
        if reread is not None:
            readings = [reread(s.reading) for s in samples if s.reading is not None]
            joints = list(samples[0].hands.joints(readings))
        return _tip_miss(samples, joints, surfaces, change, share)

    error = miss(lambda T: T)
    suspect = ""
    if error > NEAR:
        found = {text: miss(change) for text, change in OBJECT_MISTAKES.items()}
        reading = samples[0].reading
        if all(s.reading is not None and s.joints_given is None for s in samples) and reading is not None:
            possible = _possible({**FINGER_MISTAKES, **PLACE_MISTAKES}, reading, samples[0].hands)
            found.update({text: miss(lambda T: T, reread) for text, reread in possible})
        best = min(found, key=lambda text: found[text])
        if found[best] < min(BETTER * error, NEAR):
            suspect = (
                f"{best} (fingertips miss the surface by {length_text(error)}, else by {length_text(found[best])})"
            )
        elif error > FAR:
            suspect = (
                f"hand and object are apart (fingertips miss the surface by {length_text(error)} in frames that should "
                "be grasps): a frame, a unit or the object's mesh is another than it should be"
            )
    expected = f"at most {100 * NEAR:g} (certainly wrong from {100 * FAR:g})"
    return Measure("fingertips to object", 100 * error, "cm", expected, not suspect, suspect)


def _thinned(thing: RecordedObject) -> trimesh.Trimesh:
    """An object's surface with at most `MAX_FACES` faces."""
    surface = thing.surface()
    return simplify(surface, MAX_FACES) if len(surface.faces) > MAX_FACES else surface


def _tip_miss(
    samples: Sequence[RecordedSample],
    joints: Sequence[Float[Tensor, "21 3"]],
    surfaces: dict[str, trimesh.Trimesh],
    change: Replace,
    share: float,
) -> float:
    """How far the three nearest fingertips are from lying on the surface, over the best `share` of samples (m)."""
    misses = []
    for key, surface in surfaces.items():
        mine = [i for i, s in enumerate(samples) if s.object is not None and s.object.info.key == key]
        tips = torch.stack(
            [transform_points(torch.linalg.inv(change(samples[i].T_scene_object)), joints[i][TIPS]) for i in mine]
        )
        distance = torch.from_numpy(signed_distance(surface, tips.double().numpy().reshape(-1, 3))).view(-1, 5)
        off = (distance - FLESH).abs()
        misses.append(off.sort(dim=1).values[:, :3].mean(1))
    ranked = torch.cat(misses).sort().values
    return float(ranked[: max(1, round(share * len(ranked)))].mean())
