"""The attacks do what foolbox's do, and keep to their budget."""

import json
from collections.abc import Callable
from functools import partial

import pytest

torch = pytest.importorskip("torch")
from foolbox_values import BOUNDS, EPS, SEED, VALUES, outputs, pictures  # noqa: E402

from kidsnanny.evaluation.robustness.gradient_attacks import (  # noqa: E402
    ATTACKS,
    OVERSHOOT,
    AttackBudget,
    projected_gradient,
)

pytestmark = pytest.mark.torch
WEIGHTS = torch.tensor([1.0, -2.0, 3.0])
"""Of a linear network: one for each colour."""


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(SEED)


def linear(pixels: torch.Tensor) -> torch.Tensor:
    """Two classes; the second is likelier where the weighted sum is above 0."""
    margin = (pixels.mean(dim=(2, 3)) * WEIGHTS).sum(dim=1)
    return torch.stack([-margin, margin], dim=1)


@pytest.mark.parametrize("name", EPS)
def test_every_attack_is_that_of_foolbox(name: str) -> None:
    expected = json.loads(VALUES.read_text("utf-8"))[name]
    attack = partial(projected_gradient, steps=10) if name == "pgd-start" else ATTACKS[name]
    given, labels = pictures()
    found = attack(outputs, given, labels, AttackBudget(EPS[name], BOUNDS), seeded())
    assert (found - given).flatten().tolist() == pytest.approx(expected["change"], abs=2e-6)
    assert (outputs(found).argmax(1) != labels).tolist() == expected["fooled"]


def test_the_values_hold_pictures_that_each_attack_fools_and_does_not() -> None:
    values = json.loads(VALUES.read_text("utf-8"))
    assert all(any(fooled := values[name]["fooled"]) and not all(fooled) for name in ATTACKS)


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.parametrize("eps", [0.001, 0.3])
def test_a_changed_picture_keeps_to_the_budget_and_the_bounds(name: str, eps: float) -> None:
    given, labels = pictures()
    change = ATTACKS[name](outputs, given, labels, AttackBudget(eps, BOUNDS), seeded()) - given
    sizes = change.flatten(1).norm(dim=1) if name == "gaussian-noise" else change.flatten(1).abs().amax(dim=1)
    assert (sizes <= eps + 1e-6).all()
    assert ((given + change).abs() <= 1 + 1e-6).all()


@pytest.mark.parametrize("name", ["fgsm", "pgd"])
def test_on_a_linear_network_the_gradients_attacks_find_the_worst_picture(name: str) -> None:
    given = torch.zeros(2, 3, 2, 2)
    labels = torch.tensor([0, 1])
    change = ATTACKS[name](linear, given, labels, AttackBudget(0.1), seeded()).mean(dim=(2, 3))
    assert change.tolist() == [pytest.approx([0.1, -0.1, 0.1]), pytest.approx([-0.1, 0.1, -0.1])]


def test_deepfool_goes_just_over_a_linear_networks_boundary() -> None:
    given = torch.full((1, 3, 2, 2), 0.06)  # margin .12; 6 for each unit of change
    found = ATTACKS["deepfool"](linear, given, torch.tensor([1]), AttackBudget(0.5), seeded())
    assert linear(found).argmax(1).tolist() == [0]
    assert (found - given).abs().flatten().tolist() == pytest.approx([(0.02 + 1e-4) * (1 + OVERSHOOT)] * 12, rel=1e-3)


def test_deepfool_leaves_what_is_wrong_already_as_it_is() -> None:
    given, labels = pictures()
    found = ATTACKS["deepfool"](outputs, given, (labels + 1) % 3, AttackBudget(0.5), seeded())
    assert torch.equal(found, given)


@pytest.mark.parametrize("attack", [ATTACKS["gaussian-noise"], partial(projected_gradient, steps=10)])
def test_the_same_seed_gives_the_same_picture_and_another_another(attack: Callable[..., torch.Tensor]) -> None:
    given, labels = pictures()
    budget = AttackBudget(0.05, BOUNDS)
    once, again = (attack(outputs, given, labels, budget, seeded()) for _ in range(2))
    other = attack(outputs, given, labels, budget, torch.Generator().manual_seed(1))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)
