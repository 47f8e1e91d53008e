"""Learned prompts (as CoOp's, arXiv 2109.01134): directions of "safe" and of each label in the space of CLIP's rows.

A text tower made them of the prompts when they were learned, and is not needed any more.
"""

import numpy as np
import numpy.typing as npt

from kidsnanny.probes.q16 import CHUNK, TEMPERATURE, normalised

Rows = npt.NDArray[np.float32]


class PromptProbe:
    """A text feature for what is safe and one for each label.

    A label's probability is that it, and not "safe", is meant, of these two alone: the softmax of 100 times their
    cosines with a row. So it is the same whichever other labels there are.

    Args:
        features: (1 + labels, d) finite numbers; row 0 is "safe".
        context: (length, text width) finite numbers: the learned vectors, of which the features can be made again.

    Raises:
        ValueError: they are something else.
    """

    def __init__(self, features: npt.ArrayLike, context: npt.ArrayLike) -> None:
        self.features: Rows = np.array(features, np.float32)
        """(1 + labels, d) float32, as the text tower gives them: not normalised."""
        self.context: Rows = np.array(context, np.float32)
        """(length, text width) float32."""
        if self.features.ndim != 2 or len(self.features) < 2 or self.context.ndim != 2:
            raise ValueError(
                f"expected (1 + labels, d) features and (length, width) vectors, got {self.features.shape} and "
                f"{self.context.shape}"
            )
        if not (np.isfinite(self.features).all() and np.isfinite(self.context).all()):
            raise ValueError("expected finite numbers")
        if not self.features.any(axis=1).all():
            raise ValueError("a feature of zeros has no direction")

    @property
    def width(self) -> int:
        """How many numbers a row has."""
        return int(self.features.shape[1])

    def probabilities(self, embeddings: Rows) -> Rows:
        """(N, labels) in 0..1; several labels may be likely at once.

        Args:
            embeddings: (N, d), normalised or not. A row of zeros has no direction, and its probabilities are 0.5.

        Raises:
            ValueError: they have another width.
        """
        if embeddings.ndim != 2 or embeddings.shape[1] != self.width:
            raise ValueError(f"expected rows of {self.width} numbers, got {embeddings.shape}")
        directions = TEMPERATURE * normalised(self.features.astype(np.float64))
        towards = (directions[1:] - directions[0]).T
        found = np.empty((len(embeddings), towards.shape[1]), np.float32)
        for start in range(0, len(embeddings), CHUNK):
            logits = normalised(embeddings[start : start + CHUNK].astype(np.float64)) @ towards
            found[start : start + CHUNK] = 1 / (1 + np.exp(-np.clip(logits, -80, 80)))
        return found
