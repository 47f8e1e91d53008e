"""The asymmetric loss of tags."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.torch

PLAIN = (0, 0, 0.0)
ODDS_3 = math.log(3)
"""The logit of a probability of 3/4."""


@pytest.mark.parametrize(
    ("asymmetry", "logit", "present", "loss"),
    [
        (PLAIN, ODDS_3, 1, math.log(4 / 3)),
        (PLAIN, ODDS_3, 0, math.log(4)),
        ((1, 2, 0.0), ODDS_3, 1, 1 / 4 * math.log(4 / 3)),
        ((1, 2, 0.0), ODDS_3, 0, 9 / 16 * math.log(4)),
        ((0, 2, 0.25), ODDS_3, 0, 1 / 4 * math.log(2)),  # 3/4 counts as 1/2
        ((0, 2, 0.25), -ODDS_3, 0, 0.0),  # 1/4 is no more than the margin
        ((0, 2, 0.25), -ODDS_3, 1, math.log(4)),  # the margin is for what is absent
    ],
)
def test_worked_examples(asymmetry: tuple[float, float, float], logit: float, present: int, loss: float) -> None:
    import torch

    from kidsnanny.training.student.losses.asymmetric import Asymmetry, asymmetric_loss

    found = asymmetric_loss(torch.tensor([[logit]]), torch.tensor([[float(present)]]), Asymmetry(*asymmetry))
    assert found.item() == pytest.approx(loss, abs=1e-6)


@given(
    st.lists(st.tuples(st.floats(-30, 30, width=32), st.sampled_from([0.0, 1.0])), min_size=1, max_size=8),
)
def test_without_exponents_and_margin_it_is_binary_cross_entropy(tags: list[tuple[float, float]]) -> None:
    import torch
    from torch.nn import functional

    from kidsnanny.training.student.losses.asymmetric import Asymmetry, asymmetric_loss

    logits, present = torch.tensor(tags).T
    plain = functional.binary_cross_entropy_with_logits(logits, present)
    assert torch.allclose(asymmetric_loss(logits[None], present[None], Asymmetry(*PLAIN)), plain, atol=1e-6)


@pytest.mark.parametrize("preset", ["BALANCED", "AGGRESSIVE"])
def test_it_is_finite_however_wrong_the_head_is(preset: str) -> None:
    import torch

    from kidsnanny.training.student.losses import asymmetric

    logits = torch.tensor([[200.0, -200.0]], requires_grad=True)
    loss = asymmetric.asymmetric_loss(logits, torch.tensor([[0.0, 1.0]]), getattr(asymmetric, preset))
    loss.backward()
    assert loss.isfinite()
    assert logits.grad.isfinite().all()


def test_a_rare_tag_is_given_a_higher_probability_and_the_highest_by_the_aggressive_preset() -> None:
    """What a head that sees nothing in the pictures does best to say of a tag that one in ten has."""
    import torch

    from kidsnanny.training.student.losses.asymmetric import AGGRESSIVE, BALANCED, Asymmetry, asymmetric_loss

    present = torch.zeros(10, 1)
    present[0] = 1
    choices = torch.arange(0.01, 1, 0.01).tolist()

    def best(asymmetry: Asymmetry) -> float:
        return min(
            choices, key=lambda p: asymmetric_loss(torch.tensor(p).logit().expand(10, 1), present, asymmetry).item()
        )

    assert best(Asymmetry(*PLAIN)) == pytest.approx(0.1)
    assert 0.2 < best(BALANCED) < best(AGGRESSIVE) < 0.8


@pytest.mark.parametrize("asymmetry", [PLAIN, (0, 2, 0.0), (0, 4, 0.05), (1, 4, 0.05)])
def test_its_gradients(asymmetry: tuple[float, float, float]) -> None:
    import torch

    from kidsnanny.training.student.losses.asymmetric import Asymmetry, asymmetric_loss

    logits = torch.tensor([[-1.5, 0.0, 2.0], [-1.0, 0.5, 3.0]], dtype=torch.float64, requires_grad=True)
    present = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 1.0]], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda given: asymmetric_loss(given, present, Asymmetry(*asymmetry)), logits)
