"""The most likely motion of one hand, from what was seen of it in some of the frames of a video.

Least squares over all frames together: where joints are seen and how deep, robustly; how fingers are bent, as a prior
says; that a hand has one shape and moves smoothly, as fast as hands do. Errors of estimates and accelerations are
normal, so that the same equations give how sure each joint is in each frame (Laplace's approximation).
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from hoprior.geometry.block_chain import ChainSolution, solve_chain
from hoprior.geometry.camera import project
from hoprior.geometry.rotations import rotmat_to_rotvec, rotvec_to_rotmat
from hoprior.hand.base import HandModel
from hoprior.hand.jacobian import ANGLES, RIGID, SHAPE, joint_jacobian
from hoprior.hand.kinematics import forward_kinematics
from hoprior.hand.pose import HandPose

UNKNOWNS = RIGID.stop
"""Of a frame: 45 angles, the wrist's turn and place."""

Posture: TypeAlias = Callable[[Float[Tensor, "n 15 3"]], Float[Tensor, "n 15 3"]]
"""The gradient, in axis-angles, of how unlikely a prior finds n postures (nats; the pull of one frame)."""


@dataclass(frozen=True)
class MotionConfig:
    """How sure estimates are, and how hands move; all standard deviations.

    Of joints that are accelerated by chance, velocities differ after t seconds by `..._change` times sqrt(t), and
    places by `..._drift` times sqrt(t), which holds a hand that nobody sees for long.

    Attributes:
        pixel: of a keypoint, in shares of the hand's longer side in the picture.
        depth: of a joint's depth about the hand's middle, metres.
        outlier: standard deviations from which a keypoint counts less (Cauchy).
        spacing: seconds between estimates whose errors are independent; of more frequent ones each counts less.
        place_change, place_drift: of the wrist's place: m a second, and m.
        turn_change, turn_drift: of the whole hand: rad a second, and rad.
        finger_change, finger_drift: of each finger joint: rad a second, and rad.
        rest: of a finger's angles about the relaxed hand, rad: twist, flexion, abduction.
        limit: of angles beyond a joint's limits, rad.
        shape: of betas, in the shape's own standard deviations.
        posture: of finger rotations about what a prior of postures likes best, rad.
        posture_spacing: seconds between postures that are independent.
        steps: of Gauss-Newton.

    Example:
        >>> MotionConfig(pixel=0.02).steps == MotionConfig().steps
        True
    """

    pixel: float = 0.05
    depth: float = 0.025
    outlier: float = 1.0
    spacing: float = 0.07
    place_change: float = 1.0
    place_drift: float = 0.3
    turn_change: float = 3.0
    turn_drift: float = 1.5
    finger_change: float = 1.5
    finger_drift: float = 0.7
    rest: tuple[float, float, float] = (0.1, 0.5, 0.2)
    limit: float = 0.05
    shape: float = 0.5
    posture: float = 0.25
    posture_spacing: float = 0.1
    steps: int = 15


@dataclass(frozen=True)
class Seen:
    """What was seen of one hand in n frames, left hands mirrored with their cameras.

    Attributes:
        pose: each frame's estimate, or one between its neighbours': where the motion begins.
        K: cameras.
        keypoints: pixels.
        confidence: of the keypoints; all 0 in a frame without a sighting.
        seconds: when, increasing.
        cut: whether another scene begins with a frame.
    """

    pose: HandPose
    K: Float[Tensor, "n 3 3"]
    keypoints: Float[Tensor, "n 21 2"]
    confidence: Float[Tensor, "n 21"]
    seconds: Float[Tensor, " n"]
    cut: Bool[Tensor, " n"] | None = None

    def __len__(self) -> int:
        return len(self.pose)


