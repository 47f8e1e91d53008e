"""What the text model says about the lines that were read."""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

import numpy as np

from kidsnanny.inspection import ChannelSignals
from kidsnanny.records import NotInspected, Signal, TextLine
from kidsnanny.stage2.stage2 import TextScorer

PASSAGE_WORDS = 12
LINE_WEIGHT = 0.65
"""Of a line's own score, which may be that of half a sentence and lack what excuses it: enough for `review` if the
model is sure, never for `block`."""
_STOPS = (".", "!", "?", "…")
_END = re.compile(r"(?<=[.!?…])\s+")
MAX_CHARACTERS = 20_000
"""Of one frame; a text model need not look further."""


def text_signals(model: TextScorer, lines: Sequence[TextLine]) -> ChannelSignals:
    """Score the text of each frame as a whole, sentence by sentence (one bad sentence drowns in a page), line by line
    at a discount (chats have no full stops), and of all frames together (sentences may run over frames). Each score
    names the line that scores highest by itself.

    The language is identified passage by passage, so that a foreign one on an English page is not passed over.

    Args:
        model: scores texts.
        lines: in reading order, frame after frame.
    """
    frames = [list(group) for _, group in groupby(lines, key=lambda line: line.frame)]
    signals = [signal for of_frame in frames for signal in _signals(model, of_frame)]
    if len(frames) > 1:
        signals += _signals(model, list({line.text: line for line in reversed(lines)}.values())[::-1])
    unknown: dict[tuple[int, str], NotInspected] = {}
    for of_frame in frames:
        frame = of_frame[0].frame
        if len(_join(of_frame)) > MAX_CHARACTERS:
            endless = f"more than {MAX_CHARACTERS:,} characters of text in one frame"
            unknown[frame, endless] = NotInspected(part="text", reason=endless, frame=frame)
        for passage in _passages(of_frame):
            if why := model.unknown_language(_join(passage)):
                unknown[frame, why] = NotInspected(part="text", reason=why, frame=frame)
    return ChannelSignals(
        looked_for={"text": model.categories}, signals=tuple(signals), not_inspected=tuple(unknown.values())
    )


def _signals(model: TextScorer, lines: Sequence[TextLine]) -> list[Signal]:
    texts = [_join(lines), *_sentences(lines)]
    scores = model.score([*texts, *(line.text for line in lines)])
    alone = scores[len(texts) :]
    whole = np.maximum(scores[: len(texts)].max(axis=0), LINE_WEIGHT * alone.max(axis=0))
    signals = []
    for column, category in enumerate(model.categories):
        highest = lines[int(alone[:, column].argmax())]
        signals.append(
            Signal(
                category=category,
                channel="text",
                source="text",
                score=float(whole[column]),
                what=highest.text,
                frame=highest.frame,
                box=highest.box,
            )
        )
    return signals


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
