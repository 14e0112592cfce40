"""The six elements of an affordance, with their JSON schema: what models are asked for, and what their answers must be.

Suzuki et al., Sec. 2.1: object category, object shape, object size, interaction, intention, and one of 28 grasps.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, TypeAlias

from hoprior.errors import HopriorError
from hoprior.language.taxonomy import TAXONOMY, grasp_named, grasp_type

Json: TypeAlias = dict[str, Any]

SIZES = ("small", "medium", "large")
UNKNOWN = "unknown"
"""What a model may answer where a photo does not show an element."""
MAX_WORDS = 12
"""Of an element: more is a description, not an element."""

QUESTIONS = {
    "object_category": 'what the object is, in one to three words, such as "mug" or "disk"',
    "object_shape": 'its shape, in one or two adjectives, such as "elongated" or "flat"',
    "object_size": "its size among things of everyday life that one hand can hold",
    "interaction": 'what the hand is doing with it, a verb in its -ing form, such as "holding" or "pouring from"',
    "intention": 'what for, such as "to lift it" or "to hand it over"',
    "grasp": "which grasp of the GRASP taxonomy it is",
}
"""The elements, and what is asked of each."""


@dataclass(frozen=True)
class Affordance:
    """The six elements; an empty text, or grasp 0, is an element that nobody knows.

    White space counts for nothing: words are one space apart.

    Attributes:
        object_category: "mug".
        object_shape: "cylindrical", "elongated".
        object_size: "small", "medium" or "large".
        interaction: the motor action, "drinking from".
        intention: what it is for, "to drink".
        grasp: number in the GRASP taxonomy (`taxonomy.TAXONOMY`).

    Raises:
        HopriorError: a size or a grasp that there is not.

    Example:
        >>> mug = Affordance(object_category="mug", grasp=3)
        >>> mug.grasp_name, mug.unknown()[0], mug.overridden_by(Affordance("cup")).object_category
        ('medium wrap', 'object_shape', 'cup')
    """

    object_category: str = ""
    object_shape: str = ""
    object_size: str = ""
    interaction: str = ""
    intention: str = ""
    grasp: int = 0

    def __post_init__(self) -> None:
        for field in fields(self):
            if isinstance(value := getattr(self, field.name), str):
                object.__setattr__(self, field.name, " ".join(value.split()))
        if self.object_size and self.object_size not in SIZES:
            raise HopriorError(f"object size '{self.object_size}' is unknown: use {', '.join(SIZES)}")
        if self.grasp:
            grasp_type(self.grasp)

    @property
    def grasp_name(self) -> str:
        """ "medium wrap"; empty where the grasp is unknown."""
        return grasp_type(self.grasp).name if self.grasp else ""

    def known(self) -> Json:
        """The elements that are known, by name."""
        return {name: value for name, value in asdict(self).items() if value}

    def unknown(self) -> tuple[str, ...]:
        """Names of the others."""
        known = self.known()
        return tuple(field.name for field in fields(self) if field.name not in known)

    def overridden_by(self, labels: "Affordance") -> "Affordance":
        """These elements, but for those that `labels` know: a true label stands above what a model says."""
        return replace(self, **labels.known())


def json_schema(names: Collection[str] = tuple(QUESTIONS)) -> Json:
    """The JSON schema of an answer with the named elements, for servers that constrain what a model may say.

    Example:
        >>> json_schema(["object_size"])["properties"]["object_size"]["enum"]
        ['small', 'medium', 'large', 'unknown']
    """
    kinds: dict[str, Json] = {name: {"type": "string", "maxLength": 80} for name in QUESTIONS}
    kinds["object_size"] = {"type": "string", "enum": [*SIZES, UNKNOWN]}
    kinds["grasp"] = {"type": "string", "enum": [*(kind.name for kind in TAXONOMY), UNKNOWN]}
    properties = {name: {**kinds[name], "description": QUESTIONS[name]} for name in names}
    return {"type": "object", "properties": properties, "required": list(names), "additionalProperties": False}


def read_answer(text: str, names: Collection[str] = tuple(QUESTIONS)) -> Affordance:
    """The elements in a model's answer: one JSON object, with or without words or a code fence around it.

    Raises:
        HopriorError: no such object in it, an element missing or of a wrong kind, a size or grasp that there is not.

    Example:
        >>> answer = 'Sure! {"object_category": "mug", "object_size": "small"}'
        >>> read_answer(answer, ["object_category", "object_size"]).known()
        {'object_category': 'mug', 'object_size': 'small'}
    """
    answer = _first_object(text)
    if missing := [name for name in names if name not in answer]:
        raise HopriorError(f"the answer has no {', '.join(missing)}")
    if extra := sorted(set(answer) - set(names)):
        raise HopriorError(f"the answer has {', '.join(extra)}, which nobody asked for")
    return affordance_of(answer)


def affordance_of(elements: Mapping[str, Any]) -> Affordance:
    """The elements of a mapping, such as a labels file has; a grasp by number or by name.

    Raises:
        HopriorError: an element that there is not, or that is of a wrong kind.

    Example:
        >>> affordance_of({"object_category": "mug", "grasp": "medium wrap"}).grasp
        3
    """
    values: Json = {}
    for name, value in elements.items():
        if name not in QUESTIONS:
            raise HopriorError(f"'{name}' is no element of an affordance: there are {', '.join(QUESTIONS)}")
        if name == "grasp":
            values[name] = _grasp_number(value)
            continue
        if not isinstance(value, str):
            raise HopriorError(f"{name} is {json.dumps(value, default=str)[:60]}: it must be a text")
        words = value.strip().strip(".").split()
        if len(words) > MAX_WORDS:
            raise HopriorError(f"{name} has {len(words)} words: at most {MAX_WORDS} say what it is")
        values[name] = "" if value.strip().lower() == UNKNOWN else " ".join(words)
    if "object_size" in values:
        values["object_size"] = values["object_size"].lower().removesuffix("-sized")
    return Affordance(**values)


def _grasp_number(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise HopriorError(f"grasp is {json.dumps(value, default=str)[:60]}: it must be a name or a number")
    if isinstance(value, int):
        return value
    value = value.strip()
    if not value or value.lower() == UNKNOWN:
        return 0
    return int(value) if value.isdecimal() else grasp_named(value).number


def _first_object(text: str) -> Json:
    """The first JSON object in a text."""
    decoder = json.JSONDecoder()
    for start in (i for i, letter in enumerate(text) if letter == "{"):
        try:
            value, _ = decoder.raw_decode(text, start)
        except ValueError:
            continue
        except RecursionError as error:
            raise HopriorError("the answer is nested deeper than any JSON object that is asked for") from error
        if isinstance(value, dict):
            return value
    shown = " ".join(text.split())[:60]
    raise HopriorError(f"the answer holds no JSON object (“{shown}”)")