@dataclass(frozen=True)
class Motion:
    """A hand's motion: one shape, a pose in each of n frames, and how sure its joints are.

    `joints` are in the camera's frame, metres; `spread` is the standard deviation of a joint's place, over its three
    axes together; `spread_about_wrist` the same of its place beside the wrist; `fit` is how many deviations each
    frame's keypoints are off (root mean square), NaN where there are none.
    """

    pose: HandPose
    joints: Float[Tensor, "n 21 3"]
    spread: Float[Tensor, "n 21"]
    spread_about_wrist: Float[Tensor, "n 21"]
    fit: Float[Tensor, " n"]


def most_likely_motion(
    hand: HandModel, seen: Seen, config: MotionConfig | None = None, posture: Posture | None = None
) -> Motion:
    """The motion that explains best what was seen.

    Args:
        hand: the right hand's model.
        seen: at least one frame of it with a hand.
        posture: what pulls fingers to likely postures, beside the relaxed hand.
    """
    return _Fit(hand, seen, config or MotionConfig(), posture).run()


@dataclass(frozen=True)
class _State:
    """n frames: angles on the model's axes, rotations and places, and one shape."""

    angles: Float[Tensor, "n 15 3"]
    rotation: Float[Tensor, "n 3 3"]
    transl: Float[Tensor, "n 3"]
    betas: Float[Tensor, " 10"]

    def moved(self, change: Float[Tensor, "n 51"], shape: Float[Tensor, " 10"]) -> "_State":
        return _State(
            self.angles + change[:, ANGLES].unflatten(1, (15, 3)),
            rotvec_to_rotmat(change[:, RIGID][:, :3]) @ self.rotation,
            self.transl + change[:, RIGID][:, 3:],
            self.betas + shape,
        )


