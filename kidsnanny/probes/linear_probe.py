"""A linear probe: for each label a probability of its own, from an encoder's rows (as PerspectiveVision's, whose
settings are not published)."""

import numpy as np
import numpy.typing as npt

from kidsnanny.probes.q16 import CHUNK

Rows = npt.NDArray[np.float32]


class LinearProbe:
    """A weight for each label and number of a row, and a bias. What scales the numbers and calibrates the
    probabilities is part of both.

    Args:
        weight: (labels, d) finite numbers.
        bias: (labels,) finite numbers.

    Raises:
        ValueError: they are something else.
    """

    def __init__(self, weight: npt.ArrayLike, bias: npt.ArrayLike) -> None:
        self.weight: Rows = np.array(weight, np.float32)
        """(labels, d) float32."""
        self.bias: Rows = np.array(bias, np.float32)
        """(labels,) float32."""
        if self.weight.ndim != 2 or self.bias.shape != self.weight.shape[:1]:
            raise ValueError(
                f"expected (labels, d) weights and (labels,) biases, got {self.weight.shape} and {self.bias.shape}"
            )
        if not (np.isfinite(self.weight).all() and np.isfinite(self.bias).all()):
            raise ValueError("expected finite numbers")

    @property
    def width(self) -> int:
        """How many numbers a row has."""
        return int(self.weight.shape[1])

    def probabilities(self, embeddings: Rows) -> Rows:
        """(N, labels) in 0..1; several labels may be likely at once.

        Args:
            embeddings: (N, d), as the encoder gives them: not normalised.

        Raises:
            ValueError: they have another width.
        """
        if embeddings.ndim != 2 or embeddings.shape[1] != self.width:
            raise ValueError(f"expected rows of {self.width} numbers, got {embeddings.shape}")
        found = np.empty((len(embeddings), len(self.bias)), np.float32)
        for start in range(0, len(embeddings), CHUNK):
            logits = embeddings[start : start + CHUNK] @ self.weight.T + self.bias
            found[start : start + CHUNK] = 1 / (1 + np.exp(-np.clip(logits, -80, 80)))
        return found
