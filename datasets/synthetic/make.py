"""One object's grasps: tried by kind, closed in one batch, tested from the cheapest test to the dearest, worded."""

from collections import Counter
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, fields

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from hoprior.datasets.procedural.closing import Closed, HandCloser
from hoprior.datasets.procedural.placements import Bar, Rule, Site
from hoprior.datasets.samples.sample import GraspSet
from hoprior.datasets.samples.skin import posed_set
from hoprior.datasets.synthetic.grasp_sites import Seats, fits, place, style_of
from hoprior.datasets.synthetic.objects import Graspable, seeded, site_of
from hoprior.datasets.synthetic.templates import TEMPLATES, THUMB, Template
from hoprior.geometry.sdf import SdfGrid, signed_distance
from hoprior.geometry.state import transform_points
from hoprior.hand import HandModel
from hoprior.language.labels import GraspLabel
from hoprior.language.object_words import WORDINGS, intention_of, shape_words, size_word, wordings
from hoprior.language.taxonomy import grasp_type
from hoprior.metrics.walls import fingers_through
from hoprior.physics.posed import SkinZones, closest_contacts, surface_normals
from hoprior.physics.simulation.convex import convex_parts
from hoprior.physics.simulation.survival import holds
from hoprior.physics.statics import unheld_weight

STAGES = ("tried", "closed", "sound", "static", "held")
"""What is counted of each kind of grasp: placements; closed as the kind asks; nothing inside and the right part held;
can carry the weight by statics; held in simulation, which is what is kept."""
EXACT_BELOW = 0.01
"""Distance (m) to a grid's surface beneath which it is computed exactly; more than a cell: no contact is missed."""


@dataclass(frozen=True)
class MakeConfig:
    """How an object's grasps are made.

    tries: placements an object; keep: at most so many of one kind of grasp are kept, in the order tried.
    shapes: different hands an object; steps: of the closing optimiser.
    touch_gap: how near (m) a zone is that touches; idle_gap: how far those stay off that must not.
    depth: greatest penetration (m); crossing: greatest overlap (m) of fingers.
    own_part: least share of the contacts that is on the part which the rule is for, own_rim the same of rules that
        reach inside, whose part is a narrow rim; free_part: greatest share on the parts that are left alone.
    unheld: greatest share of the weight that statics leaves hanging (friction 1).
    simulate: False leaves the simulation out, for tests of what comes before it.
    device: where hands are closed; all tests are made by the CPU.
    """

    tries: int = 96
    keep: int = 8
    shapes: int = 4
    steps: int = 100
    sdf_resolution: int = 96
    touch_gap: float = 0.005
    idle_gap: float = 0.0015
    depth: float = 0.005
    crossing: float = 0.006
    moved: float = 0.035
    turned: float = 0.6
    own_part: float = 0.5
    own_rim: float = 0.08
    free_part: float = 0.05
    unheld: float = 0.7
    simulate: bool = True
    device: str = "cpu"


@dataclass(frozen=True)
class Attempt:
    """A placement to be closed: the rule and kind of grasp, the site, the hand's pose and joint angles."""

    rule: Rule
    template: Template
    T_object_hand: np.ndarray
    angles: Tensor
    verb: str


@dataclass(frozen=True)
class Made:
    """What came of an object: grasps (None where there are none) with `WORDINGS` sentences each, measures, counts.

    `text_id` (n, WORDINGS) indexes `grasps.sentences`. `counts[number]` are the `STAGES` of a kind of grasp.
    """

    object: Graspable
    grasps: GraspSet | None
    text_id: Int[Tensor, "n w"]
    depth: Float[Tensor, " n"]
    contact_area: Float[Tensor, " n"]
    unheld: Float[Tensor, " n"]
    counts: dict[int, tuple[int, ...]]
    words: tuple[str, ...]


