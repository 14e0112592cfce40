"""Every reader with a few small right files of its own making, and how these are to be spoilt."""

import io
import json
import pickle
import tarfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
import torch
import trimesh
from fuzz.making import BOX, Reader, json_of, meshes, mixed_ply, npz, saved, written
from fuzz.mutations import of_arrays, of_bytes, of_header, of_json, of_members, of_words
from PIL import Image
from shown_results import some_grasps

from hoprior.cli.arguments import with_settings_files
from hoprior.cli.describe import _read_labels
from hoprior.common.array_files import read_arrays
from hoprior.common.pickles import safe_load
from hoprior.common.reading import read_json, read_yaml
from hoprior.common.run_key import RunKey
from hoprior.common.torch_files import read_torch_file
from hoprior.datasets.clips.files import read_hand_files, read_settings, read_truth_files
from hoprior.datasets.myodm.raw import _read_motion
from hoprior.datasets.myodm.source import MyoDM
from hoprior.datasets.recordings.files import read_npz, read_rows
from hoprior.datasets.recordings.mixture import read_mixture
from hoprior.datasets.samples.cache import Shard, read_index, read_shard, write_index, write_shard
from hoprior.datasets.samples.sample import GraspSet, ObjectInfo
from hoprior.datasets.streaming.datamodule import opened
from hoprior.datasets.streaming.items import MEMBER, StreamSpec, decoded, encoded
from hoprior.datasets.streaming.pack import read_manifest
from hoprior.datasets.synthetic.manifest import read_manifest as read_synthetic
from hoprior.datasets.training.empty_hands import FreeHands
from hoprior.errors import HopriorError
from hoprior.evaluation.grasp_sets import read_recorded
from hoprior.evaluation.reconstruction import read_result
from hoprior.geometry.mesh import load_mesh, read_surface
from hoprior.geometry.sdf import SdfGrid
from hoprior.hand import load_hand, reorder_joints
from hoprior.language.caption_file import read_sentences
from hoprior.language.describe.endpoint import _Passing, _text_of
from hoprior.priors.installed import shipped_files
from hoprior.priors.pretrained import load_checkpoint, load_safetensors
from hoprior.results import GraspResults
from hoprior.results.reconstructions import is_checkpoint
from hoprior.results.report import page_of
from hoprior.tasks.refine.judging import HeldObject
from hoprior.vision.boxes import read_boxes
from hoprior.vision.estimates import read_estimates
from hoprior.vision.estimates.contents import hands_in
from hoprior.vision.images import read_mask, read_photo

RNG = np.random.default_rng(0)
HAND = load_hand()