class _Fit:
    """Gauss-Newton over one video, in double precision."""

    def __init__(self, hand: HandModel, seen: Seen, config: MotionConfig, posture: Posture | None) -> None:
        self.model, self.config, self.posture = hand, config, posture
        self.hand = deepcopy(hand).double()
        self.K, self.keypoints = seen.K.double(), seen.keypoints.double()
        self.confidence = seen.confidence.double()
        self.start = seen.pose.to(dtype=torch.double)
        self.is_seen = (seen.confidence > 0).any(dim=1)
        low = torch.where(self.confidence[..., None] > 0, self.keypoints, torch.inf).amin(dim=1)
        high = torch.where(self.confidence[..., None] > 0, self.keypoints, -torch.inf).amax(dim=1)
        extent = (high - low).amax(dim=1).clamp(min=1.0)
        self.pixel = torch.where(self.is_seen, config.pixel * extent, 1.0)
        joints = self.hand.joints_only(
            self.start.hand_pose, self.start.betas, self.start.global_orient, self.start.transl
        )
        self.depths = joints[..., 2] - joints[..., 2].mean(dim=1, keepdim=True)
        seconds = seen.seconds.double()
        steps = seconds.diff()
        own = torch.cat([steps[:1], (steps[1:] + steps[:-1]) / 2, steps[-1:]]) if len(steps) else torch.ones(1).double()
        self.share = (own / config.spacing).clamp(max=1.0)
        self.posture_share = (own / config.posture_spacing).clamp(max=1.0)
        self.ways = _Ways(seconds, seen.cut, config)

    def run(self) -> Motion:
        start = self.start
        angles = self.hand.pose_to_angles(start.hand_pose).clamp(self.hand.angle_low, self.hand.angle_high)
        betas = start.betas[self.is_seen].mean(dim=0)
        state = _State(angles, rotvec_to_rotmat(start.global_orient), start.transl, betas)
        damping, solution = 1e-3, None
        for _ in range(self.config.steps):
            pull = self._pull(state)
            cost = self._cost(state, state, pull)
            for _ in range(6):
                solution = self._step(state, pull, damping)
                proposal = state.moved(solution.links, solution.shared)
                if bool((proposal.transl[:, 2] > 0).all()) and self._cost(proposal, state, pull) < cost:
                    state, damping = proposal, max(damping / 10, 1e-9)
                    break
                damping *= 10
            else:
                break
        return self._motion(state, self._step(state, self._pull(state), 0.0))

    def _points(self, state: _State) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Axis-angles, orientations and places of the joints, and all 21 points, before the hand is moved."""
        rotvec = self.hand.angles_to_pose(state.angles)
        rotations = torch.cat([state.rotation[:, None], rotvec_to_rotmat(rotvec)], dim=1)
        betas = state.betas.expand(len(rotvec), -1)
        turned, placed = forward_kinematics(rotations, self.hand.joints_rest(betas))
        tips = self.hand.tip_positions(rotations, turned, placed, betas)
        return rotvec, turned, placed, torch.cat([placed, tips], dim=1)

    def _misses(self, joints: Float[Tensor, "n 21 3"]) -> tuple[Float[Tensor, "n 21 2"], Float[Tensor, "n 21"]]:
        """Of keypoints and of depths, in deviations."""
        off = (project(joints, self.K) - self.keypoints) / self.pixel[:, None, None]
        depth = joints[..., 2] - joints[..., 2].mean(dim=1, keepdim=True) - self.depths
        return off, depth / self.config.depth

    def _cost(self, state: _State, pulled: _State, pull: Tensor) -> float:
        off, depth = self._misses(self._points(state)[3] + state.transl[:, None])
        c = self.config.outlier**2
        robust = c * torch.log1p(off.square().sum(dim=-1) / c) + c * torch.log1p(depth.square() / c)
        seen = 0.5 * (self.share[:, None] * self.confidence * robust).sum()
        change = (state.angles - pulled.angles).flatten(1)
        prior = (pull * change).sum() + 0.5 * (self._stiffness() * change.square()).sum()
        return float(seen + prior + self.ways.cost(state) + self._rest_cost(state))

    def _rest_cost(self, state: _State) -> Tensor:
        config = self.config
        rest = (state.angles - self.hand.relaxed_angles) / torch.tensor(config.rest).double()
        beyond = self.hand.limit_energy(state.angles) / config.limit**2
        shape = (state.betas / config.shape).square().sum()
        return 0.5 * ((self.posture_share[:, None, None] * rest.square()).sum() + beyond.sum() + shape)

    def _stiffness(self) -> Float[Tensor, "n 1"]:
        """Of the posture's prior, about which its gradient is taken to be linear."""
        if self.posture is None:
            return torch.zeros(len(self.share), 1).double()
        return (self.posture_share / self.config.posture**2)[:, None]

    def _pull(self, state: _State) -> Float[Tensor, "n 45"]:
        """The gradient of the posture's prior in the angles."""
        if self.posture is None:
            return torch.zeros(len(state.angles), 45).double()
        rotvec = self.hand.angles_to_pose(state.angles)
        slope = self.posture(rotvec.to(self.model.axes)).double()
        return self.posture_share[:, None] * self.hand.pose_to_angles(slope).flatten(1)

    def _step(self, state: _State, pull: Tensor, damping: float) -> ChainSolution:
        config = self.config
        rotvec, turned, placed, points = self._points(state)
        joints = points + state.transl[:, None]
        jacobian = joint_jacobian(self.hand, rotvec, turned, placed, points, True)
        off, depth = self._misses(joints)
        focal = torch.stack([self.K[:, 0, 0], self.K[:, 1, 1]], dim=-1)[:, None, :, None]
        x, z = joints[..., :2, None], joints[..., 2, None, None]
        seen_as = focal * (jacobian[..., :2, :] / z - x * jacobian[..., 2:, :] / z**2) / self.pixel[:, None, None, None]
        deep = (jacobian[..., 2, :] - jacobian[..., 2, :].mean(dim=1, keepdim=True)) / config.depth
        sure = self.share[:, None] * self.confidence
        weight = sure / (1 + off.square().sum(dim=-1) / config.outlier**2)
        deep_weight = sure / (1 + depth.square() / config.outlier**2)
        rows = torch.cat([seen_as.flatten(1, 2), deep], dim=1)
        weights = torch.cat([weight.repeat_interleave(2, dim=1), deep_weight], dim=1)
        miss = torch.cat([off.flatten(1), depth], dim=1)
        normal = rows.mT @ (weights[..., None] * rows)
        slope = (rows.mT @ (weights * miss)[..., None])[..., 0]
        angles = slice(0, 45)
        own = normal[:, :UNKNOWNS, :UNKNOWNS].clone()
        gradient = slope[:, :UNKNOWNS] + self.ways.gradient(state)
        rest = self.posture_share[:, None] / torch.tensor(config.rest * 15).double().square()
        away = (state.angles - self.hand.relaxed_angles).flatten(1)
        over = (state.angles - state.angles.clamp(self.hand.angle_low, self.hand.angle_high)).flatten(1)
        gradient[:, angles] += rest * away + over / config.limit**2 + pull
        stiff = torch.zeros_like(gradient)
        stiff[:, angles] = rest + (over != 0) / config.limit**2 + self._stiffness()
        own += torch.diag_embed(stiff + damping * own.diagonal(dim1=1, dim2=2) + 1e-9)
        corner = normal[:, SHAPE, SHAPE].sum(dim=0) + torch.eye(10).double() / config.shape**2
        shape_slope = slope[:, SHAPE].sum(dim=0) + state.betas / config.shape**2
        return self.ways.solved(own, normal[:, :UNKNOWNS, SHAPE], corner, -gradient, -shape_slope)

    def _motion(self, state: _State, solution: ChainSolution) -> Motion:
        inside = replace(state, angles=state.angles.clamp(self.hand.angle_low, self.hand.angle_high))
        rotvec, turned, placed, points = self._points(inside)
        jacobian = joint_jacobian(self.hand, rotvec, turned, placed, points, True)
        n = len(points)
        pose = HandPose(rotvec, inside.betas.expand(n, -1), rotmat_to_rotvec(inside.rotation), inside.transl)
        joints = points + inside.transl[:, None]
        off, _ = self._misses(joints)
        fit = (off.square().sum(dim=-1).mean(dim=1) / 2).sqrt()
        about = jacobian - jacobian[:, :1]
        kind = self.model.axes.dtype
        return Motion(
            pose.to(dtype=kind),
            joints.to(kind),
            _spread(jacobian, solution.covariance).to(kind),
            _spread(about, solution.covariance).to(kind),
            torch.where(self.is_seen, fit, torch.nan).to(kind),
        )