def attempts(graspable: Graspable, seats: Seats, num: int, rng: np.random.Generator) -> list[Attempt]:
    """`num` placements, spread over the kinds of grasp that fit any of the object's rules; none where none does."""
    choices: dict[int, list[tuple[Rule, Template]]] = {}
    for rule in graspable.rules:
        site = site_of(rule, seeded(graspable.info.name, rule.name))
        for template in TEMPLATES:
            if site is not None and fits(template, site):
                choices.setdefault(template.number, []).append((rule, template))
    if not choices:
        return []
    numbers = sorted(choices)
    shares = np.array([choices[n][0][1].weight for n in numbers])
    drawn = []
    order = rng.choice(numbers, num, p=shares / shares.sum())
    for number in order:
        pairs = choices[int(number)]
        weights = np.array([rule.weight for rule, _ in pairs])
        rule, template = pairs[rng.choice(len(pairs), p=weights / weights.sum())]
        site = site_of(rule, rng)
        if site is None or not fits(template, site):
            continue
        T, angles = place(template, seats(template), site, rng)
        drawn.append(Attempt(rule, template, T, angles, _verb(template, site, rng)))
    return drawn


def _verb(template: Template, site: Site, rng: np.random.Generator) -> str:
    """What the hand is about to do: what the rule says, where the kind of grasp suits it.

    Nobody hammers with a pinch: what is used by a bar in the fist is only moved by fingertips. A plain hold or lift may
    as well be a handing over.
    """
    verb = site.verb
    if isinstance(site, Bar) and grasp_type(template.number).opposition == "pad" and intention_of(verb) == "use":
        verb = "lift"
    return "pass" if verb in ("hold", "lift") and rng.random() < 0.25 else verb


def make_grasps(graspable: Graspable, hand: HandModel, seed: int, config: MakeConfig) -> Made:
    """An object's checked grasps; they depend on the arguments only."""
    name = graspable.info.name
    rng = seeded(seed, name, "placements")
    seats = Seats(hand)
    tried = attempts(graspable, seats, config.tries, rng)
    shapes = torch.tensor(seeded(seed, name, "hands").normal(size=(config.shapes, 10)), dtype=torch.float32)
    # The shape directions are a little wide: lengths vary by 1.4 cm (docs/conventions.md).
    shapes[:, 0] *= 0.8
    betas = shapes[torch.arange(len(tried)) % config.shapes]
    counts = {a.template.number: Counter({"tried": 0}) for a in tried}

    def count(stage: str, chosen: Sequence[int]) -> None:
        for i in chosen:
            counts[tried[i].template.number][stage] += 1

    count("tried", range(len(tried)))
    kept: list[int] = []
    measures: dict[str, Tensor] = {}
    closed = None
    if tried:
        true = SdfGrid.from_mesh(graspable.solid, resolution=config.sdf_resolution, margin=0.06)
        closed = _closed(graspable, hand, tried, betas, true, config)
        good = _as_asked(tried, closed, config).nonzero()[:, 0].tolist()
        count("closed", good)
        measures = _measured(graspable, hand, true, closed, betas, good)
        sound = [i for i in good if _sound(graspable, tried[i], measures, i, config)]
        count("sound", sound)
        verts = measures["verts"]
        measures["unheld"] = _unheld(graspable, hand, true, verts, sound, len(tried))
        static = [i for i in sound if measures["unheld"][i] <= config.unheld]
        count("static", static)
        kept = _held(graspable, hand, true, tried, verts, static, config)
        count("held", kept)
    table = {n: tuple(c[stage] for stage in STAGES) for n, c in sorted(counts.items())}
    size = size_word(float(graspable.mesh.extents.max()), graspable.usual)
    words = (size, *shape_words(graspable.solid))
    if not kept or closed is None:
        nothing = torch.zeros(0)
        return Made(graspable, None, torch.zeros(0, WORDINGS).long(), nothing, nothing, nothing, table, words)
    chosen = torch.tensor(kept)
    grasps, text_id = _worded(graspable, hand, tried, kept, closed[chosen], betas[chosen], measures, words)
    depth, area, unheld = (measures[k][chosen].float() for k in ("depth", "area", "unheld"))
    return Made(graspable, grasps, text_id, depth, area, unheld, table, words)


