"""Inverse kinematics: the pose of a hand model whose 21 joints lie where they are wanted.

Levenberg-Marquardt on the joint angles, the wrist's rotation and position and, if asked, the shape, with the exact
geometric Jacobian of the kinematic tree; all hands of a batch at once. Angles stay in the model's limits by
projection: a step is clamped, and an angle that pushes against its limit leaves the system (Bertsekas, Projected
Newton methods for optimization problems with simple constraints, 1982).
"""

from copy import deepcopy
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from hoprior.errors import HopriorError
from hoprior.geometry.rotations import rigid_registration, rotmat_to_rotvec, rotvec_to_rotmat
from hoprior.hand.base import HandModel
from hoprior.hand.jacobian import ANGLES, RIGID, SHAPE, joint_jacobian
from hoprior.hand.kinematics import forward_kinematics
from hoprior.hand.pose import HandPose

ANGLE_PRIOR = 0.001
"""Metres that joints may miss their targets by to bring an angle one radian closer to rest: enough to settle what
joints do not show, such as the twist of a straight finger. Noisy joints want more."""

BETAS_PRIOR = 0.003
"""Metres that joints may miss their targets by to bring a shape one standard deviation closer to the average: about
what recorded joints are good to. Less lets shapes run off to explain noise, and now and then into a local minimum."""

PALM = (0, 1, 4, 7, 10)
"""The wrist and the four MCPs: they keep their place in the hand, so they start the registration."""

DAMPING_START, DAMPING_LOW, DAMPING_HIGH = 1e-3, 1e-9, 1e3
MARQUARDT_FLOOR = 1e-6
"""Damps also what no joint shows, m²/rad²."""
SETTLED = 1e-6
"""Relative gain below which a step was the last that is worth taking."""
LOOKED_AT_EVERY = 5
"""Steps after which a GPU is waited for to tell whether all hands have settled."""


@dataclass(frozen=True)
class IKResult:
    """b fitted hands.

    `joints` are the model's own, in the frame of the targets; `error` is the mean distance from them to the targets,
    over the joints with weight, metres.
    """

    pose: HandPose
    joints: Float[Tensor, "b 21 3"]
    error: Float[Tensor, " b"]

    def __len__(self) -> int:
        return len(self.error)


@torch.no_grad()
def fit_joints(
    model: HandModel,
    joints: Float[Tensor, "b 21 3"],
    weights: Float[Tensor, "#b 21"] | Float[Tensor, "21"] | None = None,
    fit_betas: bool = False,
    steps: int = 25,
    angle_prior: float = ANGLE_PRIOR,
    betas_prior: float = BETAS_PRIOR,
    rays: Float[Tensor, "b 21 3"] | None = None,
    depth_weight: float = 1.0,
    start: HandPose | None = None,
    rest: Float[Tensor, "15 3"] | None = None,
) -> IKResult:
    """Fit a hand model to 21 joints, each hand on its own, deterministically.

    Args:
        model: the hand, of the side that the joints are of.
        joints: wanted positions in MANO's order (`reorder_joints` brings others into it), any frame, metres.
        weights: importance of each joint, for all hands or for each, 0 to leave it out; all the same without.
        fit_betas: also fit the shape of the hand, else it is the average one.
        steps: of Levenberg-Marquardt; the default is enough from where the registration starts.
        angle_prior: pull of angles to `rest`, metres per radian.
        betas_prior: pull of betas to the average hand, metres per standard deviation.
        rays: unit vectors from a camera to the joints, of targets whose depth is less sure than their pixels.
        depth_weight: of squared misses along `rays`, beside 1 of those across.
        start: poses to start from; without them the hand at rest, laid on the joints.
        rest: joint angles that a hand has where its joints do not tell; those of the relaxed hand without.

    Returns:
        Poses within the model's joint limits, that map the hand frame into the joints' frame.

    Raises:
        HopriorError: joints that are not finite, or weights that are negative or leave fewer than three joints.

    Example:
        >>> from hoprior.hand import load_hand
        >>> hand = load_hand()
        >>> wanted = hand.joints_only(hand.angles_to_pose(hand.relaxed_angles[None])) + torch.tensor([0.0, 0.0, 0.5])
        >>> fit = fit_joints(hand, wanted)
        >>> fit.pose.hand_pose.shape, bool(fit.error < 1e-4), fit.pose.transl.round(decimals=3) + 0.0
        (torch.Size([1, 15, 3]), True, tensor([[0.0000, 0.0000, 0.5000]]))
    """
    if not torch.isfinite(joints).all():
        raise HopriorError("joints to fit are NaN or infinite: give such a joint any finite place and the weight 0")
    weights = joints.new_ones(21) if weights is None else weights.to(joints)
    weights = weights.expand(len(joints), 21)
    if bool((weights < 0).any()) or bool(((weights > 0).sum(dim=1) < 3).any()):
        raise HopriorError("weights of joints to fit are negative or leave out too many: at least three must be > 0")
    metric = torch.eye(3, dtype=torch.double).to(weights.device)
    if rays is not None:
        along = rays.double()
        metric = metric - (1 - depth_weight) * along[..., :, None] * along[..., None, :]
    rest = model.relaxed_angles if rest is None else rest
    solver = _Solver(model, joints.double(), weights.double(), metric, fit_betas, angle_prior, betas_prior, rest)
    solution = solver.solve(steps, start)
    pose = HandPose(
        hand_pose=solver.hand.angles_to_pose(solution.angles),
        betas=solution.betas,
        global_orient=rotmat_to_rotvec(solution.rotation),
        transl=solution.transl,
    ).to(dtype=model.axes.dtype)
    fitted = model.joints_only(pose.hand_pose, pose.betas, pose.global_orient, pose.transl)
    miss = (fitted - joints.to(fitted)).norm(dim=-1)
    used = (weights > 0).to(miss)
    return IKResult(pose, fitted, (miss * used).sum(dim=1) / used.sum(dim=1))


