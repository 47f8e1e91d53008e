"""Q16's tuning (arXiv 2110.04222 and its code): the two vectors themselves are trained, by stochastic gradient descent.

The gradient is short enough to be written down: no torch is needed, and the tests compare every step with torch's.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from pydantic import Field

from kidsnanny.errors import DataError
from kidsnanny.probes.q16 import Q16, TEMPERATURE, normalised
from kidsnanny.records import Record

LENGTH = 10.0
"""Of the vectors to start from without a text tower: about that of CLIP's own texts. The step's size depends on it."""


class Tuning(Record):
    """The paper's settings."""

    rate: float = Field(default=0.01, gt=0)
    """Step size, a share of the gradient."""
    momentum: float = Field(default=0.9, ge=0, lt=1)
    """Share of the last step that is taken again, 0 to 1."""
    epochs: int = Field(default=300, ge=0)
    """How many times all examples are seen."""
    batch: int = Field(default=64, ge=1)
    """How many examples a step has."""
    seed: int = 42
    """Of the order of the examples; the paper's, whose order torch drew, so it is not the same."""


def tune(
    embeddings: npt.NDArray[np.float32],
    labels: Sequence[int] | npt.NDArray[np.int64],
    start: Q16 | None = None,
    settings: Tuning | None = None,
) -> Q16:
    """Two vectors that tell fine rows from inappropriate ones.

    Args:
        embeddings: (N, d) rows of an encoder.
        labels: of each, 0 (fine) or 1 (inappropriate). Classes weigh inversely to their share.
        start: zero-shot vectors; by default the mean row of each class.
        settings: by default the paper's.

    Raises:
        DataError: one of the classes has no example.
    """
    how = settings or Tuning()
    found = np.asarray(labels, np.int64)
    counts = np.bincount(found, minlength=2)
    if len(found) != len(embeddings) or len(counts) != 2 or not counts.all():
        raise DataError(
            f"Q16 is tuned on fine and on inappropriate pictures, and these are {counts[0]} and {counts[1:].sum()}; "
            "give both."
        )
    rows = normalised(embeddings.astype(np.float64))
    weights = (counts[::-1] / counts.sum())[found]  # of a class, the share of the other
    prompts = (start or class_means(embeddings, found)).prompts.astype(np.float64)
    velocity, order = np.zeros_like(prompts), np.random.default_rng(how.seed)
    for _ in range(how.epochs):
        shuffled = order.permutation(len(rows))
        for at in range(0, len(rows), how.batch):
            chosen = shuffled[at : at + how.batch]
            velocity = how.momentum * velocity + gradient(prompts, rows[chosen], found[chosen], weights[chosen])
            prompts = prompts - how.rate * velocity
    return Q16(prompts)


def class_means(embeddings: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> Q16:
    """The direction of each class's mean row, of the length LENGTH: where tuning starts without a text tower."""
    rows = normalised(embeddings.astype(np.float64))
    return Q16(LENGTH * normalised(np.stack([rows[labels == label].mean(axis=0) for label in (0, 1)])))


def gradient(
    prompts: npt.NDArray[np.float64],
    rows: npt.NDArray[np.float64],
    labels: npt.NDArray[np.int64],
    weights: npt.NDArray[np.float64],
) -> npt.NDArray[np.float64]:
    """Of the weighted mean cross-entropy, by the vectors: (2, d).

    Args:
        prompts: (2, d).
        rows: (N, d), normalised.
        labels: (N,), 0 or 1.
        weights: (N,), of the examples; as in torch, the mean is over their sum.
    """
    lengths = np.linalg.norm(prompts, axis=1, keepdims=True)
    directions = prompts / lengths
    logits = TEMPERATURE * rows @ directions.T
    probabilities = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    probabilities[np.arange(len(labels)), labels] -= 1
    by_logits = probabilities * (weights / weights.sum())[:, None]
    by_directions = TEMPERATURE * by_logits.T @ rows
    along = (by_directions * directions).sum(axis=1, keepdims=True)
    return np.asarray((by_directions - along * directions) / lengths, np.float64)