def _closed(
    graspable: Graspable,
    hand: HandModel,
    tried: Sequence[Attempt],
    betas: Float[Tensor, "b 10"],
    true: SdfGrid,
    config: MakeConfig,
) -> Closed:
    """All attempts, closed: those that reach inside on the object itself, the others on the object filled up."""
    where = config.device
    model = hand if where == "cpu" else deepcopy(hand).to(where)
    outside = true
    if graspable.filled is not None:
        outside = SdfGrid.from_mesh(graspable.filled, resolution=config.sdf_resolution, margin=0.06)
    order: list[int] = []
    batches = []
    for inside, seen in ((False, outside), (True, true)):
        mine = [i for i, attempt in enumerate(tried) if attempt.rule.inside == inside]
        if not mine:
            continue
        start = torch.stack([tried[i].angles for i in mine])
        start = torch.minimum(torch.maximum(start, hand.angle_low), hand.angle_high)
        T0 = torch.tensor(np.stack([tried[i].T_object_hand for i in mine]), dtype=torch.float32)
        style = style_of([tried[i].template for i in mine], start)
        closer = HandCloser(model, config.steps, betas[mine].to(where))
        with torch.enable_grad():
            closed = closer.close(seen.to(where), T0.to(where), start.to(where), style.to(where))
        batches.append(closed.to("cpu"))
        order += mine
    return batches[0].joined(batches[1:])[torch.tensor(order).argsort()]


