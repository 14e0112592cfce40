"""Files as people have them, through the real commands: the table of docs/files_tried.md.

usage: python benchmarks/files_tried.py [--inputs DIR] [--photo FILE] [--only WORD]

Each case is made here, or taken from DIR, given to `hoprior` as a user would, and held against what is right: what is
refused, and with which words; or how long the object comes out (cm), and which note is given. Searches are cut short
(one grasp, no prior), since what is asked is whether the file is read right.
"""

import argparse
import contextlib
import io
import json
import re
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trimesh
from PIL import Image

from hoprior.cli import main as hoprior
from hoprior.geometry.camera import intrinsics, project
from hoprior.hand import load_hand, reorder_joints

QUICK = [
    *("--num", "1", "--prior", "none", "--simulate", "false", "--config.pool", "32", "--config.spare", "0"),
    *("--config.local_search.iterations", "0", "--config.guiding.steps", "1", "--config.refining.steps", "1"),
]
SIDES = np.array([0.06, 0.08, 0.12])
"""Of the box that most cases hold, metres."""


@dataclass(frozen=True)
class Case:
    """One file: the numbers of the log's cases that it is of, what it is, the command, and what is right.

    Attributes:
        command: words of the command line, with the file's name in them; made in a folder of its own.
        refused: what the refusing sentence has to say, or None where the file has to be read.
        length: of the object's longest side in the result, cm; None to leave it out.
        noted: what a note has to say.
    """

    number: str
    name: str
    command: Callable[[Path], list[str]]
    refused: str | None = None
    length: float | None = 12.0
    noted: str | None = None
    volume: float | None = None


def box(scale: float = 1.0, centre: Any = (0.0, 0.0, 0.06)) -> trimesh.Trimesh:
    mesh = trimesh.creation.box(SIDES * scale)
    mesh.apply_translation(np.array(centre) * scale)
    return mesh


def exported(name: str, mesh: trimesh.Trimesh | trimesh.Scene, *more: str) -> Callable[[Path], list[str]]:
    def command(folder: Path) -> list[str]:
        mesh.export(folder / name)
        return grasp(folder / name, *more)

    return command


def written(name: str, content: str | bytes, *more: str) -> Callable[[Path], list[str]]:
    def command(folder: Path) -> list[str]:
        path = folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return grasp(path, *more)

    return command


def grasp(path: Path, *more: str) -> list[str]:
    return ["run", "grasp", "--mesh", str(path), *QUICK, *more]


def refine(name: str, content: Any) -> Callable[[Path], list[str]]:
    def command(folder: Path) -> list[str]:
        if name.endswith(".npz"):
            np.savez(folder / name, **content)
        else:
            (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))
        return ["run", "refine", "--pose", str(folder / name)]

    return command


def photo(name: str, source: Path | None, **options: Any) -> Callable[[Path], list[str]]:
    def command(folder: Path) -> list[str]:
        image = Image.open(source).convert("RGB") if source else Image.new("RGB", (320, 240), "grey")
        image.save(folder / "a", **options) if options.get("format") else image.save(folder / name)
        (folder / "a").rename(folder / name) if options.get("format") else None
        return ["run", "refine", "--image", str(folder / name)]

    return command


def gltf(folder: Path, uri: str, file: str | None, **more: Any) -> list[str]:
    mesh = box()
    verts, faces = mesh.vertices.astype("<f4").tobytes(), mesh.faces.astype("<u2").tobytes()
    tree = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": len(mesh.vertices), "type": "VEC3"},
            {"bufferView": 1, "componentType": 5123, "count": mesh.faces.size, "type": "SCALAR"},
        ],
        "bufferViews": [
            {"buffer": 0, "byteLength": len(verts)},
            {"buffer": 0, "byteOffset": len(verts), "byteLength": len(faces)},
        ],
        "buffers": [{"byteLength": len(verts + faces), "uri": uri}],
        **more,
    }
    if file is not None:
        (folder / file).write_bytes(verts + faces)
    (folder / "box.gltf").write_text(json.dumps(tree))
    return grasp(folder / "box.gltf")


