"""Stage 2 reads the text in the picture and reasons over text alone."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from kidsnanny.records import Evidence, NotInspected, Reason, TextLine
from kidsnanny.stage2.ocr import Ocr
from kidsnanny.taxonomy import Category

WINDOW_WORDS = 60


class TextScorer(Protocol):
    """What Stage 2 asks of a text model."""

    name: str
    categories: tuple[Category, ...]
    reentrant: bool

    def score(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """(len(texts), len(categories)) probabilities in 0..1."""
        ...

    def unknown_language(self, text: str) -> str | None:
        """Why the model cannot judge this text, or None."""
        ...


class Stage2(NamedTuple):
    """The readers and thinkers of Stage 2."""

    ocr: Ocr
    text_model: TextScorer


class Weighed(NamedTuple):
    """What the text is evidence of, and what of it could not be judged."""

    reasons: list[Reason]
    not_inspected: list[NotInspected]


def weigh_text(model: TextScorer, evidence: Evidence) -> Weighed:
    """Score the lines of each frame, alone and in windows of about 60 words, so that neither a sentence broken over
    lines nor a short one on a long page is lost. A window's score is pinned on the line in it that says it loudest.
    """
    reasons: list[Reason] = []
    unknown: dict[tuple[int, str], NotInspected] = {}
    for window in _windows(evidence.lines):
        texts = [" ".join(line.text for line in window), *(line.text for line in window)]
        if why := model.unknown_language(texts[0]):
            frame = window[0].frame
            unknown[frame, why] = NotInspected(part="text", reason=why, frame=frame)
        whole, *alone = model.score(texts)
        for column, category in enumerate(model.categories):
            own = [scores[column] for scores in alone]
            loudest = window[int(np.argmax(own))]
            reasons.append(
                Reason(
                    category=category,
                    channel="text",
                    source="text",
                    score=float(max(whole[column], *own)),
                    what=loudest.text,
                    frame=loudest.frame,
                    box=loudest.box,
                )
            )
    return Weighed(reasons, list(unknown.values()))


def _windows(lines: Sequence[TextLine]) -> Iterator[list[TextLine]]:
    """Runs of lines of one frame with about 60 words, each overlapping the one before by half."""
    start = 0
    while start < len(lines):
        end, words = start, 0
        while end < len(lines) and lines[end].frame == lines[start].frame and (end == start or words < WINDOW_WORDS):
            words += len(lines[end].text.split())
            end += 1
        yield list(lines[start:end])
        if end == len(lines) or lines[end].frame != lines[start].frame:
            start = end
        else:
            start += max(1, (end - start) // 2)
