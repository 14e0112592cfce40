"""The table of kinds of grasp, and the open hands that each begins with."""

import numpy as np
import pytest
import torch

from hoprior.datasets.procedural.closing import zones
from hoprior.datasets.procedural.families import FAMILIES
from hoprior.datasets.procedural.placements import across, cap, flat_in_palm, tripod, wrap
from hoprior.datasets.synthetic.grasp_sites import CLEARANCE, Seats, fits, kind_of, place, span_of
from hoprior.datasets.synthetic.objects import Catalogue, site_of
from hoprior.datasets.synthetic.templates import BY_TYPE, TEMPLATES, Template
from hoprior.errors import HopriorError
from hoprior.hand import load_hand
from hoprior.language.taxonomy import BY_NUMBER, TAXONOMY, grasp_type

SITES = {
    "bar": wrap((-0.03, 0, 0), (0.03, 0, 0), 0.01),
    "ball": cap((0, 0, 0), (0, 0, 1), 0.02),
    "disk": cap((0, 0, 0), (0, 0, 1), 0.02, disk=True),
    "slab": across((0, 0, 0.03), (0, 0, -1), (1, 0, 0), 0.015),
    "pen": tripod((0.1, 0, 0), (0, 0, 0), radius=0.004),
    "flat": flat_in_palm((0, 0, 0), (0, 0, 1), (1, 0, 0)),
}


def test_the_table_has_the_28_kinds_and_each_has_a_template() -> None:
    assert len(TAXONOMY) == len(BY_NUMBER) == 28 and set(BY_TYPE) == set(BY_NUMBER)
    assert {6, 8, 15, 21, 32}.isdisjoint(BY_NUMBER)
    with pytest.raises(HopriorError, match="no grasp of taxonomy number 6"):
        grasp_type(6)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda t: grasp_type(t.number).name)
def test_templates_agree_with_the_taxonomy(template: Template) -> None:
    kind = grasp_type(template.number)
    oppose = max(template.opened.thumb[1], template.closed.thumb[1])
    assert oppose <= 12 if kind.thumb == "adducted" else oppose >= 10
    assert (template.palm > 0.5) == (kind.opposition == "palm")
    assert any(template.sides) == (kind.opposition == "side")
    fingers = [place for place, number in enumerate((2, 3, 5, 4)) if template.touch[place] > 0.5 and number]
    if kind.opposition == "pad" and kind.number != 19:
        first, _, last = kind.fingers.partition("-")
        assert len(fingers) == int(last or first) - int(first) + 1


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda t: grasp_type(t.number).name)
def test_templates_are_within_the_joint_limits(template: Template) -> None:
    hand = load_hand()
    for posture in (template.opened, template.closed):
        excess = hand.limit_energy(posture.angles()[None])
        assert float(excess) < 1e-6


def test_the_thing_is_put_between_what_opposes() -> None:
    hand = load_hand()
    seats, groups = Seats(hand), zones(hand)[0]
    for template in TEMPLATES:
        if not template.one or template.kinds[0] not in ("bar", "slab", "ball", "disk"):
            continue
        site = SITES[template.kinds[0]]
        T, angles = place(template, seats(template), site, np.random.default_rng(0))
        verts = hand(hand.angles_to_pose(angles[None])).verts[0] @ torch.tensor(T[:3, :3].T, dtype=torch.float32)
        verts = verts + torch.tensor(T[:3, 3], dtype=torch.float32)
        sides = [torch.stack([verts[groups[z]].mean(0) for z in ids]).mean(0) for ids in (template.one, template.two)]
        assert float((sum(sides) / 2)[0 if kind_of(site) == "slab" else 2].abs()) < 0.02, grasp_type(template.number)


def test_an_open_hand_is_as_wide_as_what_it_takes() -> None:
    seat = Seats(load_hand())(BY_TYPE[9])
    assert seat.gaps[0] > seat.gaps[-1]
    for span in (0.005, 0.02):
        assert seat.gaps[seat.fitting(span)] >= span + CLEARANCE or seat.fitting(span) == 0


def test_kinds_go_only_where_they_make_sense() -> None:
    assert fits(BY_TYPE[20], SITES["pen"]) and not fits(BY_TYPE[1], SITES["pen"])
    assert span_of(SITES["bar"]) == pytest.approx(0.02) and fits(BY_TYPE[2], SITES["bar"])
    assert not fits(BY_TYPE[1], SITES["bar"]), "a thin bar is no large diameter"


def test_every_family_has_a_site_that_some_kind_fits_and_every_kind_a_family() -> None:
    reached: set[int] = set()
    catalogue = Catalogue.of(None, [], 0)
    for i, family in enumerate(FAMILIES):
        mine: set[int] = set()
        for k in range(3):
            design = family.make(np.random.default_rng([i, k]))
            for rule in design.rules:
                site = site_of(rule, np.random.default_rng(k))
                mine |= {t.number for t in TEMPLATES if site is not None and fits(t, site)}
        assert mine, family.name
        reached |= mine
    assert reached == set(BY_NUMBER), sorted(set(BY_NUMBER) - reached)
    assert len(catalogue.kinds) >= 40
