"""Cross-entropy of each token, with label smoothing."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.torch

PADDING = 1
LOGITS = [[[math.log(2), 0.0, 0.0], [0.0, 0.0, 0.0]]]
"""Two tokens of one text over three words: 1/2, 1/4, 1/4, and a third each."""


@pytest.mark.parametrize(
    ("smoothing", "wanted", "losses"),
    [
        (0.0, [0, 2], [math.log(2), math.log(3)]),
        (0.0, [2, PADDING], [math.log(4), 0.0]),
        # 0.7 log 2 + 0.1 (log 2 + log 4 + log 4) = 1.2 log 2; where all words are alike, nothing changes
        (0.3, [0, 2], [1.2 * math.log(2), math.log(3)]),
        (1.0, [2, PADDING], [5 / 3 * math.log(2), 0.0]),
    ],
)
def test_worked_examples(smoothing: float, wanted: list[int], losses: list[float]) -> None:
    import torch

    from kidsnanny.training.student.losses.label_smoothing import token_losses

    found = token_losses(torch.tensor(LOGITS), torch.tensor([wanted]), smoothing, padding=PADDING)
    assert found[0].tolist() == pytest.approx(losses)


@given(seed=st.integers(0, 2**32), smoothing=st.sampled_from([0.0, 0.1, 0.5]))
def test_smoothing_adds_to_plain_cross_entropy_what_the_other_words_cost(seed: int, smoothing: float) -> None:
    import torch

    from kidsnanny.training.student.losses.label_smoothing import token_losses

    random = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, 3, 5, generator=random, dtype=torch.float64)
    wanted = torch.randint(0, 5, (2, 3), generator=random)
    log = logits.log_softmax(-1)
    plain = -log.gather(2, wanted[..., None])[..., 0]
    by_hand = ((1 - smoothing) * plain - smoothing * log.mean(-1)).where(wanted != PADDING, 0)
    assert torch.allclose(token_losses(logits, wanted, smoothing, padding=PADDING), by_hand)


def test_half_precision_is_raised() -> None:
    import torch

    from kidsnanny.training.student.losses.label_smoothing import token_losses

    logits = torch.tensor(LOGITS).bfloat16()
    assert token_losses(logits, torch.tensor([[0, 2]]), 0.1, padding=PADDING).dtype == torch.float32


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_its_gradients(smoothing: float) -> None:
    import torch

    from kidsnanny.training.student.losses.label_smoothing import token_losses

    logits = torch.randn(2, 3, 5, dtype=torch.float64, requires_grad=True)
    wanted = torch.tensor([[0, 4, PADDING], [2, PADDING, PADDING]])
    assert torch.autograd.gradcheck(lambda given: token_losses(given, wanted, smoothing, padding=PADDING), logits)
