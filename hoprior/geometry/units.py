"""Lengths and units of meshes: what is said on the command line, what files say, and what sizes can be true."""

import math
import re
from dataclasses import dataclass
from decimal import Decimal

from hoprior.errors import ArgumentError, HopriorError

METRES_PER_UNIT = {"m": 1.0, "cm": 0.01, "mm": 0.001, "in": 0.0254}
UNIT_NAMES = {"m": "metres", "cm": "centimetres", "mm": "millimetres", "in": "inches"}

NAMED_UNITS = {
    "micron": 1e-6,
    "micrometer": 1e-6,
    "millimeter": 0.001,
    "centimeter": 0.01,
    "decimeter": 0.1,
    "meter": 1.0,
    "kilometer": 1000.0,
    "inch": 0.0254,
    "inche": 0.0254,
    "ft": 0.3048,
    "foot": 0.3048,
    "feet": 0.3048,
    "yard": 0.9144,
}
"""Metres of a unit as 3MF, Collada, trimesh and people spell it, without the s at its end."""

SHOWN_UNITS = {"km": 1000.0, "m": 1.0, "cm": 0.01, "mm": 0.001}
"""Metres of the units in which lengths are told."""

NEAR, FAR = 1e-5, 1e7
"""Lengths (metres) below and above which it matters no more how long they are."""

MIN_SIZE, MAX_SIZE = 0.003, 2.0
"""Longest side (metres) of things that a hand can hold; anything else is taken for a wrong unit."""

HELD_SIZES = 0.02, 0.6
"""The same of things that nobody wonders at in a hand; others get a note."""

TYPICAL_SIZE = 0.15
"""Longest side (metres) of an everyday object: the unit that comes closest to it is the one suggested."""

TOO_LARGE, TOO_SMALL = 2.0, 1 / 3
"""A thing of a known kind cannot be longer than its usual longest times this, nor shorter than its shortest times
that: so a unit cube is told from a bottle, and a toy bottle is still one."""


@dataclass(frozen=True)
class UsualSize:
    """The longest side that things of a name usually have, metres.

    Example:
        >>> UsualSize("bottle", 0.12, 0.32).proposal
        '22cm'
    """

    name: str
    low: float
    high: float

    @property
    def proposal(self) -> str:
        """A length in the middle, as `--size` takes it."""
        middle = (self.low + self.high) / 2
        return f"{100 * middle:.2g}cm"

    def allows(self, size: float) -> bool:
        """Whether a thing of that name can be so long."""
        return TOO_SMALL * self.low <= size <= TOO_LARGE * self.high

    def __str__(self) -> str:
        return f"a thing called {self.name} is {100 * self.low:.3g}-{100 * self.high:.3g} cm long"


@dataclass(frozen=True)
class Sizing:
    """How long a mesh is, as its user says it; nothing said leaves it to the file.

    Attributes:
        unit: of the file's coordinates: m, cm, mm or in.
        size: of the longest side: "12cm", or a number of metres.
        scale: one unit of the file counts for so many.
        usual: what is known of things of that name.

    Example:
        >>> Sizing(size="12cm").metres_per_unit(longest=2.0, said=None), Sizing(scale=0.3).metres_per_unit(2.0, 0.01)
        (0.06, 0.003)
    """

    unit: str | None = None
    size: str | float | None = None
    scale: float | None = None
    usual: UsualSize | None = None

    def __post_init__(self) -> None:
        if self.unit is not None and self.unit not in METRES_PER_UNIT:
            raise HopriorError(f"unknown mesh unit '{self.unit}': choose one of {', '.join(METRES_PER_UNIT)}")
        if self.size is not None and (self.scale is not None or self.unit is not None):
            other = "scale" if self.scale is not None else "mesh_unit"
            raise ArgumentError("size", self.size, f"says how long the mesh is, and so does {other}: give one of them")
        if self.scale is not None and not (math.isfinite(self.scale) and self.scale > 0):
            raise ArgumentError("scale", self.scale, "is no scale: use a number above 0, such as 0.001")
        if self.size is not None:
            parse_length(self.size)

    @property
    def is_said(self) -> bool:
        """Whether the user says anything of the size."""
        return not (self.unit is None and self.size is None and self.scale is None)

    def metres_per_unit(self, longest: float, said: float | None) -> float:
        """Metres of one unit of a file whose longest side is so long, in its units, and which says its unit or not."""
        if self.size is not None and longest > 0:
            return parse_length(self.size) / longest
        unit = METRES_PER_UNIT[self.unit] if self.unit is not None else said or 1.0
        return unit * (self.scale or 1.0)


