"""Stage 2 reads the text in the picture and reasons over text alone."""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from kidsnanny.records import Evidence, NotInspected, Reason, TextLine
from kidsnanny.stage2.judge.judge import Judge
from kidsnanny.stage2.ocr.ocr import Ocr
from kidsnanny.taxonomy import Category

PASSAGE_WORDS = 12
LINE_WORTH = 0.65
"""Of a line's own score, which may be that of half a sentence and lack what excuses it: enough for `review` if the
model is sure, never for `block`."""
_STOPS = (".", "!", "?", "…")
_END = re.compile(r"(?<=[.!?…])\s+")
MAX_CHARACTERS = 20_000
"""Of one frame; a text model need not look further."""


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
    judge: Judge | None = None


class Weighed(NamedTuple):
    """What the text is evidence of, and what of it could not be judged."""

    reasons: list[Reason]
    not_inspected: list[NotInspected]


def weigh_text(model: TextScorer, evidence: Evidence) -> Weighed:
    """Score the text of each frame as a whole, sentence by sentence (one bad sentence drowns in a page), line by line
    at a discount (chats have no full stops), and of all frames together (sentences may run over frames); pin each
    score on the line that says it loudest.

    The language is told passage by passage, so that a foreign one on an English page is not passed over.
    """
    frames = [list(group) for _, group in groupby(evidence.lines, key=lambda line: line.frame)]
    reasons = [reason for lines in frames for reason in _reasons(model, lines)]
    if len(frames) > 1:
        reasons += _reasons(model, list({line.text: line for line in reversed(evidence.lines)}.values())[::-1])
    unknown: dict[tuple[int, str], NotInspected] = {}
    for lines in frames:
        frame = lines[0].frame
        if len(_join(lines)) > MAX_CHARACTERS:
            endless = f"more than {MAX_CHARACTERS:,} characters of text in one frame"
            unknown[frame, endless] = NotInspected(part="text", reason=endless, frame=frame)
        for passage in _passages(lines):
            if why := model.unknown_language(_join(passage)):
                unknown[frame, why] = NotInspected(part="text", reason=why, frame=frame)
    return Weighed(reasons, list(unknown.values()))


def _reasons(model: TextScorer, lines: Sequence[TextLine]) -> list[Reason]:
    texts = [_join(lines), *_sentences(lines)]
    scores = model.score([*texts, *(line.text for line in lines)])
    alone = scores[len(texts) :]
    whole = np.maximum(scores[: len(texts)].max(axis=0), LINE_WORTH * alone.max(axis=0))
    reasons = []
    for column, category in enumerate(model.categories):
        loudest = lines[int(alone[:, column].argmax())]
        reasons.append(
            Reason(
                category=category,
                channel="text",
                source="text",
                score=float(whole[column]),
                what=loudest.text,
                frame=loudest.frame,
                box=loudest.box,
            )
        )
    return reasons


def _sentences(lines: Sequence[TextLine]) -> Iterator[str]:
    """The text cut into sentences. A line goes on in the next one if it has no full stop at its end, the next begins
    small, and there is less than a line's height between them.
    """
    passage: list[TextLine] = []
    for line in lines:
        before = passage[-1] if passage else None
        if before and (
            before.text.endswith(_STOPS)
            or not line.text[:1].islower()
            or line.frame != before.frame
            or line.box.y0 - before.box.y1 > line.box.y1 - line.box.y0
        ):
            yield from _END.split(_join(passage))
            passage = []
        passage.append(line)
    yield from _END.split(_join(passage))


def _join(lines: Sequence[TextLine]) -> str:
    return " ".join(line.text for line in lines)


def _passages(lines: Sequence[TextLine]) -> Iterator[list[TextLine]]:
    """Consecutive lines, cut into runs of at least PASSAGE_WORDS words where there are as many."""
    passage: list[TextLine] = []
    for line in lines:
        passage.append(line)
        if sum(len(line.text.split()) for line in passage) >= PASSAGE_WORDS:
            yield passage
            passage = []
    if passage:
        yield passage
