"""Robot hands that tests make up, as URDF: three fingers of capsule-like boxes, or more; with meshes or without."""

from collections.abc import Sequence
from pathlib import Path

import trimesh

PALM = (0.08, 0.07, 0.02)
BONE = 0.045
FINGERS = {"thumb": (0.0, -0.035, 3.14159265), "index": (-0.025, 0.035, 0.0), "middle": (0.025, 0.035, 0.0)}
"""Where each finger starts on the palm, and how it is turned about the palm's normal."""


def three_fingers(
    folder: Path,
    *,
    names: dict[str, str] | None = None,
    mimic: str = "",
    mesh: str | None = None,
    palm: str | None = None,
    more: str = "",
    fingers: Sequence[str] = tuple(FINGERS),
    head: str = "",
) -> Path:
    """Writes `hand.urdf`: a palm, and fingers of two bones each that bend from straight up towards each other.

    Args:
        names: what fingers are called in links' names, where not as they are.
        mimic: an element for the outer joints: how they follow.
        mesh: a file name for the outer bones' shapes, in metres; written if it is "tip.stl".
        palm: instead of the palm's own shape, XML of one.
        more: elements at the end.
        fingers: which there are.
        head: what stands before the root.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if mesh == "tip.stl":
        trimesh.creation.box((0.016, 0.016, BONE)).export(folder / mesh)
    shape = palm or _shape(f'<box size="{PALM[0]} {PALM[1]} {PALM[2]}"/>', 0.0)
    parts = [f'<link name="palm">{shape}</link>']
    bone = _shape(f'<box size="0.016 0.016 {BONE}"/>', BONE / 2)
    tip = bone if mesh is None else _shape(f'<mesh filename="{mesh}"/>', BONE / 2)
    for finger in fingers:
        x, y, turn = FINGERS[finger]
        called = (names or {}).get(finger, finger)
        follow = mimic.replace("FINGER", called)
        parts += [
            f'<link name="{called}_base">{bone}</link><link name="{called}_outer">{tip}</link>',
            f'<link name="{called}_tip"/>',
            _joint(f"{called}_bend", "palm", f"{called}_base", f"{x} {y} 0.01", turn),
            _joint(f"{called}_curl", f"{called}_base", f"{called}_outer", f"0 0 {BONE}", 0.0, follow),
            f'<joint name="{called}_end" type="fixed"><parent link="{called}_outer"/><child link="{called}_tip"/>'
            f'<origin xyz="0 0 {BONE}"/></joint>',
        ]
    path = folder / "hand.urdf"
    path.write_text(f'{head}<robot name="three">{"".join(parts)}{more}</robot>', encoding="utf-8")
    return path


def _shape(geometry: str, height: float) -> str:
    return f'<collision><origin xyz="0 0 {height}"/><geometry>{geometry}</geometry></collision>'


def _joint(name: str, parent: str, child: str, place: str, turn: float, more: str = "") -> str:
    return (
        f'<joint name="{name}" type="revolute"><parent link="{parent}"/><child link="{child}"/>'
        f'<origin xyz="{place}" rpy="0 0 {turn}"/><axis xyz="1 0 0"/>'
        f'<limit lower="-0.3" upper="1.6" effort="2"/>{more}</joint>'
    )
