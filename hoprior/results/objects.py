"""Sampled objects without hands: as Python objects, and as a folder of files that other programs read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from PIL import Image

from hoprior.common.io import strict_json
from hoprior.errors import HopriorError
from hoprior.rendering.rasterizer import OBJECT_GREY
from hoprior.rendering.sheet import MAX_CELLS, VIEW_SIZE, Cell, draw_sheet
from hoprior.results.folder import CONFIG_NAME, ResultFolder, write_config
from hoprior.results.interactions import MEASURES as OF_INTERACTIONS
from hoprior.results.samples import Samples, draws_text

OBJECTS = ResultFolder("object")
FORMAT = f"{OBJECTS.format_name}1"
FRAMES = {"object": "of each object, metres: the middle of its box, +z up as it stands or lies"}
MEASURES = {
    **{name: OF_INTERACTIONS[name] for name in ("object_volume_cm3", "object_pieces")},
    "object_size_cm": "longest side of the object's bounding box",
    "partial_cm": "mean distance of what was given of an object from the surface; only where something was",
}
"""What each of an object's measures is; the name ends in the unit."""


@dataclass(frozen=True, eq=False)
class ObjectSample:
    """One object in its own frame; metres.

    Attributes:
        object_mesh: closed, wound outwards.
        measures: how valid it is; `MEASURES` says what each is.

    Example:
        >>> ObjectSample(trimesh.creation.box(), {"object_pieces": 1.0}).object_mesh.is_watertight
        True
    """

    object_mesh: trimesh.Trimesh
    measures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class ObjectSamples(Samples[ObjectSample]):
    """Objects of one text, with what they were made from.

    Attributes:
        samples: in the order of their draws, or, where a part of an object was given, the best fit first.
        text, sentence, seed: what was asked, what the prior was told of it, with which random numbers.
        asked, draws, rejected: how many were wanted and drawn, and how many of these were thrown away for which reason.
        config: all settings of the run, as JSON and YAML have them.
        versions: of hoprior and of what it computed with.
        timings: seconds by stage.

    Example:
        >>> ObjectSamples((), "a mug", "a hand holding a mug", 2, 4, {"without an object": 4}).summary()
        '0 of 2 objects; 0 of 4 draws were plausible (4 without an object)'
    """

    text: str
    sentence: str
    asked: int
    draws: int
    rejected: Mapping[str, int] = field(default_factory=dict)
    seed: int | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    timings: Mapping[str, float] = field(default_factory=dict)

    def summary(self) -> str:
        """ "8 objects; 8 of 9 draws were plausible (1 broken into far pieces)"."""
        return draws_text("objects", len(self), self.asked, self.draws, self.rejected)

    def save(self, folder: str | Path) -> Path:
        """Writes `object_000.glb` and so on, objects.json, objects.png and config.yaml; metres. Returns `folder`.

        All files are complete before the first one stands in `folder`. The files of earlier objects are replaced;
        anything else that lies there is kept.

        Raises:
            HopriorError: see `ResultFolder.check_writable`; or there are no objects, or the disk is full.
        """
        if not self.samples:
            raise HopriorError(f"{folder}: there are no objects to save: ask for at least one.")
        return OBJECTS.write(folder, self._write)

    def _write(self, folder: Path) -> None:
        names = OBJECTS.glb_names(len(self))
        for name, sample in zip(names, self, strict=True):
            scene = trimesh.Scene()
            scene.add_geometry(sample.object_mesh, node_name="object", geom_name="object")
            (folder / name).write_bytes(scene.export(file_type="glb"))
        write_config(folder, self.config)
        object_sheet(self).save(folder / OBJECTS.sheet_name)
        index = {
            "format": FORMAT,
            "text": self.text,
            "sentence": self.sentence,
            "seed": self.seed,
            "asked": self.asked,
            "draws": self.draws,
            "rejected": self.rejected,
            "unit": {"name": "m", "metres_per_unit": 1.0},
            "frames": FRAMES,
            "measures": MEASURES,
            "objects": [
                {"index": i, "glb": name, "measures": sample.measures}
                for i, (name, sample) in enumerate(zip(names, self, strict=True))
            ],
            "versions": self.versions,
            "timings": self.timings,
            "config": self.config,
            "files": [*names, OBJECTS.index_name, OBJECTS.sheet_name, CONFIG_NAME],
        }
        (folder / OBJECTS.index_name).write_text(strict_json(index), encoding="utf-8")


STANDING = np.array([[0.0, 0.0, -1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]])
"""Sheets have a hand's fingers, which are along its x, up: an object's +z takes their place."""


def object_sheet(results: ObjectSamples, max_samples: int = MAX_CELLS, view_size: int = VIEW_SIZE) -> Image.Image:
    """A picture of the first `max_samples` objects, two views of `view_size` pixels for each."""
    cells = [
        Cell(
            meshes=[(sample.object_mesh.vertices, sample.object_mesh.faces, OBJECT_GREY)],
            rotation=STANDING,
            side="right",
            label=f"{sample.measures['object_size_cm']:.0f} cm",
            remark="",
        )
        for sample in results[:max_samples]
    ]
    return draw_sheet(f"“{results.text}”", f"{len(results)} objects of {results.draws} draws", cells, view_size)
