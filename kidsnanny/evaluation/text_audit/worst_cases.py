"""The misses and false alarms that are farthest from being right, with what was read, masked."""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, zip_longest

from pydantic import Field

from kidsnanny.evaluation.predictions import Prediction
from kidsnanny.evaluation.text_audit.audit_scores import Judged, grouped
from kidsnanny.evaluation.text_audit.read_texts import NOTHING, ReadText
from kidsnanny.records import Record

MOST = 20
"""Of either kind."""
LONGEST = 400
"""Characters of what was read that are shown."""
MASKED_FROM = 4
"""Letters of a word of which only the first and the last are shown."""


class WorstCase(Record):
    """A picture that our system has wrong."""

    id: str
    look: str
    topic: str
    score: float | None = Field(ge=0, le=1)
    """Our system's highest, 0..1, of all categories that its policy does not ignore, since any of them flags a picture;
    None: it has none, which counts as 0 for the order."""
    given_score: float | None = Field(ge=0, le=1)
    """The same of the text model on the true text; None if it was not asked, or has none."""
    read: str
    """What was read and judged, masked."""


class WorstCases(Record):
    """The first MOST of either kind, over the looks in turn."""

    misses: tuple[WorstCase, ...]
    """Harmful and not flagged, lowest score first."""
    false_alarms: tuple[WorstCase, ...]
    """Harmless and flagged, highest score first."""


def worst_cases(
    pictures: Sequence[Judged],
    lines: Sequence[Prediction],
    given: Sequence[Prediction],
    read: Mapping[str, ReadText],
) -> WorstCases:
    """Of what our system made of the pictures.

    Args:
        pictures, lines: the same, as counted and as predicted.
        given: the text model's lines on the true texts; there may be none.
        read: what our OCR read.
    """
    scores = {line.id: highest_score(line) for line in lines}
    on_text = {line.id: highest_score(line) for line in given}

    def case(one: Judged) -> WorstCase:
        passages = " / ".join(read.get(one.id, NOTHING).judged)
        shown = passages if len(passages) <= LONGEST else f"{passages[:LONGEST]}…"
        return WorstCase(
            id=one.id,
            look=one.look,
            topic=one.topic,
            score=scores[one.id],
            given_score=on_text.get(one.id),
            read=masked(shown),
        )

    by_score = sorted(pictures, key=lambda one: (scores[one.id] or 0.0, one.id))
    misses = [one for one in by_score if one.unsafe and not one.flagged]
    alarms = [one for one in reversed(by_score) if not one.unsafe and one.flagged]
    return WorstCases(
        misses=tuple(map(case, in_turn(misses, MOST))), false_alarms=tuple(map(case, in_turn(alarms, MOST)))
    )


def highest_score(line: Prediction) -> float | None:
    """Of all categories that the policy does not ignore, 0..1, and not only of those that the data set asks about;
    without such scores, the line's own; None if there is none."""
    ignored = line.policy.ignored if line.policy else ()
    return max((score.final for category, score in line.detail.items() if category not in ignored), default=line.score)


def in_turn(pictures: Sequence[Judged], most: int) -> list[Judged]:
    """The first picture of each look, then the second of each, and so on: `most` at most."""
    rounds = zip_longest(*grouped(pictures, lambda one: one.look).values())
    return [one for turn in rounds for one in turn if one][:most]


def masked(text: str) -> str:
    """Of each word of MASKED_FROM letters or more the first and the last only, with an asterisk for each other letter
    and # for each digit: `s**e`. A word is what letters, their marks, digits and underscores make without a break."""
    return "".join(_masked(text))


def _masked(text: str) -> Iterator[str]:
    for word, letters in groupby(text, _in_word):
        part = [("#" if letter.isdecimal() or letter.isnumeric() else letter) for letter in letters]
        if word and len(part) >= MASKED_FROM:
            part[1:-1] = ["#" if letter == "#" else "*" for letter in part[1:-1]]
        yield "".join(part)


def _in_word(letter: str) -> bool:
    return letter.isalnum() or letter == "_" or unicodedata.category(letter).startswith("M")
