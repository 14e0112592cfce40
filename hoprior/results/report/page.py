"""A page that needs nothing but itself: what is shown, the program that shows it, and the style."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from importlib.resources import files
from typing import Any

from hoprior.common.io import jsonable
from hoprior.hand.joint_order import JOINT_NAMES, PARENTS
from hoprior.rendering import OBJECT_GREY, SKIN
from hoprior.results.report.arrays import PageArrays

SCRIPTS = ("three.min.js", "scene.js", "viewer.js", "page.js")
DRAWING = SCRIPTS[:-1]
"""Scripts that a page of tables alone does without."""
FIRST_COLOUR = (0.55, 0.58, 0.66)
ROUNDED_DIGITS = 4
BONES = [
    (PARENTS[j] if j < 16 else JOINT_NAMES.index(JOINT_NAMES[j].replace("_tip", "3")), j)
    for j in range(1, len(JOINT_NAMES))
]


@dataclass(frozen=True)
class Page:
    """What a page shows; the script beside it (`hoprior/assets/report/page.js`) says what each field does.

    Attributes:
        kind: "grasps", "hands", and so on; pictures that are saved from the page are named so.
        items: one for each result, in order.
        modes: the ways in which vertices can be coloured.
        about: headings and texts on how the results were made.
        more: what only some kinds have: frames a second, which parts are hidden at first.
    """

    kind: str
    title: str
    subtitle: str
    arrays: PageArrays = field(default_factory=PageArrays)
    items: Sequence[Mapping[str, Any]] = ()
    tables: Sequence[Mapping[str, Any]] = ()
    modes: Sequence[str] = ("plain",)
    about: Sequence[tuple[str, str]] = ()
    more: Mapping[str, Any] = field(default_factory=dict)

    def html(self, stamp: str) -> str:
        """The page, with the stamp of the file that it shows.

        Example:
            >>> html = Page("grasps", "a </script> mug", "ten grasps").html("1 grasps.json 00")
            >>> html[:15], "a </script> mug" in html
            ('<!doctype html>', False)
        """
        content = {
            "kind": self.kind,
            "title": self.title,
            "subtitle": self.subtitle,
            "items": list(self.items),
            "tables": list(self.tables),
            "modes": list(self.modes),
            "about": list(self.about),
            "meshes": self.arrays.meshes,
            "bones": BONES,
            "colours": {"hand": _hex(SKIN), "object": _hex(OBJECT_GREY), "first": _hex(FIRST_COLOUR)},
            **self.more,
        }
        names = [name for name in SCRIPTS if self.items or name not in DRAWING]
        parts = {
            "stamp": escape(stamp),
            "title": escape(self.title),
            "style": _asset("page.css"),
            "content": _safe_json(content),
            "arrays": self.arrays.packed() if self.items else "",
            "scripts": "\n".join(f"<script>{_asset(name)}</script>" for name in names),
        }
        # In one go: what is put in may itself hold such marks.
        pieces = _asset("page.html").split("@")
        return "".join(parts[piece] if k % 2 else piece for k, piece in enumerate(pieces))


def made_from(
    config: Mapping[str, Any], versions: Mapping[str, str], timings: Mapping[str, float]
) -> list[tuple[str, str]]:
    """How results were made, for the foot of a page."""
    told = [("settings", json.dumps(jsonable(config), indent=1, ensure_ascii=False))] if config else []
    if versions:
        told.append(("versions", ", ".join(f"{name} {version}" for name, version in versions.items())))
    if timings:
        told.append(("seconds", ", ".join(f"{name} {seconds:.1f}" for name, seconds in timings.items())))
    return told


def _asset(name: str) -> str:
    return (files("hoprior") / "assets" / "report" / name).read_text(encoding="utf-8")


def _safe_json(content: Any) -> str:
    """JSON that nothing in it can end or leave: it stands in a script of the page."""
    text = json.dumps(jsonable(content), separators=(",", ":"), allow_nan=False, ensure_ascii=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _hex(colour: Sequence[float]) -> str:
    return "#" + "".join(f"{round(255 * part):02x}" for part in colour)
