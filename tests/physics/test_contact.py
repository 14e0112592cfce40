"""Contact energies: what they pull, what they push, and what they leave alone."""

import torch
from torch import Tensor

from hoprior.geometry.state import rigid
from hoprior.hand import load_hand
from hoprior.hand.bones import FINGER_CHAINS
from hoprior.physics.bone_samples import BoneSamples, finger_samples
from hoprior.physics.collision import CollisionGuard
from hoprior.physics.contact import (
    ContactEnergy,
    ContactWeights,
    bone_penetration,
    finger_crossing,
    imbalance,
    penetration,
    saturating,
)
from hoprior.physics.posed import PosedHands, SkinZones, pose_hands

HAND = load_hand()


def ball(centre: tuple[float, float, float], radius: float):  # type: ignore[no-untyped-def]
    def sdf(points: Tensor) -> Tensor:
        return (points - torch.tensor(centre)).norm(dim=-1) - radius

    return sdf


def at_origin(num: int = 1) -> Tensor:
    return rigid(torch.eye(3).expand(num, 3, 3), torch.zeros(num, 3))


def test_penetration_is_zero_outside_and_grows_inside() -> None:
    assert penetration(torch.tensor([[0.0, 0.1, -0.0005]]), 0.001).item() == 0
    assert torch.isclose(penetration(torch.tensor([[-0.003, 0.1]]), 0.001), torch.tensor([4e-6])).all()


def test_saturating_leaves_far_points_alone() -> None:
    far = torch.tensor([[0.10]], requires_grad=True)
    near = torch.tensor([[0.002]], requires_grad=True)
    saturating(far, 0.004).sum().backward()
    saturating(near, 0.004).sum().backward()
    assert far.grad is not None and near.grad is not None
    assert far.grad.abs().item() < 0.01 * near.grad.abs().item()


def test_closing_bends_fingers_and_does_not_move_the_hand() -> None:
    # Far from the palm and from every pad: only the term that closes fingers has a gradient.
    weights = ContactWeights(
        balance_weight=0.0,
        hand_weight=0.0,
        crossing_weight=0.0,
        limit_weight=0.0,
        spread_weight=0.0,
        coupling_weight=0.0,
    )
    energy = ContactEnergy(HAND, ball((0.12, 0.0, 0.06), 0.02), weights)
    angles = HAND.relaxed_angles[None].clone().requires_grad_()
    T = at_origin().requires_grad_()
    energy(angles, T).sum().backward()
    assert angles.grad is not None and angles.grad.abs().sum() > 0
    assert T.grad is None or T.grad.abs().sum() == 0


def test_a_hand_is_pushed_out_of_an_object() -> None:
    energy = ContactEnergy(HAND, ball((0.09, 0.0, 0.0), 0.03))
    T = at_origin().requires_grad_()
    energy(HAND.relaxed_angles[None], T).sum().backward()
    assert T.grad is not None
    # Down, away from an object in the palm: the gradient of the energy points into it.
    inside = ContactEnergy(HAND, ball((0.09, 0.0, 0.03), 0.03))
    T = at_origin().requires_grad_()
    inside(HAND.relaxed_angles[None], T).sum().backward()
    assert T.grad is not None and T.grad[0, 2, 3] > 0


def test_opposed_contacts_balance_and_one_sided_ones_do_not() -> None:
    sdf, skin = ball((0.0, 0.0, 0.0), 0.03), SkinZones(HAND)
    verts = torch.full((2, len(HAND.v_template), 3), 1.0)
    sides = torch.tensor([[0.03, 0, 0], [0.03, 0, 0], [-0.03, 0, 0], [-0.03, 0, 0], [0, 0.03, 0], [0, -0.03, 0]])
    groups = [*skin.fingers, skin.palm]
    for ids, place in zip(groups, sides, strict=True):
        verts[0, ids] = place
        verts[1, ids] = torch.tensor([0.03, 0.0, 0.0])
    angles, joints = torch.zeros(2, 15, 3), torch.zeros(2, 21, 3)
    balance = imbalance(sdf, PosedHands(angles, at_origin(2), joints, verts, verts, sdf(verts)), groups)
    assert balance[0] < 1e-3 and balance[1] > 0.9