def _spread(jacobian: Float[Tensor, "n 21 3 u"], covariance: Float[Tensor, "n u u"]) -> Float[Tensor, "n 21"]:
    """Standard deviation of points, over three axes together."""
    return ((jacobian @ covariance[:, None]) * jacobian).sum(dim=(-1, -2)).clamp(min=0.0).sqrt()


class _Ways:
    """That hands move as fast as hands do: what velocities differ by, and what they are."""

    def __init__(self, seconds: Float[Tensor, " n"], cut: Bool[Tensor, " n"] | None, config: MotionConfig) -> None:
        n, steps = len(seconds), seconds.diff().clamp(min=1e-3)
        self.n = n
        scale = torch.ones(UNKNOWNS).double()
        self.change, self.drift = scale.clone(), scale.clone()
        for part, change, drift in (
            (ANGLES, config.finger_change, config.finger_drift),
            (slice(45, 48), config.turn_change, config.turn_drift),
            (slice(48, 51), config.place_change, config.place_drift),
        ):
            self.change[part], self.drift[part] = change**-2, drift**-2
        across = torch.zeros(n, dtype=torch.bool) if cut is None else cut
        joined = torch.where(across[1:], CUT, 1.0).double()
        self.steps = steps
        self.velocity_weight = joined * steps
        between = (steps[1:] + steps[:-1]) / 2
        self.change_weight = joined[1:] * joined[:-1] / between
        self.difference = torch.zeros(n - 1, n).double()
        self.difference[range(n - 1), range(n - 1)] = -1 / steps
        self.difference[range(n - 1), range(1, n)] = 1 / steps
        second = self.difference[1:] - self.difference[:-1]
        changing = second.mT @ (self.change_weight[:, None] * second)
        drifting = self.difference.mT @ (self.velocity_weight[:, None] * self.difference)
        # Of a frame with itself, with the next, and with the one after that; one number an unknown.
        self.bands = [
            changing.diagonal(k)[:, None] * self.change + drifting.diagonal(k)[:, None] * self.drift
            if n > k
            else torch.zeros(0, UNKNOWNS).double()
            for k in range(3)
        ]

    def _velocities(self, state: _State) -> Float[Tensor, "m 51"]:
        turns = rotmat_to_rotvec(state.rotation[1:] @ state.rotation[:-1].mT)
        moves = torch.cat([state.angles.flatten(1).diff(dim=0), turns, state.transl.diff(dim=0)], dim=1)
        return moves / self.steps[:, None]

    def cost(self, state: _State) -> Tensor:
        velocity = self._velocities(state)
        changes = (self.change_weight[:, None] * self.change * velocity.diff(dim=0).square()).sum()
        return 0.5 * (changes + (self.velocity_weight[:, None] * self.drift * velocity.square()).sum())

    def gradient(self, state: _State) -> Float[Tensor, "n 51"]:
        velocity = self._velocities(state)
        changes = self.change_weight[:, None] * self.change * velocity.diff(dim=0)
        pull = self.velocity_weight[:, None] * self.drift * velocity
        pull[1:] += changes
        pull[:-1] -= changes
        return self.difference.mT @ pull

    def solved(self, own: Tensor, border: Tensor, corner: Tensor, right: Tensor, right_shared: Tensor) -> ChainSolution:
        """The chain of frames as one of pairs of frames, each of which meets the next pair alone."""
        n, u = self.n, UNKNOWNS
        even = n + n % 2
        full = torch.eye(u).double().repeat(even, 1, 1)
        full[:n] = own + torch.diag_embed(self.bands[0])
        first, second = torch.zeros(even, u).double(), torch.zeros(even, u).double()
        first[: n - 1], second[: max(n - 2, 0)] = self.bands[1], self.bands[2]
        pairs = even // 2
        diagonal = torch.zeros(pairs, 2 * u, 2 * u).double()
        diagonal[:, :u, :u], diagonal[:, u:, u:] = full[0::2], full[1::2]
        diagonal[:, :u, u:] = diagonal[:, u:, :u] = torch.diag_embed(first[0::2])
        beside = torch.zeros(pairs - 1, 2 * u, 2 * u).double()
        beside[:, :u, :u] = torch.diag_embed(second[0:-2:2])
        beside[:, u:, u:] = torch.diag_embed(second[1:-1:2])
        beside[:, u:, :u] = torch.diag_embed(first[1:-1:2])

        def paired(rows: Tensor) -> Tensor:
            padded = torch.cat([rows, rows.new_zeros(even - n, *rows.shape[1:])])
            return padded.unflatten(0, (pairs, 2)).flatten(1, 2)

        found = solve_chain(diagonal, beside, paired(border), corner, paired(right), right_shared)
        links = found.links.unflatten(1, (2, u)).flatten(0, 1)[:n]
        s = len(right_shared)
        blocks = []
        for half in (0, 1):
            keep = [*range(half * u, half * u + u), *range(2 * u, 2 * u + s)]
            blocks.append(found.covariance[:, keep][:, :, keep])
        return ChainSolution(links, found.shared, torch.stack(blocks, dim=1).flatten(0, 1)[:n])


CUT = 1e-4
"""What is left of the tie between two frames with a cut between them: hardly anything."""
