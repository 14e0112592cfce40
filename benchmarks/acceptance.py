"""Would a person accept these grasps? Ten of each of twenty unseen objects, sheets to look at, and a rule that judges.

usage: python benchmarks/acceptance.py OBJECTS --out OUT [--num 10] [--simulate] [--objects mug knife]  search and judge
       python benchmarks/acceptance.py OBJECTS --out OUT --judge                             judge what is in OUT
       python benchmarks/acceptance.py DATA/dexycb_dev --people                              judge people's grasps

OBJECTS is a folder of `benchmarks/unseen_objects.py`. Each object is told by its name ("a red mug"). OUT gets, for each
object, its hands (NAME.npz) and a sheet on which each grasp has its verdict (NAME.png); a JSON of all verdicts; and the
table is printed: the share accepted of all grasps, and of the first three of each object.

The rule. A grasp is accepted if none of these holds (`REASONS`):

mouth     a finger's bone is in a vessel's mouth, or straight above it by less than 3 cm
part      more than a twentieth of the contact is on a part that people keep off: a blade, a spout
little    too little is held: less than 3 % of the skin touches, or fewer than two fingers and no palm opposite to one
back      more than .6 of what touches is the back of the hand and its fingers (of 44 grasps of DexYCB's people none)
through   a finger goes through a wall, or flesh is deeper than 1 cm in the object
below     a thing that stands is held by its underside
hangs     statics leaves more than .7 of its weight unheld (mean over six directions of gravity), as it does of one in
          ten of people's grasps

`--people` judges what people of DexYCB did, the open hand fitted to their joints: a rule that fails people is
no rule. The fit is off by millimetres, so that its depths and walls ("through") say nothing.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from grasps import fitted_to, recorded_beside
from PIL import Image
from rich.console import Console
from rich.table import Table
from unseen_objects import OBJECTS, Unseen

import hoprior
from hoprior.geometry.mesh import ObjectMesh, load_mesh
from hoprior.geometry.repair import simplify
from hoprior.geometry.sdf import SdfGrid, signed_distance
from hoprior.hand import HandModel, load_hand
from hoprior.language.phrases import with_article
from hoprior.metrics.walls import fingers_through
from hoprior.physics.mouths import VesselMouths
from hoprior.physics.posed import FINGER_PARTS, SkinZones, closest_contacts, surface_normals
from hoprior.physics.statics import unheld_weight
from hoprior.rendering.sheet import MAX_FACES, Cell, draw_sheet
from hoprior.results.grasps import OBJECT_GREY, SKIN
from hoprior.tasks.grasp.config import GraspConfig
from hoprior.tasks.grasp.faults import FaultWeights

REASONS = ("mouth", "part", "little", "back", "through", "below", "hangs")
CONTACT = 0.005
"""Distance (m) from the surface up to which skin touches it."""
LEAST_SKIN, PART_SHARE, BACK_SHARE, UNDER_SHARE = 0.03, 0.05, 0.6, 0.25
DORSAL = -0.3
"""Skin looks to the back of the hand where its normal has less than this along the palm's."""
DEEPEST = 0.01
UNDERSIDE = 0.004
"""Height (m) above the table up to which skin is at the underside."""
HANGING = 0.7
"""Of 255 grasps of people's, nine in ten leave less than .68 hanging; half of them more than .29."""


