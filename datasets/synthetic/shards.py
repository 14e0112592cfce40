"""Shards of the synthetic set: one safetensors file an object, written whole or not at all, with a digest inside.

Besides the grasps a shard has the object's mesh with the part of each face, every wording of the sentences, and what
was measured of each grasp. Nothing in it is code.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import trimesh
from jaxtyping import Float, Int
from safetensors.torch import save
from torch import Tensor

from hoprior.common.io import write_atomically
from hoprior.common.reading import interpreting
from hoprior.common.run_key import RunKey
from hoprior.datasets.samples.cache import MADE_OF
from hoprior.datasets.samples.sample import GraspSet, ObjectInfo
from hoprior.datasets.samples.tensor_file import (
    digest_with_header,
    grasp_columns,
    grasp_header,
    grasps_from,
    read_tensor_file,
)
from hoprior.datasets.synthetic.make import Made

FORMAT = 1


@dataclass(frozen=True)
class SyntheticShard:
    """An object and its checked grasps, as read.

    Attributes:
        info: the object.
        mesh: in metres, the object's frame; `face_part` is each face's part, into `part_names`.
        words: size and shape.
        grasps: None where none was held.
        text_id: (n, wordings) of `grasps.sentences`.
        depth, contact_area, unheld: of each grasp; m, share of the hand's vertices, share of the weight.
        counts: of each kind of grasp, how many came through each of `make.STAGES`.
        digest: of all of it.
    """

    info: ObjectInfo
    mesh: trimesh.Trimesh
    face_part: Int[np.ndarray, " f"]
    part_names: tuple[str, ...]
    words: tuple[str, ...]
    grasps: GraspSet | None
    text_id: Int[Tensor, "n w"]
    depth: Float[Tensor, " n"]
    contact_area: Float[Tensor, " n"]
    unheld: Float[Tensor, " n"]
    counts: dict[int, tuple[int, ...]]
    digest: str

    def texts(self, i: int) -> tuple[str, ...]:
        """Every wording of grasp i."""
        assert self.grasps is not None
        return tuple(self.grasps.sentences[k] for k in self.text_id[i].tolist())


def shard_path(folder: Path, name: str, key: str) -> Path:
    """Where an object's shard is; `key` names the settings that made it."""
    return folder / f"{name}-{key[:12]}.safetensors"


def write_shard(path: Path, made: Made, made_of: RunKey) -> str:
    """Writes an object's shard, which says what it was made of, and returns its digest.

    Raises:
        HopriorError: the disk is full, or the folder not writable.
    """
    mesh = made.object.mesh
    tensors = {
        "verts": torch.tensor(np.asarray(mesh.vertices), dtype=torch.float32),
        "faces": torch.tensor(np.asarray(mesh.faces), dtype=torch.int32),
        "face_part": torch.tensor(np.asarray(made.object.face_part), dtype=torch.uint8),
        "text_ids": made.text_id.int(),
        "depth": made.depth,
        "contact_area": made.contact_area,
        "unheld": made.unheld,
    }
    header: dict[str, Any] = {
        "object": asdict(made.object.info),
        "parts": made.object.part_names,
        "words": made.words,
        "counts": {str(number): stages for number, stages in made.counts.items()},
    }
    if made.grasps is not None:
        grasps = made.grasps
        tensors |= {f"grasp.{name}": column for name, column in grasp_columns(grasps).items()}
        header["grasps"] = grasp_header(grasps)
    tensors = {name: tensor.detach().contiguous() for name, tensor in tensors.items()}
    text = json.dumps(header, sort_keys=True)
    digest = digest_with_header(tensors, text)
    content = save(tensors, metadata={"format": str(FORMAT), "digest": digest, MADE_OF: made_of.text(), "header": text})
    write_atomically(path, lambda temporary: temporary.write_bytes(content))
    return digest


def read_shard(path: Path) -> SyntheticShard:
    """Reads a shard and checks it against its digest.

    Raises:
        HopriorError: the file is missing, cut short, damaged, or of another format.
    """
    advice = "run `hoprior data synthesize` again with the same settings: it is made anew"
    tensors, header, metadata = read_tensor_file(path, FORMAT, "shard", advice, digest_with_header)
    with interpreting(path, advice):
        info = ObjectInfo.of(header["object"])
        mesh = trimesh.Trimesh(tensors["verts"].double().numpy(), tensors["faces"].long().numpy(), process=False)
        return SyntheticShard(
            info,
            mesh,
            tensors["face_part"].long().numpy(),
            tuple(header["parts"]),
            tuple(header["words"]),
            _grasps(info, tensors, header.get("grasps")),
            tensors["text_ids"].long(),
            tensors["depth"],
            tensors["contact_area"],
            tensors["unheld"],
            {int(number): tuple(stages) for number, stages in header["counts"].items()},
            metadata["digest"],
        )


def _grasps(info: ObjectInfo, tensors: dict[str, Tensor], header: dict[str, Any] | None) -> GraspSet | None:
    if header is None:
        return None
    columns = {name.removeprefix("grasp."): t for name, t in tensors.items() if name.startswith("grasp.")}
    return grasps_from(info, columns, header)
