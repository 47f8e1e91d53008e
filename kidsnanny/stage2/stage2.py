"""What Stage 2 is made of: it reads the text in the picture and reasons over text alone."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from kidsnanny.records import ModelId
from kidsnanny.stage2.judge.judge import Judge
from kidsnanny.stage2.ocr.ocr import Ocr
from kidsnanny.taxonomy import Category


class TextScorer(Protocol):
    """What Stage 2 asks of a text model."""

    model_id: ModelId
    """As it stands in `Verdict.provenance`."""
    categories: tuple[Category, ...]
    """What it scores, in the order of its columns."""
    reentrant: bool
    """Whether several threads may call it at once; if not, callers take turns."""

    def score(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """(len(texts), len(categories)) probabilities in 0..1."""
        ...

    def unknown_languages(self, passages: Sequence[str]) -> list[str | None]:
        """Of each passage of one text: why the model cannot judge it, or None."""
        ...


class Stage2(NamedTuple):
    """The engines of Stage 2. The judge is optional."""

    ocr: Ocr
    """Reads the text in frames."""
    text_model: TextScorer
    """Scores that text, and messages."""
    judge: Judge | None = None
    """Is asked about findings and text if the policy wants it; None: nobody is."""