class Judge:
    """Judges hands at one object."""

    def __init__(self, unseen: Unseen, mesh: ObjectMesh) -> None:
        self.unseen = unseen
        self.mesh, self.hand = mesh, load_hand()
        self.skin = SkinZones(self.hand)
        self.sdf = SdfGrid.from_mesh(mesh)
        self.mouths = VesselMouths(self.sdf)
        self.centre = torch.tensor(mesh.solid.centroid, dtype=torch.float32)
        # Of the flat hand, whose palm looks along +z.
        self.dorsal = self.hand.vertex_normals[:, 2].numpy() < DORSAL
        self.groups = finger_groups(self.hand)

    def reasons(self, verts: np.ndarray, joints: np.ndarray) -> list[str]:
        """Why a hand (V, 3), (21, 3) is not accepted; nothing if it is."""
        distance = signed_distance(self.mesh, verts)
        touches = distance < CONTACT
        at = verts[touches]
        inside = self.mouths.fingers_inside(torch.from_numpy(joints).float()[None]).item()
        found: Mapping[str, bool] = {
            "mouth": inside > 0,
            "part": share(self.on_part(at)) > PART_SHARE,
            "little": touches.mean() < LEAST_SKIN or not self.opposed(touches),
            "back": share(self.dorsal[touches]) > BACK_SHARE,
            "through": fingers_through(joints[None], self.mesh.solid)[0] > 0 or distance.min() < -DEEPEST,
            "below": self.unseen.stands and share(at[:, 2] < self.mesh.mesh.bounds[0, 2] + UNDERSIDE) > UNDER_SHARE,
            "hangs": self.hanging(verts, distance) > HANGING,
        }
        return [reason for reason in REASONS if found[reason]]

    def on_part(self, points: np.ndarray) -> np.ndarray:
        """Which points are on the part that is kept off."""
        if self.unseen.keep_off is None:
            return np.zeros(len(points), dtype=bool)
        low, high = (np.array(corner) for corner in self.unseen.keep_off)
        lower, upper = self.mesh.mesh.bounds
        at = (points - lower) / (upper - lower)
        # Skin lies up to `CONTACT` beside the part.
        slack = CONTACT / (upper - lower) * ((low <= 0) | (high >= 1))
        return ((at >= low - slack * (low <= 0)) & (at <= high + slack * (high >= 1))).all(axis=1)

    def opposed(self, touches: np.ndarray) -> bool:
        """Whether at least two of the fingers, the thumb and the palm touch."""
        return sum(bool(touches[ids].any()) for ids in self.groups) >= 2

    def hanging(self, verts: np.ndarray, distance: np.ndarray) -> float:
        """The share of the object's weight that statics leaves hanging."""
        at, gaps = torch.from_numpy(verts).float()[None], torch.from_numpy(distance).float()[None]
        touching, gap = closest_contacts(self.skin.bones, at, gaps)
        held = (gap < CONTACT).float()
        return float(unheld_weight(touching, surface_normals(self.sdf, touching), held, self.centre))


def finger_groups(hand: HandModel) -> list[np.ndarray]:
    """The palmar skin of each finger and of the palm."""
    part = hand.vertex_part[hand.pad_ids]
    fingers = [hand.pad_ids[torch.isin(part, torch.tensor(parts))].numpy() for parts in FINGER_PARTS]
    return [*fingers, hand.palm_ids.numpy()]


def share(flags: np.ndarray) -> float:
    """The share that is true; of nothing, 0."""
    return float(flags.mean()) if len(flags) else 0.0


def search(path: Path, out: Path, num: int, simulate: bool) -> None:
    """Grasps of one object, into OUT/NAME.npz."""
    config = GraspConfig()
    if not simulate:
        config = replace(config, faults=FaultWeights(simulate=False))
    results = hoprior.grasp(path, with_article(path.stem.replace("_", " ")), num, config=config)
    np.savez_compressed(
        out / f"{path.stem}.npz",
        verts=np.stack([g.verts_object for g in results]),
        joints=np.stack([g.joints_object for g in results]),
        T_object_hand=np.stack([g.T_object_hand for g in results]),
    )


def judge(path: Path, out: Path) -> list[list[str]]:
    """The reasons against each grasp of OUT/NAME.npz, and its sheet."""
    mesh = load_mesh(path)
    judging = Judge(OBJECTS[path.stem], mesh)
    with np.load(out / f"{path.stem}.npz") as data:
        verts, joints, placements = data["verts"], data["joints"], data["T_object_hand"]
    verdicts = [judging.reasons(v, j) for v, j in zip(verts.astype(float), joints.astype(float), strict=True)]
    sheet_of(path.stem, mesh, judging.hand, verts, placements, verdicts).save(out / f"{path.stem}.png")
    return verdicts