def parse_length(length: str | float) -> float:
    """Metres of "12cm", "0.12 m", "120 MM", "5 in" or "9 inches"; a number is metres.

    Raises:
        ArgumentError: it is no length above zero, or its unit is not said.

    Example:
        >>> parse_length("12cm"), parse_length("5 in"), parse_length("2 feet"), parse_length(0.2)
        (0.12, 0.127, 0.6096, 0.2)
    """
    if isinstance(length, str):
        match = re.fullmatch(r"\s*([0-9.,]+(?:e[+-]?\d+)?)\s*([a-z]+|\")?\s*", length.lower())
        unit = unit_said("in" if match[2] == '"' else match[2]) if match and match[2] else None
        if match and "," in match[1]:
            told = length.strip().replace(",", ".")
            raise ArgumentError("size", length, f"has a comma: write decimals after a point, as in {told}")
        try:
            number = float(match[1]) if match else math.nan
        except ValueError:
            number = math.nan
        if not match or not math.isfinite(number) or (match[2] and unit is None):
            raise ArgumentError("size", length, "is no length: write a number and m, cm, mm or in, such as 12cm")
        if unit is None:
            raise ArgumentError("size", length, f"has no unit: write {length.strip()}cm or {length.strip()}mm, say")
        metres = round(number * unit, 12)
    else:
        metres = float(length)
    if not (math.isfinite(metres) and metres > 0):
        raise ArgumentError("size", length, "is no length of a thing: use one above 0, such as 12cm")
    return metres


def unit_said(text: str) -> float | None:
    """Metres of a unit as files name it: "millimeter", "inches", "0.0254 * meters"; None for one that is not known.

    Example:
        >>> unit_said("millimeter"), unit_said("inches"), unit_said("0.01 * meters"), unit_said("parsec")
        (0.001, 0.0254, 0.01, None)
    """
    factor, star, name = text.strip().lower().rpartition("*")
    name = name.strip().replace("metre", "meter").removesuffix("s")
    metres = NAMED_UNITS.get(name, METRES_PER_UNIT.get(name))
    try:
        return metres if metres is None or not star else metres * float(factor)
    except ValueError:
        return None


def number_text(value: float, digits: int = 3) -> str:
    """A number to so many significant digits, as people write it: without powers of ten, thousands parted.

    Example:
        >>> number_text(12_100.3), number_text(3.5), number_text(0.00012345), number_text(-0.0)
        ('12,100', '3.5', '0.000123', '0')
    """
    text = f"{Decimal(f'{value + 0.0:.{digits - 1}e}'):,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def length_text(metres: float, digits: int = 3) -> str:
    """A length in the unit that reads best, to so many digits; beyond what anybody measures only that it is.

    Example:
        >>> length_text(0.12), length_text(3.5), length_text(0.004), length_text(121.0)
        ('12 cm', '3.5 m', '4 mm', '121 m')
        >>> length_text(12_100.0), length_text(3e9), length_text(1e-9)
        ('12.1 km', 'more than 10,000 km', 'less than 0.01 mm')
    """
    size = abs(metres)
    if size >= FAR:
        return f"more than {number_text(FAR / 1000)} km"
    if 0 < size < NEAR:
        return f"less than {number_text(1000 * NEAR)} mm"
    size = float(f"{size:.{digits - 1}e}")  # what rounds up to a metre is one
    unit = next((one for one in ("km", "m", "cm") if size >= SHOWN_UNITS[one]), "mm")
    return f"{number_text(metres / SHOWN_UNITS[unit], digits)} {unit}"


