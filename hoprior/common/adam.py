"""Adam for descents that are no training: torch's own arithmetic, without the compiler that its optimisers load."""

import math
from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor
from torch.optim.adam import adam


class Adam:
    """Adam (Kingma and Ba 2015), equal to `torch.optim.Adam` to the bit: the same function takes the step.

    `torch.optim.Optimizer` imports torch's compiler at its first step, which takes seconds and serves only those who
    compile it. `param_groups`, `state`, `state_dict` and `load_state_dict` are as there; states that torch kept are
    read.

    Args:
        groups: each with `params`, a list of leaves, and `lr` where it is not the common one.
        lr: the rate of groups that have none of their own.
        betas: decays of the running means of the gradient and of its square.
        eps: added to the root of the latter.
        capturable: whether all that changes from step to step is on the parameters' device, where a graph may repeat
            the steps; rates may be tensors there, too.

    Example:
        >>> x = torch.ones(1, requires_grad=True)
        >>> adam = Adam([{"params": [x], "lr": 0.1}])
        >>> x.square().sum().backward()
        >>> adam.step()
        >>> x
        tensor([0.9000], requires_grad=True)
    """

    def __init__(
        self,
        groups: Iterable[Mapping[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        capturable: bool = False,
    ) -> None:
        self.capturable = capturable
        self.param_groups: list[dict[str, Any]] = [{"lr": lr, "betas": betas, "eps": eps, **group} for group in groups]
        self.state: dict[Tensor, dict[str, Tensor]] = {}

    def zero_grad(self) -> None:
        """Takes all gradients away."""
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    @torch.no_grad()
    def step(self) -> None:
        """One step of the parameters that have a gradient."""
        for group in self.param_groups:
            moving = [parameter for parameter in group["params"] if parameter.grad is not None]
            states = [self._state_of(parameter) for parameter in moving]
            adam(
                moving,
                [parameter.grad for parameter in moving],
                [state["exp_avg"] for state in states],
                [state["exp_avg_sq"] for state in states],
                [],
                [state["step"] for state in states],
                capturable=self.capturable,
                amsgrad=False,
                beta1=group["betas"][0],
                beta2=group["betas"][1],
                lr=group["lr"],
                weight_decay=0.0,
                eps=group["eps"],
                maximize=False,
            )

    def _state_of(self, parameter: Tensor) -> dict[str, Tensor]:
        if parameter not in self.state:
            self.state[parameter] = {
                "step": torch.zeros((), device=parameter.device if self.capturable else None),
                "exp_avg": torch.zeros_like(parameter),
                "exp_avg_sq": torch.zeros_like(parameter),
            }
        return self.state[parameter]

    def tensors(self) -> list[Tensor]:
        """All that its steps write to: parameters, counts and means."""
        return [each for p in self._parameters() for each in (p, *self._state_of(p).values())]

    def state_dict(self) -> dict[str, Any]:
        """What a descent needs to go on: parameters by their number, in the order of the groups."""
        numbers = {parameter: k for k, parameter in enumerate(self._parameters())}
        groups = [{**group, "params": [numbers[p] for p in group["params"]]} for group in self.param_groups]
        return {"state": {numbers[p]: state for p, state in self.state.items()}, "param_groups": groups}

    def load_state_dict(self, content: Mapping[str, Any]) -> None:
        """Goes on where another descent of as many parameters stopped."""
        parameters = self._parameters()
        self.param_groups = [
            {**deepcopy(dict(kept)), "params": group["params"]}
            for kept, group in zip(content["param_groups"], self.param_groups, strict=True)
        ]
        self.state = {
            parameters[k]: {name: value.clone() for name, value in state.items()}
            for k, state in content["state"].items()
        }

    def _parameters(self) -> list[Tensor]:
        return [parameter for group in self.param_groups for parameter in group["params"]]


def anneal(optimizer: Adam, step: int, steps: int) -> None:
    """Lets all rates fall as half a cosine to zero: call it after step `step` (from 1) of `steps`.

    The recursion of `torch.optim.lr_scheduler.CosineAnnealingLR` with `eta_min=0`, which takes torch's optimisers only.

    Example:
        >>> optimizer = Adam([{"params": [], "lr": 0.1}])
        >>> for step in range(1, 6):
        ...     anneal(optimizer, step, 10)
        >>> round(optimizer.param_groups[0]["lr"], 3)
        0.05
    """
    for group in optimizer.param_groups:
        group["lr"] *= (1 + math.cos(math.pi * step / steps)) / (1 + math.cos(math.pi * (step - 1) / steps))