def judge_people(mesh: Path) -> list[list[str]]:
    """The reasons against each grasp of one object that was recorded beside its mesh."""
    judging, recorded = Judge(Unseen("", ""), load_mesh(mesh)), recorded_beside([mesh])[mesh.stem]
    verts = fitted_to(recorded, judging.hand).verts.double().numpy()
    return [judging.reasons(v, j) for v, j in zip(verts, recorded.astype(float), strict=True)]


def sheet_of(
    name: str,
    mesh: ObjectMesh,
    hand: HandModel,
    verts: np.ndarray,
    placements: np.ndarray,
    verdicts: list[list[str]],
) -> Image.Image:
    """A sheet of the grasps, best first, with the verdicts."""
    shown = simplify(mesh.mesh, MAX_FACES)
    held = (shown.vertices, shown.faces, OBJECT_GREY)
    cells = [
        Cell(
            meshes=[(v, hand.faces.numpy(), SKIN), held],
            rotation=T[:3, :3].astype(float),
            side="right",
            label=" ".join(reasons) or "accepted",
            remark="",
        )
        for v, T, reasons in zip(verts, placements, verdicts, strict=True)
    ]
    return draw_sheet(name, f"{len(cells)} grasps, best first", cells)


def show(verdicts: Mapping[str, list[list[str]]]) -> dict[str, Any]:
    """Print the table; the shares."""
    table = Table("object", "accepted", "of the first three", *REASONS, box=None)
    for name, each in verdicts.items():
        counts = [str(sum(reason in reasons for reasons in each) or "") for reason in REASONS]
        firsts = each[:3]
        table.add_row(name, f"{each.count([])}/{len(each)}", f"{firsts.count([])}/{len(firsts)}", *counts)
    everything = [reasons for each in verdicts.values() for reasons in each]
    first = [reasons for each in verdicts.values() for reasons in each[:3]]
    shares = {"accepted": everything.count([]) / len(everything), "accepted_first_three": first.count([]) / len(first)}
    counts = [str(sum(reason in reasons for reasons in everything)) for reason in REASONS]
    table.add_row("all", f"{shares['accepted']:.2f}", f"{shares['accepted_first_three']:.2f}", *counts)
    Console(width=120).print(table)
    return shares


def main() -> None:
    """Search, judge, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="OBJECTS")
    parser.add_argument("--out", type=Path, help="of all but --people")
    parser.add_argument("--num", type=int, default=10)
    parser.add_argument("--simulate", action="store_true", help="let the ranking simulate, which takes longer")
    parser.add_argument("--judge", action="store_true", help="judge what is in OUT, and search nothing")
    parser.add_argument("--people", action="store_true", help="judge the grasps recorded in OBJECTS/grasps.npz")
    parser.add_argument("--objects", nargs="*", help="only objects whose names hold one of these words")
    args = parser.parse_args()
    if args.people:
        show({mesh.stem: judge_people(mesh) for mesh in sorted(args.folder.glob("*.ply"))})
        return
    if args.out is None:
        parser.error("--out OUT is missing")
    args.out.mkdir(parents=True, exist_ok=True)
    verdicts = {}
    for name in OBJECTS:
        path = args.folder / f"{name}.ply"
        if not path.exists() or (args.objects and not any(word in name for word in args.objects)):
            continue
        if not args.judge:
            search(path, args.out, args.num, args.simulate)
        if (args.out / f"{name}.npz").exists():
            verdicts[name] = judge(path, args.out)
    if not verdicts:
        raise SystemExit(
            f"{args.folder}: no objects of benchmarks/unseen_objects.py, or no grasps of them in {args.out}"
        )
    shares = show(verdicts)
    (args.out / "verdicts.json").write_text(json.dumps({"shares": shares, "reasons": verdicts}, indent=1))


if __name__ == "__main__":
    main()
