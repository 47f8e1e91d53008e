"""The linear probe: labels that go together, probabilities that are true, and nothing but weights and biases."""

import numpy as np
import pytest

from kidsnanny.errors import DataError
from kidsnanny.probes.linear_probe import LinearProbe
from kidsnanny.training.probe.fit_linear import FEWEST, fit_linear

TRUE = np.array([[2.0, 0, 0, 0], [0, -3.0, 1, 0]])
BIAS = np.array([-1.0, -2.0])


def world(count: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows on different scales, the probability of two labels for each, and the labels drawn by it."""
    draw = np.random.default_rng(seed)
    plain = draw.standard_normal((count, 4))
    truth = 1 / (1 + np.exp(-(plain @ TRUE.T + BIAS)))
    return (plain * [1, 10, 0.01, 5] + [0, 50, 3, -7]).astype(np.float32), truth, draw.random((count, 2)) < truth


def test_its_probabilities_are_those_of_the_world() -> None:
    rows, _, has = world(4000, 0)
    held, truth, _ = world(2000, 1)
    found = fit_linear(rows, has, ("a", "b")).probabilities(held)
    assert np.abs(found - truth).mean() <= 0.03
    for label in (0, 1):
        for low in np.arange(0, 1, 0.2):
            of_bin = (found[:, label] >= low) & (found[:, label] < low + 0.2)
            if of_bin.sum() > 50:
                assert found[of_bin, label].mean() == pytest.approx(truth[of_bin, label].mean(), abs=0.05)


def test_a_picture_may_have_several_labels_or_none() -> None:
    rows, truth, has = world(4000, 0)
    found = fit_linear(rows, has, ("a", "b")).probabilities(rows)
    both, none = truth.min(axis=1) > 0.7, truth.max(axis=1) < 0.1
    assert both.any()
    assert none.any()
    assert found[both].min() > 0.5
    assert found[none].max() < 0.3


def test_equal_seeds_give_equal_weights() -> None:
    rows, _, has = world(300, 0)
    first, second = (fit_linear(rows, has, ("a", "b"), seed=1) for _ in range(2))
    assert np.array_equal(first.weight, second.weight)
    assert np.array_equal(first.bias, second.bias)


@pytest.mark.parametrize("positive", [0, FEWEST - 1, 100 - FEWEST + 1, 100])
def test_a_label_with_too_few_pictures_is_named(positive: int) -> None:
    rows, _, _ = world(100, 0)
    has = np.stack([np.arange(100) < 50, np.arange(100) < positive], axis=1)
    with pytest.raises(
        DataError, match=rf"^rare: {positive} of 100 pictures have this label, and at least {FEWEST} must"
    ):
        fit_linear(rows, has, ("well", "rare"))


def test_a_number_that_is_always_the_same_does_no_harm() -> None:
    rows, _, has = world(200, 0)
    rows[:, 2] = 4
    assert np.isfinite(fit_linear(rows, has, ("a", "b")).weight).all()


@pytest.mark.parametrize(
    ("weight", "bias"), [([[1, 2]], [1, 2]), ([1, 2], [1]), ([[1, np.nan]], [0]), ([[1, 2]], [np.inf])]
)
def test_what_is_no_probe_is_refused(weight: object, bias: object) -> None:
    with pytest.raises(ValueError, match="expected"):
        LinearProbe(weight, bias)


def test_scores_of_a_probe_by_hand() -> None:
    probe = LinearProbe([[1, 0], [0, -1]], [0, 1])
    found = probe.probabilities(np.array([[0, 0], [2, 3], [1000, -1000]], np.float32))
    assert found == pytest.approx(np.array([[0.5, 0.7311], [0.8808, 0.1192], [1, 1]]), abs=1e-4)
    with pytest.raises(ValueError, match="rows of 2 numbers"):
        probe.probabilities(np.zeros((1, 3), np.float32))
