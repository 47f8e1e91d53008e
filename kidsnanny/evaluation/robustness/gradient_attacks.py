"""UnsafeBench's four attacks on the pixels of a picture (arXiv 2405.03486): Gaussian noise, FGSM, PGD and DeepFool.

They compute what foolbox computes, to rounding; a test compares them with what foolbox 3.3.4 gave. foolbox itself is
not used: its last release is of 2024, torchattacks' of 2023, and both pull in packages that nothing here needs.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch.nn import functional

Outputs = Callable[[torch.Tensor], torch.Tensor]
"""(N, 3, height, width) -> (N, classes), with a gradient: logits, or probabilities. Each picture counts for itself, as
it does in a network in evaluation mode."""
PGD_STEP = 0.01 / 0.3
"""Of PGD: how long a step is, as a share of eps."""
OVERSHOOT = 0.02
"""Of DeepFool: how much further than to the boundary it goes, as a share of the way."""


class AttackBudget(NamedTuple):
    """How much an attack may change."""

    eps: float = 0.01
    """The largest change of any value, or of Gaussian noise its length (L2); in the units of the pixels."""
    bounds: tuple[float, float] = (-3.0, 3.0)
    """The least and the largest value that a changed picture may have."""


UNSAFEBENCH_BUDGET = AttackBudget()
"""Of pixels that mean and standard deviation were applied to."""


def gaussian_noise(
    _: Outputs, pixels: torch.Tensor, __: torch.Tensor, budget: AttackBudget, generator: torch.Generator
) -> torch.Tensor:
    """Noise of the length eps, which no gradient has chosen."""
    noise = torch.randn(pixels.shape, generator=generator).to(pixels)
    length = noise.flatten(1).norm(dim=1)[:, None, None, None]
    return (pixels + noise * budget.eps / length).clamp(*budget.bounds)


def fast_gradient(
    outputs: Outputs, pixels: torch.Tensor, labels: torch.Tensor, budget: AttackBudget, _: torch.Generator
) -> torch.Tensor:
    """FGSM: one step of eps along the sign of the loss's gradient."""
    return _ascent(outputs, pixels, pixels, labels, budget, budget.eps, steps=1)


def projected_gradient(
    outputs: Outputs,
    pixels: torch.Tensor,
    labels: torch.Tensor,
    budget: AttackBudget,
    generator: torch.Generator,
    *,
    steps: int = 100,
) -> torch.Tensor:
    """PGD: that many small steps from a random start, none of which leaves the budget."""
    start = (torch.rand(pixels.shape, generator=generator) * 2 - 1).to(pixels) * budget.eps
    found = (pixels + start).clamp(*budget.bounds)
    return _ascent(outputs, found, pixels, labels, budget, budget.eps * PGD_STEP, steps)


def deepfool(
    outputs: Outputs,
    pixels: torch.Tensor,
    labels: torch.Tensor,
    budget: AttackBudget,
    _: torch.Generator,
    *,
    steps: int = 100,
) -> torch.Tensor:
    """DeepFool with two candidates: step for step to where the two likeliest classes would be equally likely were the
    network linear, until the label is no longer the likeliest; cut down to the budget in the end."""
    with torch.no_grad():
        first, second = outputs(pixels).argsort(dim=1).flip(1)[:, :2].T
    rows = torch.arange(len(pixels), device=pixels.device)
    found, moved = pixels, torch.zeros_like(pixels)
    for _step in range(steps):
        given = found.detach().requires_grad_()
        said = outputs(given)
        wrong = said.argmax(dim=1) != labels
        if wrong.all():
            break
        gap = said[rows, second] - said[rows, first]
        (slope,) = torch.autograd.grad(gap.sum(), given)
        way = gap.detach().abs() / (slope.flatten(1).abs().sum(dim=1) + 1e-8) + 1e-4
        moved = moved + way[:, None, None, None] * slope.sign()
        found = torch.where(wrong[:, None, None, None], found, pixels + (1 + OVERSHOOT) * moved)
        found = found.detach().clamp(*budget.bounds)
    return pixels + (found - pixels).clamp(-budget.eps, budget.eps)


ATTACKS: dict[str, Callable[[Outputs, torch.Tensor, torch.Tensor, AttackBudget, torch.Generator], torch.Tensor]] = {
    "gaussian-noise": gaussian_noise,
    "fgsm": fast_gradient,
    "pgd": projected_gradient,
    "deepfool": deepfool,
}
"""By name. Each takes the network's outputs, (N, 3, height, width) pixels, (N,) labels, the budget, and where chance
comes from (a generator of the CPU's), and gives the changed pixels."""


def loss_gradient(outputs: Outputs, pixels: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The gradient of the labels' cross-entropy, of the pixels' shape."""
    given = pixels.detach().requires_grad_()
    loss = functional.cross_entropy(outputs(given), labels, reduction="sum")
    (slope,) = torch.autograd.grad(loss, given)
    return slope


def _ascent(
    outputs: Outputs,
    start: torch.Tensor,
    pixels: torch.Tensor,
    labels: torch.Tensor,
    budget: AttackBudget,
    step: float,
    steps: int,
) -> torch.Tensor:
    """Steps from `start` along the sign of the gradient of the labels' cross-entropy, within the budget of `pixels`."""
    found = start
    for _ in range(steps):
        change = (found + step * loss_gradient(outputs, found, labels).sign() - pixels).clamp(-budget.eps, budget.eps)
        found = (pixels + change).clamp(*budget.bounds)
    return found.detach()