def collada(unit: str) -> str:
    mesh = box(1 / float(re.search(r'meter="([^"]+)"', unit)[1]) if unit else 1.0)  # type: ignore[index]
    numbers = " ".join(f"{x:.9g}" for x in mesh.vertices.reshape(-1))
    corners = " ".join(map(str, mesh.faces.reshape(-1)))
    axes = "".join(f'<param name="{name}" type="float"/>' for name in "XYZ")
    return (
        '<?xml version="1.0"?><COLLADA xmlns="http://www.collada.org/2005/11/COLLADASchema" version="1.4.1"><asset>'
        f"{unit}<up_axis>Z_UP</up_axis></asset><library_geometries><geometry id='g'><mesh><source id='p'>"
        f"<float_array id='pa' count='{mesh.vertices.size}'>{numbers}</float_array><technique_common>"
        f"<accessor source='#pa' count='{len(mesh.vertices)}' stride='3'>{axes}</accessor></technique_common></source>"
        "<vertices id='v'><input semantic='POSITION' source='#p'/></vertices>"
        f"<triangles count='{len(mesh.faces)}'><input semantic='VERTEX' source='#v' offset='0'/><p>{corners}</p>"
        "</triangles></mesh></geometry></library_geometries><library_visual_scenes><visual_scene id='s'><node id='n'>"
        "<instance_geometry url='#g'/></node></visual_scene></library_visual_scenes><scene>"
        "<instance_visual_scene url='#s'/></scene></COLLADA>"
    )


def three_mf(folder: Path) -> list[str]:
    mesh = box(1 / 0.0254)
    verts = "".join(f'<vertex x="{x:.9g}" y="{y:.9g}" z="{z:.9g}"/>' for x, y, z in mesh.vertices)
    faces = "".join(f'<triangle v1="{a}" v2="{b}" v3="{c}"/>' for a, b, c in mesh.faces)
    with zipfile.ZipFile(folder / "box.3mf", "w") as archive:
        archive.writestr(
            "3D/3dmodel.model",
            '<?xml version="1.0"?><model unit="inch" xmlns="http://schemas.microsoft.com/3dmanufacturing/core/2015/02">'
            f'<resources><object id="1" type="model"><mesh><vertices>{verts}</vertices><triangles>{faces}</triangles>'
            '</mesh></object></resources><build><item objectid="1"/></build></model>',
        )
    return grasp(folder / "box.3mf")


def scene(**parts: trimesh.Trimesh) -> trimesh.Scene:
    made = trimesh.Scene()
    for name, mesh in parts.items():
        made.add_geometry(mesh, node_name=name, geom_name=name)
    return made


def moved(mesh: trimesh.Trimesh, *by: float) -> trimesh.Trimesh:
    mesh = mesh.copy()
    mesh.apply_translation(by)
    return mesh