def check_size(size: float, name: str, metres_per_unit: float, sizing: Sizing, said: bool = False) -> list[str]:
    """Notes on the size of a mesh; refuses what only a wrong unit explains, and says which option would help.

    Args:
        size: longest side, metres.
        name: for the message.
        metres_per_unit: of the file.
        sizing: what the user says; a size that the user says is refused only where no hand could hold it.
        said: whether the file says its unit.

    Raises:
        HopriorError: no thing that a hand can hold, or none of that name, is so long.

    Example:
        >>> check_size(0.8, "table.obj", 1.0, Sizing())[0][:30]
        'bounding box is 80 cm, large f'
    """
    usual = sizing.usual
    unit = next((u for u, m in METRES_PER_UNIT.items() if math.isclose(m, metres_per_unit, rel_tol=1e-6)), None)
    units = "scale is as you say" if unit is None else f"units are {UNIT_NAMES[unit]}"
    if said and not sizing.is_said and unit is not None:
        units = f"the file says that its units are {UNIT_NAMES[unit]}"
    found = f"bounding box is {length_text(size)}; {units}"
    if not MIN_SIZE <= size <= MAX_SIZE:
        if sizing.size is not None:
            raise ArgumentError(
                "size",
                sizing.size,
                "is not the size of a thing that a hand can hold: use "
                f"{length_text(MIN_SIZE)} to {length_text(MAX_SIZE)}",
            )
        raise HopriorError(f"{name}: {found}: {_remedy(size, metres_per_unit, unit, usual)}")
    if usual is not None and not usual.allows(size):
        if not sizing.is_said:
            raise HopriorError(f"{name}: {found}, but {usual}: {_remedy(size, metres_per_unit, unit, usual)}")
        return [f"taken as {length_text(size)} long, as you say, although {usual}."]
    if usual is not None and usual.low <= size <= usual.high:
        return []
    if HELD_SIZES[0] <= size <= HELD_SIZES[1]:
        return []
    strange = "large" if size > HELD_SIZES[1] else "small"
    example = "20cm" if usual is None else usual.proposal
    return [
        f"bounding box is {length_text(size)}, {strange} for a thing in one hand: if that is wrong, say how long it is "
        f"with --size, such as --size {example}, or its unit with --mesh-unit."
    ]


def _remedy(size: float, metres_per_unit: float, unit: str | None, usual: UsualSize | None) -> str:
    """The option that makes the size right: a unit that gives a likely length, else the length itself."""
    raw = size / metres_per_unit
    low, high = HELD_SIZES if usual is None else (usual.low, usual.high)
    middle = TYPICAL_SIZE if usual is None else math.sqrt(usual.low * usual.high)
    fitting = [u for u, m in METRES_PER_UNIT.items() if u != unit and low <= raw * m <= high]
    # Inches are rare: they are suggested only where nothing else fits.
    best = min(fitting, key=lambda u: (u == "in", abs(math.log(raw * METRES_PER_UNIT[u] / middle))), default="")
    length = "LENGTH" if usual is None else usual.proposal
    by_length = f"--size {length}"
    if usual is None:
        by_length += ", the length of its longest side, such as --size 20cm"
    # One or two units long, whatever it is: a mesh that was normalised, whose size no unit tells.
    normalised = 0.5 <= raw <= 2.3
    if not best or (normalised and usual is None and best != "m"):
        return f"pass {by_length}"
    return f"pass --mesh-unit {best}? Or {by_length}"
