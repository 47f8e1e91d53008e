"""Rates over pictures that share texts, and how sure they are.

Pictures of one text are not independent: a text that is missed in one look is likely to be missed in another. So the
bootstrap draws texts, each with all of its pictures. Where each text stands in one picture, a rate has Wilson's
interval. Every interval is a 95 % one.
"""

from collections.abc import Callable, Hashable, Sequence

import numpy as np
import numpy.typing as npt
from pydantic import Field

from kidsnanny.evaluation.metrics import RESAMPLES, SEED, Estimate, Floats, Interval, Proportion
from kidsnanny.records import Record


class Rate(Record):
    """`successes` of `n` pictures."""

    successes: int = Field(ge=0)
    """How many pictures it is true of."""
    n: int = Field(ge=0)
    """Of how many."""
    value: float | None
    """Their share, 0..1; None of none."""
    interval: Interval | None
    """Wilson's where each text stands in one picture, otherwise that of the bootstrap over texts. A rate of 0 or 1 over
    texts that stand in several pictures has Wilson's for as many pictures as there are texts, for the bootstrap has no
    width there. None: one text alone says nothing about others."""


def by_text(texts: Sequence[Hashable], counts: Sequence[Sequence[float]]) -> Floats:
    """The sums of the rows of `counts`, (N, C), that have the same text: (K, C), in no particular order."""
    rows: dict[Hashable, int] = {}
    places = [rows.setdefault(text, len(rows)) for text in texts]
    summed = np.zeros((len(rows), len(counts[0]) if counts else 0))
    if counts:
        np.add.at(summed, places, np.asarray(counts, float))
    return summed


def resampled(summed: Floats) -> Floats:
    """The sums over as many texts as there are, drawn with replacement, (RESAMPLES, C); always the same ones.

    Texts with equal counts are the same to a sum, so that their numbers can be drawn from a multinomial.
    """
    distinct, times = np.unique(summed, axis=0, return_counts=True)
    drawn = np.random.default_rng(SEED).multinomial(len(summed), times / len(summed), RESAMPLES)
    return np.asarray(drawn @ distinct, float)


def rate(summed: Floats) -> Rate:
    """Of the two columns successes and n, a row a text."""
    summed = summed[summed[:, 1] > 0]
    successes, n = summed.sum(axis=0).astype(int).tolist() if len(summed) else (0, 0)
    if not n:
        return Rate(successes=0, n=0, value=None, interval=None)
    texts = len(summed)
    if n == texts:
        interval = Proportion.of(successes, n).wilson
    elif texts > 1 and successes in (0, n):
        interval = Proportion.of(texts if successes else 0, texts).wilson
    else:
        interval = estimate(summed, lambda sums: sums[..., 0] / sums[..., 1]).bootstrap
    return Rate(successes=successes, n=n, value=successes / n, interval=interval)


def estimate(summed: Floats, of: Callable[[Floats], npt.NDArray[np.floating]]) -> Estimate:
    """A number that follows from the sums over all texts, with its bootstrap over texts.

    Args:
        summed: counts, (K, C), a row a text.
        of: makes the numbers, (…), of sums, (…, C); NaN or infinite where they are not defined.

    Returns:
        Its `bootstrap` is None if it has no width: where all texts agree, it cannot say how sure that is.
    """
    if not len(summed):
        return Estimate(value=None, bootstrap=None)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(of(summed.sum(axis=0)))
        if not np.isfinite(value):
            return Estimate(value=None, bootstrap=None)
        numbers = np.asarray(of(resampled(summed)), float)
    found = Estimate.of(value, np.where(np.isfinite(numbers), numbers, np.nan))
    flat = found.bootstrap is not None and found.bootstrap[1] - found.bootstrap[0] < 1e-12
    return Estimate(value=value, bootstrap=None) if flat else found
