"""Adam is torch's to the bit, rates and rests of descents included."""

import torch

from hoprior.common.adam import Adam, anneal

STEPS = 7


def _parameters() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator).requires_grad_() for shape in ((5, 3), (4,), (2, 2))]


def _loss(a: torch.Tensor, b: torch.Tensor, unused: torch.Tensor) -> torch.Tensor:
    return (a.sin() @ a.cos().T).square().sum() + b.exp().sum()


def _groups(parameters: list[torch.Tensor]) -> list[dict[str, object]]:
    a, b, unused = parameters
    return [{"params": [a, unused], "lr": 0.03}, {"params": [b]}]


def test_equals_torch_to_the_bit_with_falling_rates() -> None:
    ours, theirs = _parameters(), _parameters()
    adam, reference = Adam(_groups(ours), betas=(0.9, 0.98)), torch.optim.Adam(_groups(theirs), betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(reference, STEPS, eta_min=0.0)
    for step in range(STEPS):
        for optimizer, parameters in ((adam, ours), (reference, theirs)):
            optimizer.zero_grad()
            _loss(*parameters).backward()
            optimizer.step()
        schedule.step()
        anneal(adam, step + 1, STEPS)
        assert [group["lr"] for group in adam.param_groups] == [group["lr"] for group in reference.param_groups]
        assert all(torch.equal(mine, other) for mine, other in zip(ours, theirs, strict=True))


def test_goes_on_from_a_kept_state_as_if_it_had_not_stopped() -> None:
    whole, broken = _parameters(), _parameters()
    adam, first = Adam(_groups(whole)), torch.optim.Adam(_groups(broken))
    for _ in range(STEPS):
        adam.zero_grad()
        _loss(*whole).backward()
        adam.step()
    for step in range(STEPS):
        optimizer = first if step < 3 else second
        optimizer.zero_grad()
        _loss(*broken).backward()
        optimizer.step()
        if step == 2:  # torch's own state is read as ours is
            second = Adam(_groups(broken))
            second.load_state_dict(first.state_dict())
        elif step == 4:
            kept, second = second.state_dict(), Adam(_groups(broken))
            second.load_state_dict(kept)
    assert all(torch.equal(mine, other) for mine, other in zip(whole, broken, strict=True))
