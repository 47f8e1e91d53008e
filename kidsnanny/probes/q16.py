"""Q16 (arXiv 2110.04222, 2202.06675): two vectors beside an encoder's rows say whether a picture is inappropriate."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from kidsnanny.errors import ComponentError
from kidsnanny.models.cards import Card, ImageEncoderCard, find_card

TEMPERATURE = 100.0
"""Times the cosine, which is CLIP's own."""
SENTENCES = ("This image is about something positive", "This image is about something negative")
"""The papers'. What is fine comes first."""
LABELS = ("fine", "inappropriate")
CHUNK = 8192
"""Rows that are normalised at once, so that a file of rows is never in memory as a whole."""

Rows = npt.NDArray[np.float32]
Float = TypeVar("Float", bound=np.floating)


class Q16:
    """Two vectors in the space of an encoder's rows. Both sides are normalised, as in the papers' route for pictures.

    Args:
        prompts: (2, d) finite numbers; row 0 is what is fine, row 1 what is inappropriate.

    Raises:
        ValueError: they are something else.
    """

    def __init__(self, prompts: npt.ArrayLike) -> None:
        self.prompts: Rows = np.array(prompts, np.float32)
        """(2, d) float32, as they were given: not normalised."""
        if self.prompts.ndim != 2 or len(self.prompts) != 2 or not np.isfinite(self.prompts).all():
            raise ValueError(f"expected (2, d) finite numbers, got {self.prompts.shape}")
        if not self.prompts.any(axis=1).all():
            raise ValueError("a vector of zeros has no direction")

    @property
    def width(self) -> int:
        """How many numbers a row has."""
        return int(self.prompts.shape[1])

    def logits(self, embeddings: Rows) -> Rows:
        """(N, 2) float32: 100 times the cosine of each row with what is fine and with what is inappropriate.

        Args:
            embeddings: (N, d), normalised or not. A row of zeros has no direction, and both of its cosines are 0.

        Raises:
            ValueError: they have another width.
        """
        if embeddings.ndim != 2 or embeddings.shape[1] != self.width:
            raise ValueError(f"expected rows of {self.width} numbers, got {embeddings.shape}")
        found = np.empty((len(embeddings), 2), np.float32)
        directions = TEMPERATURE * normalised(self.prompts.astype(np.float64)).T
        for start in range(0, len(embeddings), CHUNK):
            found[start : start + CHUNK] = normalised(embeddings[start : start + CHUNK].astype(np.float64)) @ directions
        return found

    def probabilities(self, embeddings: Rows) -> Rows:
        """(N, 2) in 0..1, each row summing to 1: fine, inappropriate. Errors as in `logits`."""
        bad = self.inappropriate(embeddings)
        return np.stack([1 - bad, bad], axis=1)

    def inappropriate(self, embeddings: Rows) -> Rows:
        """(N,) in 0..1: how inappropriate each row is. The papers' audit takes a picture from .90 on, their
        classification from .5 on. Errors as in `logits`."""
        fine, bad = self.logits(embeddings).T
        return np.asarray(1 / (1 + np.exp(np.clip(fine - bad, -80, 80))), np.float32)


def normalised(rows: npt.NDArray[Float]) -> npt.NDArray[Float]:
    """Each row divided by its length; zeros stay zeros."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    found: npt.NDArray[Float] = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
    return found


def zero_shot(encoder: Card | str, sentences: Sequence[str] = SENTENCES) -> Q16:
    """Q16 before any training: two sentences, read by the text tower beside the encoder's image tower.

    Args:
        encoder: a CLIP's or SigLIP's card or its name.
        sentences: two; the first says what is fine.

    Raises:
        ComponentError: it has no text tower, or a package is missing.
        WeightsError: the weights are missing or do not fit.
        ValueError: there are not two sentences.
    """
    if len(sentences) != 2:
        raise ValueError(f"expected two sentences, got {len(sentences)}")
    card = find_card(encoder, ImageEncoderCard)
    from kidsnanny.models.transformers_encoders import embed_sentences

    rows = embed_sentences(card, sentences)
    try:
        return Q16(rows)
    except ValueError as error:
        raise ComponentError(f"{card.name}: its text tower gives no two vectors ({error}); fix the card.") from error