def picture(kind: str, mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    image = Image.fromarray(RNG.integers(0, 255, (40, 36, 3), dtype=np.uint8)).convert(mode)
    exif = Image.Exif()
    exif[0x0112] = 6
    exif.get_ifd(0x8769)[0xA405] = 28
    image.save(buffer, kind, **({"exif": exif} if kind in ("JPEG", "PNG", "WEBP", "TIFF") else {}))
    return buffer.getvalue()


def gltf() -> bytes:
    files = trimesh.exchange.gltf.export_gltf(trimesh.Scene({"mug": BOX, "lid": BOX.copy()}), merge_buffers=True)
    tree = json.loads(files["model.gltf"])
    import base64

    for buffer in tree["buffers"]:
        content = base64.b64encode(files[buffer["uri"]]).decode()
        buffer["uri"] = f"data:application/octet-stream;base64,{content}"
    return json_of(tree)


def hand(**more: Any) -> dict[str, Any]:
    with torch.no_grad():
        posed = HAND(torch.zeros(1, 15, 3)).joints[0]
    before = torch.tensor([0.0, 0.0, 0.5])
    joints = (reorder_joints(posed, "mano", "openpose") + before).double().numpy().round(4)
    K = np.array([[200, 0, 32], [0, 200, 24], [0, 0, 1]])
    uv = (joints[:, :2] / joints[:, 2:] * 200 + [32, 24]).round(2)
    return {"xyz": joints.tolist(), "uv": uv.tolist(), "K": K.tolist(), "is_right": 1, "img_size": [64, 48], **more}


def two_hands() -> bytes:
    one = hand()
    arrays = {name: np.stack([np.asarray(one[name], dtype=np.float32)] * 2) for name in ("xyz", "uv", "img_size")}
    return npz(**arrays, K=np.asarray(one["K"], float), is_right=np.array([1, 0]), cam_t_full=np.zeros((2, 3)) + 0.5)


def shard() -> Shard:
    n = 2
    ids = torch.zeros(n, dtype=torch.long)
    info = ObjectInfo("mug", "mug", "mine", "CC0", "mug.ply", "a hand holding a mug")
    T = torch.eye(4).repeat(n, 1, 1)
    numbers = T, torch.zeros(n, 15, 3), torch.zeros(n, 10), torch.rand(n, 21, 3)
    grasps = GraspSet(info, *numbers, ids == 0, ids, ids, torch.zeros(n, 3), ("a hand holding a mug",), ("",))
    grid = SdfGrid(torch.rand(6, 6, 6), torch.zeros(3) - 0.1, torch.zeros(3) + 0.1)
    return Shard("0123456789abcdef", grid, grasps, RunKey.of({"the seed": 0}))


def tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for key, content in encoded(shard(), [0, 1], StreamSpec(resolution=8)):
            member = tarfile.TarInfo(f"{key}.{MEMBER}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def items_of(path: Path) -> None:
    for item in opened([str(path)], repeat=False, buffer=0, seed=0):
        if MEMBER in item:
            decoded(item["__key__"], item[MEMBER])


def answer(path: Path) -> None:
    try:
        _text_of(path.read_bytes())
    except _Passing as passing:  # what the endpoint asks again for
        raise HopriorError(str(passing)) from passing


def key(path: Path) -> None:
    RunKey.read(path.read_text("utf-8", "replace"))


def grasps_beside(path: Path) -> None:
    GraspResults.load(path.parent)


def myodm(path: Path) -> None:
    (path.parent / "objects").mkdir(exist_ok=True)
    MyoDM(path.parent).recorded()


def settings(config: Any = None) -> None:
    """A command with settings."""


def manifest_entry(**more: Any) -> dict[str, Any]:
    entry = {"file": "shards/a.tar", "split": "train", "recorded": True, "items": 1, "bytes": 1, "sha256": "0"}
    return {**entry, "categories": {"mug": 1}, **more}


def readers() -> dict[str, Reader]:
    """All of them, by name."""
    kinds = ("JPEG", "PNG", "WEBP", "TIFF", "GIF", "BMP", "PPM", "TGA")
    packed = (of_bytes, of_members)
    text, binary, tree, arrays = (of_words, of_bytes), (of_bytes,), (of_json, of_json, of_json, of_bytes), (of_arrays,)
    grasps = some_grasps(2)
    folder = {name: written(grasps.save, name) for name in ("grasps.json", "grasp_000.glb", "grasp_001.glb")}
    glbs = tuple((name, content) for name, content in folder.items() if name.endswith("glb"))
    cached = written(partial(write_shard, shard=shard()), "*.safetensors")
    index = written(lambda f: write_index(f, [{"file": "a.safetensors", "object": "mug", "source": "mine"}]), "*.json")
    items = [content for _, content in encoded(shard(), [0, 1], StreamSpec(resolution=8))]
    manifest: dict[str, Any] = {"format": 1, "sentences": ["a"], "objects": ["mug"], "categories": {"mug": 1}}
    manifest["shards"] = [manifest_entry()]
    poses = {"frame": np.arange(2), "T_hand_object": np.stack([np.eye(4)] * 2), "joints_camera": np.zeros((2, 21, 3))}
    eyes = np.stack([np.eye(4)] * 3)
    K = np.stack([np.array([[200.0, 0, 32], [0, 200, 24], [0, 0, 1]])] * 3)
    cameras = npz(cTw=eyes, K_pix=K, wTh=eyes)
    hands = npz(hA=np.zeros((3, 45)), beta=np.zeros((3, 10)))
    points = npz(j2d=np.zeros((3, 21, 2)), conf=np.ones((3, 21)))
    truth = npz(hTo=eyes, cTh=eyes, jTh=np.zeros((3, 21, 3)), points=np.zeros((5, 3)), seen=np.ones(5, bool))
    clip = (("cameras_hoi.npz", cameras), ("hands.npz", hands), ("keypoints.npz", points))
    recorded = npz(
        sequence_names=np.array(["mug_lift"]),
        sequence=np.zeros(4, int),
        joints_object=np.zeros((4, 21, 3), np.float32),
        object_pose=np.zeros((4, 7)),
    )
    prior = shipped_files()["pose"].read_bytes() if "pose" in shipped_files() else b""
    mixture = b"datasets:\n  ho3d_v3: {weight: 2.0}\n  dexycb: {}\nbalance: 0.5\nclass_weights: {mug: 2}\nroot: out\n"
    config = b"steps: 3\nmesh: a.obj\ncontact: {reach: 1, depth: [1, 2]}\ntext: '# a mug'\n"
    content = {"betas": np.zeros(10), "J": scipy.sparse.csc_matrix(np.eye(3)), "names": [("a", "b"), {"c"}], "x": 1.5}
    pickles = tuple(pickle.dumps({**content, "t": torch.zeros(3)}, protocol) for protocol in (0, 2, 4, 5))
    checkpoint = {"key": RunKey.of({"the clip": 1, "the hands": 2, "the masks": 3}).plain(), "step": 3}
    lightning = {"state_dict": {"w": torch.zeros(2)}, "hoprior": {"class_path": "hoprior.models.x.X", "config": "{}"}}
    said = {"choices": [{"message": {"role": "assistant", "content": "a mug"}}]}
    boxes = {"a.jpg": [[10, 20, 200, 220]], "b.jpg": [1, 2, 3, 4]}
    labels = {"a": {"object_category": "mug", "image": "a.jpg"}}
    described = {"format": 1, "descriptions": {"a": {"text": "a mug", "elements": {}}, "b": {"error": "none"}}}
    urdf = (
        b'<robot name="r"><link name="a"><visual><geometry><box size="0.1 0.1 0.1"/></geometry></visual></link></robot>'
    )
    mjcf = b'<mujoco><worldbody><body><geom type="box" size="0.1 0.1 0.1" pos="0 0 1"/></body></worldbody></mujoco>'
    found: dict[str, Reader] = {
        "json": Reader("a.json", (json_of(hand()),), tree, read_json),
        "yaml": Reader("a.yaml", (mixture, config), text, read_yaml, weight=0.25),
        "rows": Reader("a.jsonl", (b'{"a": 1}\n{"b": [2]}\n',), (*text, of_json), read_rows),
        "settings": Reader(
            "a.yaml", (config,), text, lambda p: with_settings_files(settings, ["--config", str(p)], {}), weight=0.5
        ),
        "npz": Reader("a.npz", (recorded, truth), (*arrays, of_bytes, of_members), read_arrays),
        "npz with objects": Reader("a.npz", (npz(a=np.zeros(3)), objects()), packed, read_npz),
        "pickle": Reader("a.pkl", pickles, binary, safe_load, weight=2),
        "torch file": Reader("a.pt", (saved(checkpoint), saved(lightning, True)), packed, read_torch_file),
        "checkpoint": Reader("a.ckpt", (saved(lightning),), packed, load_checkpoint),
        "checkpoint of a clip": Reader("checkpoint.pt", (saved(checkpoint),), packed, is_checkpoint),
        "prior": Reader("a.safetensors", (prior,), (of_header,), load_safetensors, weight=0.25),
        "mesh .glb": Reader("a.glb", (meshes("glb"),), binary, load_mesh, weight=0.25),
        "mesh .gltf": Reader("a.gltf", (gltf(),), (of_json, of_words), read_surface, weight=0.5),
        "mesh .obj": Reader(
            "a.obj", (meshes("obj"), meshes("obj", include_normals=True)), text, load_mesh, weight=0.25
        ),
        "mesh .ply": Reader(
            "a.ply",
            (meshes("ply"), meshes("ply", encoding="ascii"), mixed_ply()),
            (of_bytes, of_words),
            load_mesh,
            weight=0.25,
        ),
        "mesh .stl": Reader(
            "a.stl", (meshes("stl"), meshes("stl_ascii")), (of_bytes, of_words), load_mesh, weight=0.25
        ),
        "mesh .off": Reader("a.off", (meshes("off"),), text, load_mesh, weight=0.25),
        "mesh .urdf": Reader("a.urdf", (urdf,), text, read_surface, weight=0.5),
        "mesh .xml": Reader("a.xml", (mjcf,), text, read_surface, weight=0.5),
        "photo": Reader(
            "a.jpg",
            tuple(map(picture, kinds)),
            binary,
            read_photo,
        ),
        "mask": Reader("a.png", (picture("PNG", "L"), picture("PNG", "P")), binary, partial(read_mask, size=(40, 36))),
        "boxes": Reader("a.json", (json_of(boxes),), tree, lambda p: read_boxes(str(p))),
        "labels": Reader("a.json", (json_of(labels),), tree, _read_labels),
        "sentences": Reader("a.json", (json_of({"a": "a mug"}), json_of(described)), tree, read_sentences),
        "answer": Reader("a.json", (json_of(said),), tree, answer),
        "key": Reader("a.json", (json_of(checkpoint["key"]),), tree, key),
        "hands .json": Reader(
            "a.json", (json_of([hand(), hand(side="left")]), json_of({"a.jpg": hand()})), tree, hands_in
        ),
        "hands .npz": Reader("a.npz", (two_hands(),), arrays, hands_in),
        "estimates .json": Reader("a.json", (json_of([hand()]),), tree, read_estimates, weight=0.25),
        "estimates .npz": Reader("a.npz", (two_hands(),), arrays, read_estimates, weight=0.25),
        "likeness": Reader(
            "a.npz", (npz(joints_object=np.zeros((2, 21, 3)), object=np.array(["mug", "cup"])),), arrays, read_recorded
        ),
        "place of an object": Reader(
            "a.json",
            (json_of({"T_camera_object": np.eye(4).tolist()}), json_of(np.eye(4).tolist())),
            tree,
            lambda p: HeldObject.from_files(p.with_name("box.stl"), p),
            (("box.stl", meshes("stl")),),
            weight=0.25,
        ),
        "clip.json": Reader("clip.json", (json_of({"side": "left", "hand": "open", "fps": 30}),), tree, read_settings),
        "clip's cameras": Reader("cameras_hoi.npz", (cameras,), arrays, lambda p: read_hand_files(p.parent, 3), clip),
        "clip's hands": Reader("hands.npz", (hands,), arrays, lambda p: read_hand_files(p.parent, 3), clip),
        "clip's keypoints": Reader("keypoints.npz", (points,), arrays, lambda p: read_hand_files(p.parent, 3), clip),
        "clip's truth": Reader(
            "eval_poses.npz", (truth,), arrays, lambda p: read_truth_files(p.parent, 3), (("oObj.obj", meshes("obj")),)
        ),
        "grasps": Reader("grasps.json", (folder["grasps.json"],), tree, grasps_beside, glbs, 0.25),
        "grasps' meshes": Reader(
            "grasp_000.glb",
            (folder["grasp_000.glb"],),
            binary,
            grasps_beside,
            tuple((name, content) for name, content in folder.items() if name != "grasp_000.glb"),
            0.25,
        ),
        "page of grasps": Reader(
            "grasps.json", (folder["grasps.json"],), tree, lambda p: page_of(p.parent), glbs, weight=0.25
        ),
        "reconstruction": Reader(
            "poses.npz",
            (npz(**poses),),
            arrays,
            lambda p: read_result(p.parent),
            (("reconstruction.json", b"{}"), ("object.ply", meshes("ply"))),
        ),
        "cache's index": Reader("index.json", (index,), tree, lambda p: read_index(p.parent)),
        "cache's shard": Reader("a.safetensors", (cached,), (of_header, of_bytes), read_shard),
        "manifest of shards": Reader(
            "manifest.json",
            (json_of(manifest),),
            tree,
            lambda p: read_manifest(p.parent),
        ),
        "manifest of made ones": Reader(
            "manifest.json",
            (json_of({"format": 1, "hash": "0", "shards": [manifest_entry(object="mug", grasps=1)]}),),
            tree,
            lambda p: read_synthetic(p.parent),
        ),
        "item of a shard": Reader("a", tuple(items), (of_bytes, of_item), lambda p: decoded("a", p.read_bytes())),
        "shard of a stream": Reader("a.tar", (tar(),), binary, items_of, weight=0.5),
        "mixture": Reader("a.yaml", (mixture,), text, read_mixture, weight=0.25),
        "MyoDM": Reader("grasps.npz", (recorded,), arrays, myodm),
        "motion": Reader(
            "MyoHand_mug.npz", (npz(robot=np.zeros((3, 29)), object=np.zeros((3, 7))),), arrays, _read_motion
        ),
        "recorded hands": Reader(
            "a.npz", (npz(joints=np.zeros((3, 21, 3))),), arrays, lambda p: FreeHands(str(p))._joints()
        ),
    }
    return {name: reader for name, reader in found.items() if reader.seeds != (b"",)}


def objects() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, a=np.array({"x": np.zeros(3)}, dtype=object), b=np.array([None, "b"], dtype=object))
    return buffer.getvalue()


def of_item(rng: Any, data: bytes) -> bytes:
    """An item of a shard with its description changed as JSON."""
    lengths = [int.from_bytes(data[k : k + 4], "little") for k in (0, 4, 8)]
    changed = of_json(rng, data[12 : 12 + lengths[0]])
    return len(changed).to_bytes(4, "little") + data[4:12] + changed + data[12 + lengths[0] :]
