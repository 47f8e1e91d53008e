"""Scores with 95 % intervals: bootstrap percentiles over frames, widened to the point estimate where resampling is
biased away from it."""

import numpy as np
import numpy.typing as npt

from kidsnanny.records import Record

Floats = npt.NDArray[np.float64]


class ScoreEstimate(Record):
    """A score with its 95 % interval, or why there is none."""

    value: float | None
    low: float | None = None
    """None, as `high`: there is one frame, and nothing to resample."""
    high: float | None = None
    n: int
    of: str
    """What was counted: the score rests on `n` of these."""
    not_measured: str | None = None
    """Why there is no value."""

    def __str__(self) -> str:
        if self.value is None:
            return f"not measured: {self.not_measured}"
        interval = "" if self.low is None or self.high is None else f" [{self.low:.3f}, {self.high:.3f}]"
        return f"{self.value:.3f}{interval}"


def resampled_sums(table: Floats, resamples: int, seed: int) -> Floats:
    """(frames, columns) -> (1 + resamples, columns): the sums over all frames, and over as many that are drawn anew.

    Args:
        table: what is counted in each frame; of one frame there is nothing to resample.
        resamples: how often frames are drawn.
        seed: of the draws.
    """
    frames = len(table)
    random = np.random.default_rng(seed)
    sums = [table.sum(axis=0, keepdims=True)]
    for start in range(0, resamples if frames > 1 else 0, 100):
        drawn = random.multinomial(frames, np.full(frames, 1 / frames), size=min(100, resamples - start))
        sums.append(drawn @ table)
    return np.concatenate(sums)


def with_interval(drawn: Floats) -> Floats:
    """(1 + resamples, ...), the estimate first -> (3, ...): the estimate, and the ends of its interval or NaN."""
    point = drawn[0]
    out = np.full((3, *point.shape), np.nan)
    out[0] = point
    known = ~np.isnan(point)
    if len(drawn) > 1 and known.any():
        low, high = np.nanpercentile(drawn[:, known], [2.5, 97.5], axis=0)
        out[1:, known] = np.minimum(low, point[known]), np.maximum(high, point[known])
    return out


def as_estimate(values: Floats, n: int, of: str, why: str) -> ScoreEstimate:
    """A score with its interval, as a record.

    Args:
        values: (3,) as `with_interval` has them.
        n, of: how many of what were counted.
        why: there is no score, where it is NaN.
    """
    value, low, high = (None if np.isnan(number) else float(number) for number in values)
    return ScoreEstimate(value=value, low=low, high=high, n=n, of=of, not_measured=why if value is None else None)
