"""Q16's protocol: ten overlapping hold-outs of a tenth, the same each time, and fractions of what is left."""

from collections.abc import Callable

import numpy as np
import pytest

from kidsnanny.errors import DataError
from kidsnanny.training.probe.hold_outs import FRACTIONS, fraction_of, hold_outs, learning_curve

STRATA = np.repeat([0, 1], [600, 400])


def test_a_tenth_is_held_out_ten_times_in_proportion() -> None:
    parts = hold_outs(STRATA)
    assert len(parts) == 10
    for train, test in parts:
        assert len(train) == 900
        assert np.bincount(STRATA[test]).tolist() == [60, 40]
        assert {*train, *test} == set(range(1000))
    drawn = np.concatenate([test for _, test in parts])
    assert 100 < len(set(drawn)) < 1000, "they overlap, and are not the same"


def test_they_are_scikit_learns_with_the_papers_state() -> None:
    from sklearn.model_selection import StratifiedShuffleSplit

    expected = StratifiedShuffleSplit(n_splits=10, test_size=0.1, random_state=42).split(STRATA, STRATA)
    for (train, test), (theirs, held) in zip(hold_outs(STRATA), expected, strict=True):
        assert np.array_equal(train, theirs)
        assert np.array_equal(test, held)


def test_the_papers_own_counts() -> None:
    """1,674 pictures of two kinds: 1,506 to train on and 168 to test on."""
    for train, test in hold_outs(np.repeat([0, 1], [957, 717])):
        assert (len(train), len(test)) == (1506, 168)
        assert 95 <= (test < 957).sum() <= 97


@pytest.mark.parametrize("fraction", FRACTIONS)
def test_a_fraction_is_drawn_in_proportion(fraction: float) -> None:
    train = hold_outs(STRATA)[0].train
    found = fraction_of(train, STRATA, fraction)
    assert len(found) == int(round(900 * fraction, 6))
    assert len(set(found)) == len(found)
    assert set(found) <= set(train)
    assert (STRATA[found] == 1).mean() == pytest.approx(0.4, abs=0.06)


def test_strata_may_be_finer_than_the_labels() -> None:
    """The paper's are rounded ratings."""
    ratings = np.repeat([1, 2, 4, 5], [100, 300, 500, 100])
    for _, test in hold_outs(ratings):
        assert np.bincount(ratings[test])[[1, 2, 4, 5]].tolist() == [10, 30, 50, 10]


def test_the_curve_trains_on_the_one_part_and_tests_on_the_other() -> None:
    seen: list[tuple[int, int]] = []

    def fit(train: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        def right(test: np.ndarray) -> np.ndarray:
            assert not set(train) & set(test)
            seen.append((len(train), len(test)))
            return np.arange(len(test)) % 4 != 0

        return right

    points = learning_curve(STRATA, fit, (0.1, 1.0))
    assert [(point.fraction, point.examples) for point in points] == [(0.1, 90), (1.0, 900)]
    assert seen == [(90, 100)] * 10 + [(900, 100)] * 10
    assert points[0].accuracies == (0.75,) * 10
    assert (points[0].mean, points[0].spread) == (0.75, 0.0)


def test_fractions_that_are_too_few_are_left_out() -> None:
    strata = np.repeat([0, 1], [60, 40])
    points = learning_curve(strata, lambda _: lambda test: np.ones(len(test), bool))
    assert [point.fraction for point in points] == [fraction for fraction in FRACTIONS if fraction >= 0.04]

    def picky(train: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
        if len(train) < 50:
            raise DataError("too few")
        return lambda test: np.ones(len(test), bool)

    assert [point.fraction for point in learning_curve(strata, picky)] == [0.6, 0.8, 1.0]


@pytest.mark.parametrize("strata", [[0, 1], [0] * 30 + [1], []])
def test_too_few_examples_are_said(strata: list[int]) -> None:
    with pytest.raises(
        DataError, match=r"Hold-outs cannot be drawn from \d+ pictures.*at least 2 of each kind, and at least 11 in"
    ):
        hold_outs(np.array(strata, int))