@dataclass(frozen=True)
class _Unknowns:
    """What is solved for: `angles` on the model's axes, the wrist's `rotation` and `transl`, and the shape."""

    angles: Float[Tensor, "b 15 3"]
    rotation: Float[Tensor, "b 3 3"]
    transl: Float[Tensor, "b 3"]
    betas: Float[Tensor, "b 10"]

    def where(self, keep: Bool[Tensor, " b"], other: "_Unknowns") -> "_Unknowns":
        """These hands where `keep`, the other's elsewhere."""
        return _Unknowns(
            torch.where(keep[:, None, None], self.angles, other.angles),
            torch.where(keep[:, None, None], self.rotation, other.rotation),
            torch.where(keep[:, None], self.transl, other.transl),
            torch.where(keep[:, None], self.betas, other.betas),
        )


class _Solver:
    """Least squares over one batch, in double precision: the normal equations span seven orders of magnitude."""

    def __init__(
        self,
        model: HandModel,
        targets: Float[Tensor, "b 21 3"],
        weights: Float[Tensor, "b 21"],
        metric: Float[Tensor, "*n 3 3"],
        fit_betas: bool,
        angle_prior: float,
        betas_prior: float,
        rest: Float[Tensor, "15 3"],
    ) -> None:
        self.hand = deepcopy(model).double()
        self.rest = rest.to(self.hand.relaxed_angles)
        self.angle_stiffness, self.betas_stiffness = angle_prior**2, betas_prior**2
        self.targets, self.fit_betas = targets, fit_betas
        self.weights = 21 * weights / weights.sum(dim=1, keepdim=True)
        self.metric = self.weights[..., None, None] * metric

    def solve(self, steps: int, start: HandPose | None) -> _Unknowns:
        """Levenberg-Marquardt from the registered hand at rest or from a pose; each hand has a damping of its own."""
        x = self._start() if start is None else self._unknowns_of(start)
        cost = self._cost(x)
        damping = torch.full_like(cost, DAMPING_START)
        # A hand that has settled stays as it is, whatever the others of its batch still need.
        going = torch.ones_like(cost, dtype=torch.bool)
        every = 1 if going.device.type == "cpu" else LOOKED_AT_EVERY
        for step in range(steps):
            proposal = self._step(x, *self._normal_equations(x), damping)
            proposed_cost = self._cost(proposal)
            better = going & (proposed_cost < cost)
            settled = better & (cost - proposed_cost <= SETTLED * cost)
            x, cost = proposal.where(better, x), torch.where(better, proposed_cost, cost)
            going &= ~settled
            if (step + 1) % every == 0 and not going.any():
                break
            damping = torch.where(better, 0.1 * damping, 10 * damping).clamp(DAMPING_LOW, DAMPING_HIGH)
        return x

    def _start(self) -> _Unknowns:
        """A hand at rest laid on the targets, by its palm if enough of that has weight."""
        b = len(self.targets)
        angles = self.rest.expand(b, -1, -1)
        joints = self.hand.joints_only(self.hand.angles_to_pose(angles))
        palm = torch.zeros_like(self.weights)
        palm[:, PALM] = self.weights[:, PALM]
        enough = (palm > 0).sum(dim=1, keepdim=True) >= 3
        share = torch.where(enough, palm, self.weights)
        rotation, transl = rigid_registration(joints, self.targets, weights=share)
        return _Unknowns(angles, rotation, transl, self.targets.new_zeros(b, 10))

    def _unknowns_of(self, pose: HandPose) -> _Unknowns:
        """A pose within the limits."""
        pose = pose.to(dtype=self.targets.dtype)
        angles = self.hand.pose_to_angles(pose.hand_pose).clamp(self.hand.angle_low, self.hand.angle_high)
        return _Unknowns(angles, rotvec_to_rotmat(pose.global_orient), pose.transl, pose.betas)

    def _points(self, x: _Unknowns) -> tuple[Tensor, Tensor, Tensor]:
        """Orientations (b,16,3,3) and places (b,16,3) of the joints, and all 21 points (b,21,3), before `transl`."""
        fingers = rotvec_to_rotmat(self.hand.angles_to_pose(x.angles))
        rotations = torch.cat([x.rotation[:, None], fingers], dim=1)
        turned, placed = forward_kinematics(rotations, self.hand.joints_rest(x.betas))
        tips = self.hand.tip_positions(rotations, turned, placed, x.betas)
        return turned, placed, torch.cat([placed, tips], dim=1)

    def _cost(self, x: _Unknowns) -> Float[Tensor, " b"]:
        residual = self._points(x)[2] + x.transl[:, None] - self.targets
        miss = (residual * (self.metric @ residual[..., None])[..., 0]).sum(dim=(1, 2))
        bent = (x.angles - self.rest).square().sum(dim=(1, 2))
        return miss + self.angle_stiffness * bent + self.betas_stiffness * x.betas.square().sum(dim=1)

    def _normal_equations(self, x: _Unknowns) -> tuple[Float[Tensor, "b n"], Float[Tensor, "b n n"]]:
        """Half the gradient of the cost, and half its Gauss-Newton Hessian."""
        turned, placed, points = self._points(x)
        rotvec = self.hand.angles_to_pose(x.angles)
        jacobian = joint_jacobian(self.hand, rotvec, turned, placed, points, self.fit_betas)
        weighted = (self.metric @ jacobian).flatten(1, 2)
        residual = (points + x.transl[:, None] - self.targets).flatten(1, 2)
        gradient = (weighted.mT @ residual[..., None])[..., 0]
        hessian = jacobian.flatten(1, 2).mT @ weighted
        gradient[:, ANGLES] += self.angle_stiffness * (x.angles - self.rest).flatten(1)
        stiffness = gradient.new_zeros(gradient.shape[1])
        stiffness[ANGLES] = self.angle_stiffness
        if self.fit_betas:
            gradient[:, SHAPE] += self.betas_stiffness * x.betas
            stiffness[SHAPE] = self.betas_stiffness
        return gradient, hessian + torch.diag(stiffness)

    def _step(
        self, x: _Unknowns, gradient: Float[Tensor, "b n"], hessian: Float[Tensor, "b n n"], damping: Tensor
    ) -> _Unknowns:
        """A damped step, clamped to the limits; angles held at a limit by the gradient do not take part."""
        low, high = self.hand.angle_low, self.hand.angle_high
        pull = gradient[:, ANGLES].unflatten(1, (15, 3))
        held = ((x.angles <= low) & (pull > 0)) | ((x.angles >= high) & (pull < 0))
        free = torch.ones_like(gradient)
        free[:, ANGLES] = (~held.flatten(1)).to(free)
        diagonal = hessian.diagonal(dim1=-2, dim2=-1)
        system = hessian * free[:, :, None] * free[:, None] + torch.diag_embed(
            damping[:, None] * (diagonal + MARQUARDT_FLOOR) + (1 - free)
        )
        # A system that cannot be solved costs its hand this step, and the host is not told.
        factor = torch.linalg.cholesky_ex(system).L
        change = -torch.cholesky_solve((gradient * free)[..., None], factor)[..., 0]
        rigid = change[:, RIGID]
        return _Unknowns(
            angles=(x.angles + change[:, ANGLES].unflatten(1, (15, 3))).clamp(low, high),
            rotation=rotvec_to_rotmat(rigid[:, :3]) @ x.rotation,
            transl=x.transl + rigid[:, 3:],
            betas=x.betas + change[:, SHAPE] if self.fit_betas else x.betas,
        )
