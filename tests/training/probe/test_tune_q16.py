"""Q16's tuning: the gradient against differences, every step against torch's SGD, and what it learns."""

import numpy as np
import pytest

from kidsnanny.errors import DataError
from kidsnanny.probes.q16 import Q16, normalised
from kidsnanny.training.probe.tune_q16 import Tuning, class_means, gradient, tune

DRAW = np.random.default_rng(0)


def clouds(count: int, width: int, apart: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Rows of two kinds around two centres; a quarter of them is inappropriate."""
    draw = np.random.default_rng(seed)
    labels = (np.arange(count) % 4 == 0).astype(int)
    rows = draw.standard_normal((count, width)) + 3
    rows[:, 0] += apart * labels
    return rows.astype(np.float32), labels


def loss(prompts: np.ndarray, rows: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> float:
    logits = 100 * normalised(rows) @ normalised(prompts).T
    chosen = logits[np.arange(len(labels)), labels] - np.log(np.exp(logits - logits.max()).sum(axis=1)) - logits.max()
    return float(-(weights * chosen).sum() / weights.sum())


def test_the_gradient_is_that_of_the_loss() -> None:
    prompts, rows = DRAW.standard_normal((2, 5)), normalised(DRAW.standard_normal((7, 5)))
    labels, weights = np.array([0, 1, 1, 0, 1, 0, 0]), DRAW.random(7) + 0.1
    found, step = gradient(prompts, rows, labels, weights), 1e-6
    for place in np.ndindex(*prompts.shape):
        moved = np.zeros_like(prompts)
        moved[place] = step
        slope = (loss(prompts + moved, rows, labels, weights) - loss(prompts - moved, rows, labels, weights)) / (
            2 * step
        )
        assert found[place] == pytest.approx(slope, rel=1e-4, abs=1e-5)


@pytest.mark.torch
def test_every_step_is_torchs() -> None:
    """The same examples in the same order, with torch's own cross-entropy, class weights and SGD."""
    import torch
    from torch.nn import functional

    rows, labels = clouds(150, 6, 2.0)
    how = Tuning(epochs=4, batch=64, seed=3)
    start = class_means(rows, labels)
    prompts = torch.nn.Parameter(torch.tensor(start.prompts, dtype=torch.float64))
    optimiser = torch.optim.SGD([prompts], lr=0.01, momentum=0.9)
    share_bad = float(labels.mean())
    weight = torch.tensor([share_bad, 1 - share_bad], dtype=torch.float64)  # of each class, the share of the other
    given, wanted = torch.tensor(rows, dtype=torch.float64), torch.tensor(labels)
    order = np.random.default_rng(how.seed)
    for _ in range(how.epochs):
        shuffled = order.permutation(len(rows))
        for at in range(0, len(rows), how.batch):
            chosen = shuffled[at : at + how.batch]
            logits = 100 * functional.normalize(given[chosen]) @ functional.normalize(prompts).T
            optimiser.zero_grad()
            functional.cross_entropy(logits, wanted[chosen], weight).backward()
            optimiser.step()
    assert tune(rows, labels, start, how).prompts == pytest.approx(prompts.detach().numpy(), abs=1e-5)


def test_it_learns_what_the_start_does_not_know() -> None:
    rows, labels = clouds(400, 8, 3.0)
    held, truth = clouds(400, 8, 3.0, seed=1)
    start = Q16(DRAW.standard_normal((2, 8)))
    before = ((start.inappropriate(held) >= 0.5) == truth).mean()
    after = ((tune(rows, labels, start, Tuning(epochs=60)).inappropriate(held) >= 0.5) == truth).mean()
    assert after >= 0.9
    assert after > before + 0.1


def test_the_rarer_class_counts_as_much_as_the_other() -> None:
    """Without weights, vectors tuned on kinds that cannot be told apart would call everything the more frequent one."""
    rows, labels = clouds(400, 8, 0.0)
    found = tune(rows, labels, settings=Tuning(epochs=30)).inappropriate(rows)
    assert 0.35 <= (found >= 0.5).mean() <= 0.65


def test_equal_seeds_give_equal_vectors() -> None:
    rows, labels = clouds(100, 4, 2.0)
    first, second, other = (tune(rows, labels, settings=Tuning(epochs=3, seed=seed)).prompts for seed in (1, 1, 2))
    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_no_epochs_leave_the_start() -> None:
    rows, labels = clouds(20, 4, 2.0)
    start = Q16(DRAW.standard_normal((2, 4)))
    assert np.array_equal(tune(rows, labels, start, Tuning(epochs=0)).prompts, start.prompts)


@pytest.mark.parametrize("labels", [[0, 0, 0], [1, 1, 1], [0, 1]])
def test_both_kinds_are_needed(labels: list[int]) -> None:
    with pytest.raises(DataError, match="tuned on fine and on inappropriate pictures, and these are"):
        tune(np.ones((3, 2), np.float32), labels)


def test_the_papers_settings_are_the_default() -> None:
    assert Tuning().model_dump() == {"rate": 0.01, "momentum": 0.9, "epochs": 300, "batch": 64, "seed": 42}