def _as_asked(tried: Sequence[Attempt], closed: Closed, config: MakeConfig) -> Bool[Tensor, " b"]:
    """Whether what the kind of grasp wants to touch does, what it wants off is off, and the palm is where it was put.

    Of several fingers that act as one, one may miss; of those that close around a thing in the palm, half.
    """
    gaps = torch.cat([closed.finger_gap, closed.other_gap], dim=1)
    wanted = torch.tensor([(*a.template.touch, *a.template.sides, a.template.palm) for a in tried])
    touching, asked = gaps < config.touch_gap, wanted > 0.5
    missing = (asked & ~touching)[:, :THUMB].sum(1)
    fingers = asked[:, :THUMB].sum(1)
    in_palm = torch.tensor([grasp_type(a.template.number).opposition == "palm" for a in tried])
    slack = torch.where(in_palm, fingers // 2, (fingers > 2).long())
    rest = (touching | ~asked)[:, THUMB:].all(1)
    precise = torch.tensor([grasp_type(a.template.number).type != "power" for a in tried])
    idle = (gaps[:, :THUMB] > config.idle_gap) | (wanted[:, :THUMB] > 0)
    by_side = torch.tensor([any(a.template.sides) for a in tried])
    placed = (closed.moved < config.moved) & (closed.turned < config.turned) & (closed.crossed < config.crossing)
    return (
        (missing <= slack) & rest & (idle.all(1) | by_side | ~precise) & placed & (closed.depth < config.depth + 0.001)
    )


def _measured(
    graspable: Graspable,
    hand: HandModel,
    sdf: SdfGrid,
    closed: Closed,
    betas: Float[Tensor, "b 10"],
    good: Sequence[int],
) -> dict[str, Tensor]:
    """Vertices (object's frame), exact depth (m), share of vertices in contact, and of contacts on each part; and how
    many fingers go through a wall. Distances are exact where the grid's are below `EXACT_BELOW`; nothing else asks."""
    n, parts = len(closed.angles), len(graspable.part_names)
    pose = hand.angles_to_pose(closed.angles)
    output = hand(pose, betas)
    verts = transform_points(closed.T_object_hand, output.verts)
    depth, area, share = torch.full((n,), torch.inf), torch.zeros(n), torch.zeros(n, parts)
    through = torch.zeros(n, dtype=torch.long)
    if good:
        joints = transform_points(closed.T_object_hand, output.joints)[list(good)]
        through[list(good)] = torch.tensor(fingers_through(joints, graspable.solid))
        points = verts[list(good)].numpy().astype(np.float64)
        distance = sdf(verts[list(good)]).numpy().astype(np.float64)
        near = distance < EXACT_BELOW
        distance[near] = signed_distance(graspable.solid, points[near])
        for row, i in enumerate(good):
            touching = distance[row] < 0.003
            depth[i], area[i] = max(0.0, -float(distance[row].min())), float(touching.mean())
            if touching.any():
                found = np.bincount(graspable.parts_near(points[row][touching]), minlength=parts)
                share[i] = torch.tensor(found / touching.sum(), dtype=torch.float32)
    return {"verts": verts, "depth": depth, "area": area, "share": share, "through": through}


def _sound(graspable: Graspable, attempt: Attempt, measures: dict[str, Tensor], i: int, config: MakeConfig) -> bool:
    """Whether nothing is too deep or through a wall, and contacts are on the part that they should be on."""
    names, share = graspable.part_names, measures["share"][i]
    own = graspable.part_of_rule(attempt.rule)
    least = config.own_rim if attempt.rule.inside else config.own_part
    if measures["through"][i] or (own is not None and share[names.index(own)] < least):
        return False
    off_limits = [k for k, name in enumerate(names) if name in graspable.free and name != own]
    return bool(measures["depth"][i] < config.depth and share[off_limits].sum() <= config.free_part)


def _unheld(
    graspable: Graspable,
    hand: HandModel,
    sdf: SdfGrid,
    verts: Float[Tensor, "b v 3"],
    sound: Sequence[int],
    num: int,
) -> Float[Tensor, " b"]:
    """What statics leaves hanging; 1 for those not asked about."""
    unheld = torch.ones(num)
    if sound:
        placed = verts[list(sound)]
        distance = sdf(placed)
        points, gaps = closest_contacts(SkinZones(hand).bones + _sides(hand), placed, distance)
        push = (gaps < 0.002).float()
        centre = torch.tensor(graspable.solid.center_mass, dtype=torch.float32)
        unheld[list(sound)] = unheld_weight(points, surface_normals(sdf, points), push, centre, friction=1.0)
    return unheld


def _sides(hand: HandModel) -> list[Int[Tensor, "_"]]:
    """Vertices of each bone that are no pads: the sides, which hold sticks and keys."""
    pads = torch.zeros(len(hand.v_template), dtype=torch.bool)
    pads[hand.pad_ids] = True
    masks = [(hand.vertex_part == bone) & ~pads for bone in range(1, 16)]
    return [mask.nonzero()[:, 0] for mask in masks if mask.any()]


def _held(
    graspable: Graspable,
    hand: HandModel,
    sdf: SdfGrid,
    tried: Sequence[Attempt],
    verts: Float[Tensor, "b v 3"],
    static: Sequence[int],
    config: MakeConfig,
) -> list[int]:
    """Those that the simulation holds, at most `config.keep` of a kind."""
    faces = hand.faces.numpy()
    kept: list[int] = []
    taken: Counter[int] = Counter()
    parts = convex_parts(graspable.solid) if static and config.simulate else None

    def near(points: np.ndarray) -> np.ndarray:
        return sdf(torch.tensor(points, dtype=torch.float32)).numpy()

    for i in static:
        number = tried[i].template.number
        if taken[number] < config.keep and (
            parts is None or holds(verts[i].numpy().astype(np.float64), faces, parts, near)
        ):
            kept.append(i)
            taken[number] += 1
    return kept


def _worded(
    graspable: Graspable,
    hand: HandModel,
    tried: Sequence[Attempt],
    kept: Sequence[int],
    closed: Closed,
    betas: Float[Tensor, "n 10"],
    measures: dict[str, Tensor],
    words: tuple[str, ...],
) -> tuple[GraspSet, Int[Tensor, "n w"]]:
    """The kept grasps as a set, and which sentences each has."""
    labels, texts = [], []
    for i in kept:
        attempt = tried[i]
        part = graspable.part_names[int(measures["share"][i].argmax())]
        labels.append(GraspLabel(attempt.template.number, part, intention_of(attempt.verb)))
        kind = grasp_type(attempt.template.number)
        texts.append(wordings(graspable.info.category, attempt.verb, part, kind, words[0], words[1:]))
    sentences = tuple(dict.fromkeys(text for row in texts for text in row))
    known = tuple(dict.fromkeys(labels))
    rules = tuple(dict.fromkeys(tried[i].rule.name for i in kept))
    text_id = torch.tensor([[sentences.index(text) for text in row] for row in texts])
    up = torch.tensor([0.0, 0.0, float(graspable.upright)])
    grasps = posed_set(
        graspable.info,
        hand,
        closed.angles,
        closed.T_object_hand,
        recorded=True,
        text_id=text_id[torch.arange(len(kept)), torch.arange(len(kept)) % WORDINGS],
        sequence_id=torch.tensor([rules.index(tried[i].rule.name) for i in kept]),
        sentences=sentences,
        sequences=rules,
        up_object=up.repeat(len(kept), 1),
        subject="synthetic",
        betas=betas,
        labels=known,
        label_id=torch.tensor([known.index(label) for label in labels]),
    )
    return grasps, text_id


def settings_of(config: MakeConfig) -> dict[str, object]:
    """The settings by name, for a manifest."""
    return {field.name: getattr(config, field.name) for field in fields(config)}
