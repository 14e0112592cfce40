"""YCB-Affordance (Corona et al., GanHand, CVPR 2020): 367 grasps of 58 YCB objects, set by hand, with their kind.

`grasps/obj_{i}_grasp_{k}.pickle` has `pca_manorot` (global rotation), `pca_poses` (45 PCA coefficients from the flat
hand) and `mano_trans`, metres, in the frame of the object that `body` names; meshes are
`models/{YCB name}/textured.obj`.
"""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from hoprior.datasets.recordings.adapter import Adapter
from hoprior.datasets.recordings.files import find, is_file, listing, read_pickle, stems
from hoprior.datasets.recordings.hands import ManoReading, vector
from hoprior.datasets.recordings.index import Entry
from hoprior.datasets.recordings.record import RecordedSample
from hoprior.errors import HopriorError
from hoprior.language.labels import GraspLabel

YCB_NAME = re.compile(r"(\d{3}(?:-[a-z])?_[A-Za-z0-9_-]+)")
MESH_NAMES = ("textured.obj", "textured_simple.obj", "google_16k/textured.obj", "google_16k/nontextured.ply")
TAXONOMY_KEYS = ("taxonomy", "grasp_type", "taxonomy_id")
FEIX_TYPES = 33


class YCBAffordance(Adapter):
    """The grasps on the objects alone, without the frames of YCB-Video that they were carried into."""

    name = "ycb_affordance"
    title = "YCB-Affordance"
    homepage = "https://github.com/enriccorona/YCB_Affordance"
    licence = "research only; YCB meshes CC BY 4.0"
    layout = "grasps/obj_{i}_grasp_{k}.pickle, models/{YCB name}"
    markers = ("grasps", "models")
    needs_mano = True
    grasps_only = True

    def scan(self) -> Iterator[Entry]:
        """Every grasp."""
        for stem in stems(self.path("grasps"), ".pickle", "obj_"):
            yield Entry("grasps", stem)

    def mesh_path(self, name: str) -> Path:
        """A mesh of the object, of any of the usual names."""
        folder = self.path("models", name)
        if not folder.is_dir():
            # The grasps name YCB's first numbering; meshes of other archives differ behind the number.
            same = [n for n in listing(self.path("models")).values() if n.split("_")[0] == name.split("_")[0]]
            folder = self.path("models", same[0]) if same else folder
        places = [find(folder, mesh) for mesh in MESH_NAMES]
        return next((place for place in places if is_file(place)), places[0])

    def annotations(self, entry: Entry) -> Iterator[Path]:
        """The grasp's."""
        yield self.path("grasps", f"{entry.item}.pickle")

    def read(self, entry: Entry) -> RecordedSample:
        """One grasp, in the object's frame."""
        grasp = read_pickle(self.path("grasps", f"{entry.item}.pickle"))
        match = YCB_NAME.search(str(grasp["body"]))
        if match is None:
            raise HopriorError(f"'body' names no YCB object: {str(grasp['body'])[:60]}")
        thing = self.object(match[1])
        kind = next((grasp[key] for key in TAXONOMY_KEYS if key in grasp), 0)
        number = int(np.asarray(kind).reshape(-1)[0]) if np.asarray(kind).dtype.kind in "iuf" else 0
        return RecordedSample(
            dataset=self.name,
            key=entry.key,
            side="right",
            hands=self.hands,
            subject="",
            sequence=entry.item,
            frame=0,
            split="train",
            reading=ManoReading(
                "right",
                vector(grasp["pca_manorot"], 3, "pca_manorot"),
                vector(grasp["pca_poses"], 45, "pca_poses"),
                torch.zeros(10),
                vector(grasp["mano_trans"], 3, "mano_trans"),
                is_pca=True,
                flat_hand_mean=True,
            ),
            object=thing,
            label=GraspLabel(taxonomy=number if 0 < number <= FEIX_TYPES else 0),
            text=thing.info.text,
            in_contact=True,
        )
