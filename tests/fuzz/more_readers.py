"""Readers of scenes, clouds, hands' models, tables and sets: those with right files that take more to make."""

import io
import zipfile
from pathlib import Path

import numpy as np
import torch
import trimesh
from fuzz.making import BOX, Reader, json_of, npz, written
from fuzz.mutations import of_arrays, of_bytes, of_header, of_json, of_members, of_words
from made_up_mano import write_mano_folder

from hoprior.common.run_key import RunKey
from hoprior.datasets.recordings.notes import read_labels, read_notes
from hoprior.datasets.samples.sample import ObjectInfo
from hoprior.datasets.synthetic.make import Made
from hoprior.datasets.synthetic.objects import Graspable
from hoprior.datasets.synthetic.shards import read_shard, write_shard
from hoprior.datasets.training.poses import PoseRow, PoseTable, read_poses, write_poses
from hoprior.geometry.files.reading import read_mesh_file
from hoprior.geometry.mesh import load_mesh
from hoprior.hand.mano import read_mano
from hoprior.language.schema import Affordance, read_answer
from hoprior.vision.boxes import read_boxes
from hoprior.vision.estimates.kept import _read as read_kept
from hoprior.vision.video import read_video, write_video

ANSWER = {"object_category": "mug", "object_size": "small", "object_shape": "round"}


def more_readers() -> dict[str, Reader]:
    """By their names."""
    tree, text, packed = (of_json, of_json, of_json, of_bytes), (of_words, of_bytes), (of_bytes, of_members)
    cube = np.asarray(BOX.sample(60, seed=0), np.float32)
    depth = {"depth": np.full((6, 8), 0.5), "K": np.array([[8, 0, 4], [0, 8, 3], [0, 0, 1.0]])}
    depth |= {"mask": np.ones((6, 8), bool)}
    cloud = trimesh.PointCloud(cube)
    plys = (cloud.export(file_type="ply"), cloud.export(file_type="ply", encoding="ascii"))
    dae = BOX.export(file_type="dae")
    three = BOX.copy().apply_scale(1000).export(file_type="3mf")  # whose unit is the millimetre
    kept = {"format": 1, "key": RunKey.of({"a": 1}).plain(), "hands": []}
    return {
        "mesh .dae": Reader("a.dae", (dae,), text, load_mesh, weight=0.25),
        "mesh .zae": Reader("a.zae", (zipped("a.dae", dae),), packed, load_mesh, weight=0.25),
        "mesh .3mf": Reader("a.3mf", (three,), packed, load_mesh, weight=0.25),
        "mesh .3mf's text": Reader("a.3mf", (three,), (of_member_words,), load_mesh, weight=0.25),
        "points .ply": Reader("a.ply", plys, text, read_mesh_file, weight=0.25),
        "points .npy": Reader("a.npy", (npy(cube),), (of_bytes,), read_mesh_file),
        "points .npz": Reader("a.npz", (npz(points=cube), npz(**depth)), (of_arrays,), read_mesh_file),
        "MANO": Reader("MANO_RIGHT.pkl", (mano(),), (of_bytes,), lambda p: read_mano(p, "right"), weight=0.25),
        "elements": Reader("a.json", (json_of(ANSWER), b"Sure! " + json_of(ANSWER)), (*tree, of_words), elements),
        "box of words": Reader("a.txt", (b"10,20,200,220; 300,20,420,190",), text, box),
        "hands kept": Reader("a.json", (json_of(kept),), tree, lambda p: read_kept(p, RunKey.of({"a": 1}))),
        "notes of frames": Reader("a.json", (json_of(notes()),), tree, all_notes),
        "table of poses": Reader("a.safetensors", (poses(),), (of_header, of_bytes), read_poses),
        "synthetic shard": Reader("a.safetensors", (synthetic(),), (of_header, of_bytes), read_shard),
        "video": Reader("a.mp4", (video(),), (of_bytes,), lambda p: list(read_video(p)), weight=0.05),
    }


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def zipped(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


def of_member_words(rng, data: bytes) -> bytes:  # type: ignore[no-untyped-def]
    """An archive with one of its texts changed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as read, zipfile.ZipFile(buffer, "w") as archive:
        changed = rng.choice(read.namelist())
        for name in read.namelist():
            content = read.read(name)
            archive.writestr(name, of_words(rng, content) if name == changed else content)
    return buffer.getvalue()


def mano() -> bytes:
    return written(lambda folder: write_mano_folder(folder), "MANO_RIGHT.pkl")


def elements(path: Path) -> None:
    read_answer(path.read_text("utf-8", "replace"), list(ANSWER))


def box(path: Path) -> None:
    given = path.read_text("utf-8", "replace")
    if not given.strip().lower().endswith(".json"):
        read_boxes(given)


def notes() -> dict[str, object]:
    found = {"kept": 3, "described": 1, "skipped": {"why": 2}, "damaged": 1, "damaged_first": [["a", "why"]]}
    return {"labels": {"a": {"object_category": "mug"}}, **found}


def all_notes(path: Path) -> None:
    read_labels([path])
    read_notes([path])


def poses() -> bytes:
    row = PoseRow("mug", "mug", "mine", "s0", Affordance(object_category="mug"))
    ids = torch.zeros(2, dtype=torch.long)
    table = PoseTable(torch.zeros(2, 15, 3), torch.zeros(2, 10), ids, ids[:, None].clone(), (row,), ("a mug",))
    return written(lambda folder: write_poses(folder / "a.safetensors", table), "*.safetensors")


def synthetic() -> bytes:
    info = ObjectInfo("mug", "mug", "mine", "CC0", "mug.ply", "a hand holding a mug")
    part = np.zeros(len(BOX.faces), int)
    thing = Graspable(info, BOX, part, ("body",), BOX, None, (), (), (0.1, 0.2), True, lambda rule: None)
    none = torch.zeros(0)
    made = Made(thing, None, torch.zeros(0, 3).long(), none, none.clone(), none.clone(), {1: (4, 0)}, ("small",))
    return written(lambda folder: write_shard(folder / "a.safetensors", made, RunKey.of({"a": 1})), "*.safetensors")


def video() -> bytes:
    frames = np.random.default_rng(0).integers(0, 255, (3, 32, 48, 3), dtype=np.uint8)
    return written(lambda folder: write_video(folder / "a.mp4", list(frames), 10.0), "a.mp4")
