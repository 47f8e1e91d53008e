"""Q16's protocol (arXiv 2110.04222): ten repeated hold-outs, each trained on more and more of what is left.

The hold-outs overlap, so they are no ten-fold partition, and the spread over them is no confidence interval.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedShuffleSplit

from kidsnanny.errors import DataError

HOLD_OUTS = 10
TEST_SHARE = 0.1
STATE = 42
"""Of the drawing, as in the paper's code."""
FRACTIONS = (0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0)

Indices = npt.NDArray[np.int64]
Fit = Callable[[Indices], Callable[[Indices], npt.NDArray[np.bool_]]]
"""Trains on some examples; what it returns says of others whether its answer is right."""


class HoldOut(NamedTuple):
    """What is trained on and what is tested on in one of the hold-outs."""

    train: Indices
    test: Indices


class CurvePoint(NamedTuple):
    """Accuracy over the hold-outs when so much of the training part was used."""

    fraction: float
    """Of the training part, 0..1."""
    examples: int
    """How many these were."""
    accuracies: tuple[float, ...]
    """0..1, one for each hold-out, over all of its test part."""

    @property
    def mean(self) -> float:
        """Of the accuracies, 0..1."""
        return float(np.mean(self.accuracies))

    @property
    def spread(self) -> float:
        """Standard deviation of the accuracies, 0..1."""
        return float(np.std(self.accuracies, ddof=1)) if len(self.accuracies) > 1 else 0.0


def hold_outs(strata: Sequence[int] | Indices, count: int = HOLD_OUTS) -> list[HoldOut]:
    """Tenths of the examples to test on, drawn anew each time.

    Args:
        strata: of each example; each stratum is drawn from in proportion. The paper's are ratings, rounded.
        count: how many hold-outs.

    Raises:
        DataError: a stratum has a single example, or there are fewer examples in a part than strata.
    """
    split = StratifiedShuffleSplit(count, test_size=TEST_SHARE, random_state=STATE)
    return [HoldOut(train, test) for train, test in _drawn(split, np.asarray(strata))]


def fraction_of(train: Indices, strata: Sequence[int] | Indices, fraction: float) -> Indices:
    """Some of a training part, drawn in proportion from its strata; all of it for 1.

    Args:
        train: indices of the training part.
        strata: of all examples.
        fraction: 0..1.

    Raises:
        DataError: the fraction holds fewer examples than there are strata.
    """
    if fraction >= 1:
        return train
    split = StratifiedShuffleSplit(1, train_size=fraction, random_state=STATE)
    ((chosen, _),) = _drawn(split, np.asarray(strata)[train])
    return train[chosen]


def learning_curve(
    strata: Sequence[int] | Indices, fit: Fit, fractions: Sequence[float] = FRACTIONS, count: int = HOLD_OUTS
) -> list[CurvePoint]:
    """Accuracy for each fraction, over all hold-outs. A fraction that is too few to train on is left out.

    Args:
        strata: of each example.
        fit: trains and tests.
        fractions: 0..1, of the training part.
        count: how many hold-outs.

    Raises:
        DataError: there are too few examples for hold-outs.
    """
    parts, points = hold_outs(strata, count), []
    for fraction in fractions:
        try:
            trained = [fraction_of(part.train, strata, fraction) for part in parts]
            right = [fit(train)(part.test) for train, part in zip(trained, parts, strict=True)]
        except DataError:
            continue
        points.append(CurvePoint(fraction, len(trained[0]), tuple(float(one.mean()) for one in right)))
    return points


def _drawn(split: StratifiedShuffleSplit, strata: Indices) -> Iterator[tuple[Indices, Indices]]:
    try:
        yield from split.split(np.zeros(len(strata)), strata)
    except ValueError as error:
        counts = np.unique(strata, return_counts=True)[1]
        of_a_kind = " and ".join(map(str, counts.tolist())) or "none"
        raise DataError(
            f"Hold-outs cannot be drawn from {len(strata)} pictures, of which there are {of_a_kind} of a kind; give at "
            f"least 2 of each kind, and at least {10 * max(len(counts) - 1, 1) + 1} in all."
        ) from error