def test_energy_of_one_hand_does_not_depend_on_the_others() -> None:
    energy = ContactEnergy(HAND, ball((0.09, 0.0, 0.05), 0.03))
    angles = HAND.relaxed_angles + 0.1 * torch.randn(3, 15, 3, generator=torch.Generator().manual_seed(0))
    together = energy(angles, at_origin(3))
    alone = torch.cat([energy(angles[i : i + 1], at_origin()) for i in range(3)])
    assert torch.allclose(together, alone, rtol=1e-4)


def test_crossed_fingers_cost() -> None:
    rest = HAND.joints_only(torch.zeros(1, 15, 3))
    crossed = rest.clone()
    crossed[:, [4, 5, 6, 18]] = crossed[:, [1, 2, 3, 17]]
    assert finger_crossing(crossed, 0.013) > finger_crossing(rest, 0.013) + 1e-5


def test_a_finger_through_a_thin_wall_is_noticed_by_its_bones() -> None:
    def wall(points: Tensor) -> Tensor:  # 2 mm thick, across the index finger's middle
        return (points[..., 0] - 0.14).abs() - 0.001

    def far_wall(points: Tensor) -> Tensor:
        return (points[..., 0] - 0.40).abs() - 0.001

    flat = torch.zeros(1, 15, 3)
    through, clear = (
        bone_penetration(sdf, pose_hands(HAND, sdf, flat, at_origin()), 0.005) for sdf in (wall, far_wall)
    )
    assert clear.item() == 0
    assert through.item() > 1e-5


def knuckles_bent() -> Tensor:
    """Straight fingers that point up, out of the palm's plane."""
    angles = torch.zeros(1, 15, 3)
    angles[:, [0, 3, 6, 9], 1] = 1.2
    return angles


def test_bone_points_go_from_each_finger_s_base_outwards() -> None:
    joints = HAND.joints_only(torch.zeros(1, 15, 3))
    fingers = BoneSamples.of(joints).fingers.unflatten(1, (5, -1))
    for finger, chain in zip(fingers[0], FINGER_CHAINS, strict=True):
        assert torch.allclose(finger[0], joints[0, chain[0]])
        along = (finger - finger[0]).norm(dim=1)
        assert (along.diff() >= 0).all() and along[-1] > 0.03
    samples = BoneSamples.of(joints)
    assert torch.equal(samples.points, torch.cat([finger_samples(joints), samples.palm], dim=1))
    values = torch.arange(162.0)[None]
    assert BoneSamples.least_by_bone(values).tolist() == [[0, 30, 60, 90, 120, 150]]


def test_fingers_close_from_open_up_to_a_wall_and_not_through_it() -> None:
    def floating_wall(points: Tensor) -> Tensor:  # 2 mm thick, 5 cm up, beyond the thumb
        return torch.maximum((points[..., 2] - 0.05).abs() - 0.001, 0.14 - points[..., 0])

    guard = CollisionGuard(HAND, floating_wall)
    tips = [chain[-1] for chain in FINGER_CHAINS[:4]]
    assert (
        HAND.joints_only(HAND.angles_to_pose(knuckles_bent()))[0, tips, 2] > 0.031
    ).any()  # unhindered, they go through
    angles, blocked = guard.close_fingers(knuckles_bent(), at_origin())
    points = finger_samples(HAND.joints_only(HAND.angles_to_pose(angles)))[:, :60]  # the two longest fingers
    assert blocked.item() == 0 and (points[..., 2] < 0.05).all()
    assert angles[0, :12, 1].max() > 0.2


def test_what_an_open_hand_meets_is_counted_and_left_as_it_is() -> None:
    def wall_across(points: Tensor) -> Tensor:  # through the four straight fingers
        return (points[..., 0] - 0.13).abs() - 0.001

    guard = CollisionGuard(HAND, wall_across)
    angles, blocked = guard.close_fingers(knuckles_bent(), at_origin())
    assert blocked.item() == 4 and torch.allclose(angles[:, :12], knuckles_bent()[:, :12])
    clear = guard.clear(torch.zeros(1, 15, 3), at_origin())
    assert clear.tolist() == [[False, False, False, False, True, True]]