def y_up(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    mesh = mesh.copy()
    mesh.apply_transform(trimesh.transformations.rotation_matrix(-np.pi / 2, [1, 0, 0]))
    return mesh


def spanner(folder: Path) -> list[str]:
    """An extruded concave profile whose caps are single polygons, as Blender writes them."""
    profile = [
        (0, 0),
        (0.1, 0),
        (0.1, -0.01),
        (0.14, -0.01),
        (0.14, 0.002),
        (0.12, 0.002),
        (0.12, 0.018),
        (0.14, 0.018),
    ]
    profile += [(0.14, 0.03), (0.1, 0.03), (0.1, 0.02), (0, 0.02)]
    count = len(profile)
    rows = [f"v {x} {y} {z}" for z in (0, 0.012) for x, y in profile]
    rows += [
        "f " + " ".join(str(k + 1) for k in reversed(range(count))),
        "f " + " ".join(str(count + k + 1) for k in range(count)),
    ]
    for k in range(count):
        after = (k + 1) % count
        rows.append(f"f {k + 1} {after + 1} {count + after + 1} {count + k + 1}")
    (folder / "spanner.obj").write_text("\n".join(rows) + "\n")
    return grasp(folder / "spanner.obj")


def walls() -> trimesh.Trimesh:
    """A cup of separate surfaces: outer and inner wall, a bottom of each."""
    cup = trimesh.creation.revolve(np.array([[0, 0], [0.04, 0], [0.04, 0.1]]), sections=48)
    inner = trimesh.creation.revolve(np.array([[0, 0.004], [0.036, 0.004], [0.036, 0.1]]), sections=48)
    inner.invert()
    return trimesh.util.concatenate([cup, inner])


def strips(folder: Path) -> list[str]:
    corners = [[x, y, z] for x in (0, 0.05) for y in (0, 0.05) for z in (0, 0.05)]
    rows = "".join(f"{x} {y} {z}\n" for x, y, z in corners)
    strip = "14 3 2 7 6 4 2 0 3 1 7 5 4 1 0\n"
    (folder / "box.ply").write_text(
        "ply\nformat ascii 1.0\nelement vertex 8\nproperty float x\nproperty float y\nproperty float z\n"
        f"element tristrips 1\nproperty list int int vertex_indices\nend_header\n{rows}{strip}"
    )
    return grasp(folder / "box.ply")


def robot(folder: Path) -> list[str]:
    box(1000).export(folder / "box.stl")
    (folder / "mug.urdf").write_text(
        '<robot name="m"><link name="l"><visual><geometry><mesh filename="package://m/box.stl" scale=".001 .001 .001"/>'
        "</geometry></visual></link></robot>"
    )
    return grasp(folder / "mug.urdf")


def in_robot(folder: Path) -> list[str]:
    (folder / "m").mkdir()
    return robot(folder / "m")


def hand(side: str = "left", form: str = "camera", **more: Any) -> dict[str, Any]:
    """A hand before a camera, as files list it."""
    model = load_hand("open", side)  # type: ignore[arg-type]
    pose = model.angles_to_pose(model.relaxed_angles[None])
    place = torch.tensor([[0.02, 0.01, 0.6]])
    joints = reorder_joints(
        model.joints_only(pose, None, torch.tensor([[0.3, 1.0, 0.2]]), place)[0], "mano", "openpose"
    )
    K = intrinsics((640, 480), 600.0)
    uv = project(joints[None], K[None])[0].tolist()
    shared = {"img_size": [640, 480]}
    if form == "camera":
        return {"xyz": joints.tolist(), "uv": uv, "focal_length": 600.0, **shared, **more}
    mirror = torch.tensor([-1.0 if form == "hamer" and side == "left" else 1.0, 1.0, 1.0])
    relative = ((joints - place) * mirror).tolist()
    estimated = {"pred_keypoints_3d": [relative], "pred_cam_t_full": place.tolist(), "scaled_focal_length": 600.0}
    if form == "mini":
        return {"is_right": float(side == "right"), "wilor_preds": {**estimated, "pred_keypoints_2d": [uv]}, **more}
    return {**estimated, **shared, "is_right": float(side == "right"), **more}


def turned(content: dict[str, Any], *signs: float) -> dict[str, Any]:
    return {**content, "xyz": (np.array(content["xyz"]) * signs).tolist()}


def cases(photo_file: Path | None, inputs: Path | None) -> list[Case]:
    """All cases, in the order of the log."""
    stl = bytes(box().export(file_type="stl"))
    bottle = trimesh.creation.cylinder(0.15, 1.0)
    tall = moved(trimesh.creation.cylinder(0.03, 0.12), 0, 0, 0.06)
    left, plane = hand("left"), trimesh.creation.box((1.0, 1.0, 0.001))
    found = "no hand found" if photo_file is None else None
    listed = [
        Case("1", "Collada", written("mug.dae", collada("")), noted="z-up"),
        Case("2, 4", "3MF in inches", three_mf),
        Case("3", "Collada in inches", written("hammer.dae", collada('<unit name="inch" meter="0.0254"/>'))),
        Case("5", "unit cube, a bottle", exported("b.obj", bottle, "--text", "a bottle"), refused="--size"),
        Case("5", "the same with --size 25cm", exported("b.obj", bottle, "--size", "25cm"), length=25.0),
        Case("6", "glTF is y-up", exported("can.glb", y_up(tall), "--text", "a can"), noted="y-up, as glTF is"),
        Case(
            "7",
            "concave caps (OBJ)",
            spanner,
            length=14.0,
            volume=0.1 * 0.02 * 0.012 + 0.04 * 0.04 * 0.012 - 0.02 * 0.016 * 0.012,
        ),
        Case("9", "glTF, buffer with %20", lambda f: gltf(f, "my%20box.bin", "my box.bin")),
        Case(
            "12, 13",
            "glTF with an unknown extension",
            lambda f: gltf(f, "b.bin", "b.bin", extensionsRequired=["EXT_odd"]),
            refused="EXT_odd",
        ),
        Case("14", "glTF without its .bin", lambda f: gltf(f, "gone.bin", None), refused=r"gone\.bin.*not there"),
        Case("15", "cup on a floor", exported("s.glb", scene(Cup=y_up(tall), Plane=y_up(plane))), noted="Plane"),
        Case(
            "16",
            "game asset with UCX_ box",
            exported("s.glb", scene(Cup=y_up(tall), UCX_Cup=y_up(box(1.3)))),
            noted="UCX_Cup",
        ),
        Case("17", "two things", exported("s.glb", scene(A=tall, B=moved(box(), 0.4, 0, 0))), refused="--part"),
        Case(
            "17", "the same with --part B", exported("s.glb", scene(A=tall, B=moved(box(), 0.4, 0, 0)), "--part", "B")
        ),
        Case("18", "instances, negative scale", exported("s.glb", mirrored_scene())),
        Case(
            "19",
            "walls not joined",
            exported("cup.obj", walls()),
            length=10.0,
            volume=np.pi * (0.04**2 * 0.1 - 0.036**2 * 0.096),
        ),
        Case(
            "22",
            "plate without thickness",
            exported(
                "p.obj", trimesh.Trimesh([[0, 0, 0], [0.1, 0, 0], [0.1, 0.1, 0], [0, 0.1, 0]], [[0, 1, 2], [0, 2, 3]])
            ),
            refused="flat",
        ),
        Case("23", "UTM, 5,000 km off", exported("m.obj", moved(box(), 448262.3, 5411932.6, 112.0))),
        Case("24", "URDF with a scale", in_robot),
        Case("25", "STL in mm", exported("b.stl", box(1000)), refused="--mesh-unit mm"),
        Case("25", "the same with --mesh-unit mm", exported("b.stl", box(1000), "--mesh-unit", "mm")),
        Case("26", 'binary STL that begins with "solid"', written("b.stl", b"solid".ljust(80) + stl[80:])),
        Case("27", "STL with bytes after it", written("b.stl", stl + b"seven..")),
        Case("27", "STL cut short", written("b.stl", stl[:-220]), refused="cut short: 7 of 12"),
        Case("28", "PLY strips", strips, length=5.0),
        Case("29", "OBJ, texture missing", written("b.obj", "mtllib gone.mtl\n" + obj_text())),
        Case("30", "OBJ, BOM, \\r line ends", written("b.obj", "\ufeff" + obj_text().replace("\n", "\r"))),
        Case("30", "OBJ, decimal commas", written("b.obj", obj_text().replace(".", ",")), refused="."),
        Case(
            "31",
            "PLY called .obj",
            written("b.obj", bytes(box().export(file_type="ply"))),
            noted="in spite of its name",
        ),
        Case(
            "32",
            "WiLoR-mini's list, no img_size",
            refine("p.json", [hand(form="mini")]),
            length=None,
            noted="640 x 480",
        ),
        Case(
            "33", "left hand, mirrored back", refine("l.json", hand(form="wilor")), length=None, noted="mirrored back"
        ),
        Case("34", "left hand as HaMeR has it", refine("l.json", hand(form="hamer")), length=None),
        Case("35", "left hand without a side", refine("n.json", left), length=None, noted="taken as a left hand"),
        Case(
            "35",
            "left hand called right",
            refine("n.json", {**left, "side": "right"}),
            refused="side: the joints are a left",
        ),
        Case(
            "36",
            "OpenGL's axes",
            refine("g.json", {**turned(left, 1, -1, -1), "side": "left"}),
            length=None,
            noted="OpenGL",
        ),
        Case(
            "36",
            "Unity's axes",
            refine("u.json", {**turned(left, 1, -1, 1), "side": "left"}),
            length=None,
            noted="Unity",
        ),
        Case("37", "millimetres", refine("m.json", turned(left, 1000, 1000, 1000)), refused="in millimetres"),
        Case("37", "another order", refine("o.json", {**left, "order": "interhand"}), refused="joint order"),
        Case("37", "a pickle", written_pose("p.pkl", b"\x80\x04."), refused="pickles are not read"),
        Case("38", "NaN", refine("n.json", '{"xyz": NaN}'), refused="have the shape"),
        Case("38", "[]", refine("n.json", "[]"), refused="have the shape"),
        *(
            Case("43", ending, photo(f"p.{ending}", photo_file), found, None)
            for ending in ("avif", "jfif", "gif", "jp2")
        ),
        Case("43", "a name without an ending", photo("p", photo_file, format="JPEG"), found, None),
        Case("44", "HEIC", written_photo("p.heic", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"), refused="HEIC|damaged"),
        Case("45", "CMYK", photo("p.jpg", photo_file), found, None),
        Case("49", "--up -z", exported("b.obj", box(), "--up", "-z")),
        Case("50", "a text of null", exported("b.obj", box(), "--text", "null")),
        Case("50", "a name that begins with #", photo("#1.jpg", photo_file), found, None),
        Case("51", "brackets, spaces, percent", exported("b [1] 100%.obj", box(), "--text", "a [box]: 'x'")),
        Case(
            "52",
            "GRAB, a folder too high",
            lambda f: ["data", "check", "grab", str(f)],
            refused="of. GRAB",
        ),
        Case("53", "describe a label", lambda f: ["describe", "--category", "mug"], length=None),
        Case(
            "",
            "points all over it",
            exported("scan.ply", trimesh.PointCloud(trimesh.sample.sample_surface(box(), 3000, seed=0)[0])),
            length=None,
            noted="its surface was guessed",
        ),
        Case("", "a depth map with K and mask", depth_view, length=None, noted="the back is a guess"),
    ]
    if inputs is not None:
        shared = {
            "8 spanner.off": ("ngon_concave_caps/spanner.off", None, None),
            "10 Draco": ("gltf_required_extensions/box_draco.glb", None, 12.0),
            "12 meshopt": ("gltf_required_extensions/box_meshopt.glb", None, 12.0),
            "13 glTF 1.0": ("gltf_required_extensions/box_gltf1.glb", "glTF 1.0", None),
        }
        for name, (file, refused, length) in shared.items():
            number, what = name.split(" ", 1)
            listed.append(Case(number, what, lambda f, p=inputs / file: grasp(p), refused, length))  # type: ignore[misc]
    return listed


def mirrored_scene() -> trimesh.Scene:
    half = trimesh.creation.box((0.03, 0.08, 0.12))
    made = trimesh.Scene()
    made.add_geometry(
        half, node_name="a", geom_name="half", transform=trimesh.transformations.translation_matrix([0.015, 0, 0])
    )
    matrix = np.diag([-1.0, 1, 1, 1])
    matrix[0, 3] = -0.015
    made.graph.update(frame_to="b", matrix=matrix, geometry="half")
    return made


def obj_text() -> str:
    return str(box().export(file_type="obj"))


def written_pose(name: str, content: bytes) -> Callable[[Path], list[str]]:
    def command(folder: Path) -> list[str]:
        (folder / name).write_bytes(content)
        return ["run", "refine", "--pose", str(folder / name)]

    return command


def written_photo(name: str, content: bytes) -> Callable[[Path], list[str]]:
    return lambda folder: ["run", "refine", "--image", *written_pose(name, content)(folder)[3:]]


def depth_view(folder: Path) -> list[str]:
    depth = np.full((120, 160), 900, np.uint16)
    y, x = np.mgrid[:120, :160]
    ball = (x - 80) ** 2 + (y - 60) ** 2 < 900
    depth[ball] = (500 - np.sqrt(900 - ((x - 80) ** 2 + (y - 60) ** 2)[ball])).astype(np.uint16)
    np.savez(folder / "view.npz", depth=depth, K=np.array([[500.0, 0, 80], [0, 500, 60], [0, 0, 1]]), mask=ball)
    return grasp(folder / "view.npz")


def run(case: Case, folder: Path) -> tuple[str, str]:
    """The outcome in a word, and what was said or measured."""
    words = case.command(folder)
    out = folder / "out"
    if words[0] == "run":
        words += ["--out", str(out)]
    said = io.StringIO()
    code: Any = 0
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        try:
            code = hoprior(words)
        except SystemExit as stop:
            code = stop.code
    text = " ".join(said.getvalue().split())
    if "Traceback" in text:
        return "CRASHED", text[-200:]
    sentence = text[text.rfind("hoprior: ") :][:160] if code else ""
    if case.refused is not None:
        right = bool(code) and re.search(case.refused, text) is not None
        return ("refused, rightly" if right else "WRONG"), sentence or text[-160:]
    if code:
        return "REFUSED", sentence
    noted = re.search(case.noted, text) if case.noted else None
    seen = []
    if case.length is not None or case.volume is not None:
        mesh = trimesh.load_scene(next(iter(sorted(out.glob("*.glb"))))).geometry["object"]
        # Results come back in the file's unit.
        mesh.apply_scale(json.loads((out / "grasps.json").read_text())["unit"]["metres_per_unit"])
        length = 100 * float(mesh.extents.max())
        seen.append(f"{length:.1f} cm")
        if case.length is not None and abs(length / case.length - 1) > 0.02:
            return "WRONG", f"{length:.1f} cm, not {case.length:g}"
        if case.volume is not None and abs(mesh.volume / case.volume - 1) > 0.05:
            return "WRONG", f"{1e6 * mesh.volume:.0f} cm3, not {1e6 * case.volume:.0f}"
    if case.noted and noted is None:
        return "WRONG", f"no note of {case.noted!r}: {text[-160:]}"
    if case.noted:
        start = text.rfind(": ", 0, noted.start()) if noted else -1  # type: ignore[union-attr]
        seen.append(text[start + 2 : start + 82].strip())
    return "read", "; ".join(seen)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=Path)
    parser.add_argument("--photo", type=Path)
    parser.add_argument("--only", default="")
    options = parser.parse_args()
    counts: dict[str, int] = {}
    print("| case of the log | file | outcome | what was said |\n|---|---|---|---|")
    for case in cases(options.photo, options.inputs):
        if options.only not in f"{case.number} {case.name}":
            continue
        with tempfile.TemporaryDirectory() as folder:
            outcome, said = run(case, Path(folder))
            said = said.replace(folder, "").replace("|", "/")
        counts[outcome] = counts.get(outcome, 0) + 1
        print(f"| {case.number} | {case.name} | {outcome} | {said} |", flush=True)
    print("\n" + ", ".join(f"{count} {outcome}" for outcome, count in counts.items()))


if __name__ == "__main__":
    main()
