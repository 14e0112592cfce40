"""Which link of a robot's hand is which finger: guessed from names, or told by a small YAML file."""

import difflib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from hoprior.common.reading import read_yaml
from hoprior.errors import HopriorError
from hoprior.hand.joint_order import TIP_FINGERS
from hoprior.physics.robots.description import RobotDescription

WORDS = {
    "thumb": ("thumb", "th"),
    "index": ("index", "forefinger", "pointer", "ff"),
    "middle": ("middle", "mf"),
    "ring": ("ring", "rf"),
    "pinky": ("pinky", "pinkie", "little", "lf"),
}
"""What fingers are called in links' names; a middle one's "ffmiddle" is of the index."""
SHORT = r"(ff|mf|rf|lf|th)(?=tip|distal|middle|proximal|knuckle|hub|base|metacarpal|$)"
ALLEGRO = {"link_15": "thumb", "link_3": "index", "link_7": "middle", "link_11": "ring"}
"""Wonik's Allegro hand numbers its links."""
LEAST_FINGERS = 2


@dataclass(frozen=True)
class RobotFinger:
    """One finger.

    Attributes:
        name: the human finger that it stands for.
        tip: number of the link that is told or guessed: the last one of the finger.
        links: numbers of all its links that move, and of what is fixed to them, from its root to the tip.
        distal: those of them that the last joint moves: what it touches with.
    """

    name: str
    tip: int
    links: tuple[int, ...]
    distal: tuple[int, ...]


def find_fingers(
    hand: RobotDescription, given: str | Path | Mapping[str, str] | None = None
) -> tuple[RobotFinger, ...]:
    """The fingers of a hand.

    Args:
        given: link of each finger by the finger's name, or a YAML file of that; None for a guess from links' names.

    Raises:
        HopriorError: there are no fingers, nothing can be guessed, or a map names what is not there.
    """
    ends = _ends(hand)
    if len(ends) < LEAST_FINGERS:
        count = "no fingers" if not ends else "one finger"
        raise HopriorError(f"{Path(hand.source).name}: has {count} that move by themselves: give a hand's URDF")
    tips = _guessed(hand, ends) if given is None else _told(hand, given)
    if len(tips) < LEAST_FINGERS or "thumb" not in tips:
        names = ", ".join(hand.links[end].name for end in ends)
        missing = "the thumb" if len(tips) >= LEAST_FINGERS else "the fingers"
        raise HopriorError(
            f"{Path(hand.source).name}: nothing tells {missing} from links' names ({names[:200]}):"
            " say it in a YAML file, --fingers FILE with lines like 'thumb: LINK'"
        )
    fingers = []
    for name in TIP_FINGERS:
        if name in tips:
            fingers.append(_finger(hand, name, tips[name], {tip for other, tip in tips.items() if other != name}))
    return tuple(fingers)


def _finger(hand: RobotDescription, name: str, tip: int, others: set[int]) -> RobotFinger:
    shared = {link for other in others for link in hand.chain(other)}
    own = [link for link in hand.chain(tip) if link not in shared]
    moving = [link for link in own if hand.links[link].joint is not None]
    if not moving:
        raise HopriorError(
            f"{Path(hand.source).name}: the {name}'s link '{hand.links[tip].name}' has no joint of its own"
        )
    chain = own[: own.index(moving[-1]) + 1]
    last = moving[0]
    # A finger's other ends, a mark beside the tip, are told from it by nothing, and move with it.
    kept, links = _with_what_is_fixed(hand, {last}), _with_what_is_fixed(hand, chain)
    distal = tuple(sorted(number for number in kept if hand.links[number].hulls))
    solid = [link for link in sorted(links | kept) if hand.links[link].hulls]
    if not distal:  # the shape of the last joint's link lies above it
        distal = tuple(solid[-1:])
    if not distal:
        raise HopriorError(
            f"{Path(hand.source).name}: the {name}'s links have no shape: give a URDF with collision meshes"
        )
    return RobotFinger(name, tip, tuple(sorted(links | kept)), distal)


def _with_what_is_fixed(hand: RobotDescription, moving: Collection[int]) -> set[int]:
    """Links, and those that are fixed to them."""
    kept = set(moving)
    for number, link in enumerate(hand.links):
        if link.parent in kept and link.joint is None:
            kept.add(number)
    return kept


def _ends(hand: RobotDescription) -> list[int]:
    """The last moving link of each branch, or a named frame that is fixed to it at the end."""
    parents = {link.parent for link in hand.links}
    ends: dict[int, int] = {}
    for number in range(len(hand.links)):
        if number in parents:
            continue
        moved = next((k for k in hand.chain(number) if hand.links[k].joint is not None), None)
        if moved is None:
            continue
        below = any(hand.links[k].joint is not None and moved in hand.chain(k)[1:] for k in range(len(hand.links)))
        if not below and (moved not in ends or _tip_like(hand, number) > _tip_like(hand, ends[moved])):
            ends[moved] = number
    return list(ends.values())


def _tip_like(hand: RobotDescription, number: int) -> int:
    return int("tip" in hand.links[number].name.lower())


def _guessed(hand: RobotDescription, ends: list[int]) -> dict[str, int]:
    tips: dict[str, int] = {}
    for end in ends:
        for link in hand.chain(end):
            name = _finger_of(hand.links[link].name) or _finger_of_joint(hand, link)
            if name is not None:
                if name not in tips:
                    tips[name] = end
                break
    return tips


def _finger_of_joint(hand: RobotDescription, link: int) -> str | None:
    joint = hand.links[link].joint
    return None if joint is None else _finger_of(joint.name)


def _finger_of(name: str) -> str | None:
    """The finger that a link's name speaks of: the first one, as "index_middle" is the index's middle bone."""
    for start, finger in ALLEGRO.items():
        if re.fullmatch(rf"{start}(\.0)?(_tip(_fsr|_\w+)?)?", name):
            return finger
    plain = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower()
    words = [word for word in re.split(r"[^a-z]+", plain) if word]
    for word in words:
        short = re.match(SHORT, word)
        for finger, called in WORDS.items():
            if (short and short[1] in called) or any(len(c) > 2 and word.startswith(c) for c in called):
                return finger
    return None


def _told(hand: RobotDescription, given: str | Path | Mapping[str, str]) -> dict[str, int]:
    source = "fingers" if isinstance(given, Mapping) else Path(given).name
    content = given if isinstance(given, Mapping) else read_yaml(given, "write it anew")
    if not isinstance(content, Mapping) or not content:
        raise HopriorError(f"{source}: is no map of fingers: write lines like 'thumb: LINK'")
    names = [link.name for link in hand.links]
    tips: dict[str, int] = {}
    for finger, link in content.items():
        if finger not in TIP_FINGERS:
            raise HopriorError(f"{source}: '{str(finger)[:40]}' is no finger: use {', '.join(TIP_FINGERS)}")
        if not isinstance(link, str) or link not in names:
            near = difflib.get_close_matches(str(link), names, 3, 0.3) or names[:5]
            raise HopriorError(
                f"{source}: {finger}: the hand has no link '{str(link)[:60]}': it has {', '.join(near)} and others"
            )
        tips[finger] = names.index(link)
    twice = [finger for finger, tip in tips.items() if list(tips.values()).count(tip) > 1]
    if twice:
        raise HopriorError(f"{source}: {' and '.join(twice)} are the same link: give each finger its own")
    return tips
