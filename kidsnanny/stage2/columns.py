"""Words written downwards, letter under letter, which an OCR engine reads as many lines of a letter or two."""

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from kidsnanny.records import Box, TextLine

LEAST = 3
"""Lines of which a column is made at least."""
WIDEST = 3
"""Letters beside each other in a line that may belong to as many columns."""
FARTHEST = 3.2
"""Heights of a letter from the middle of one to the next: a letter's own, and room for a blank."""

_ALONE = str.maketrans("10|_一ー―", "IOIIIII")
"""What a letter is taken for that is read by itself, where the ones around it say nothing."""


class _Letter(NamedTuple):
    """One letter, or an unread place for one."""

    text: str
    line: TextLine
    x: float
    y: float
    width: float
    height: float


def columns(lines: Sequence[TextLine]) -> list[TextLine]:
    """The words that letters under each other make, from left to right, as further lines of kind "column".

    Args:
        lines: of one frame, as an OCR engine read them.

    Returns:
        Each with the mean confidence of its letters, 0 for one that was found and not read.
    """
    found: list[list[_Letter]] = []
    open_ended: list[list[_Letter]] = []
    letters = [letter for line in lines if line.kind == "line" for letter in _letters(line)]
    for letter in sorted(letters, key=lambda letter: letter.y):
        open_ended = [column for column in open_ended if letter.y - column[-1].y <= 2 * FARTHEST * column[-1].height]
        near = [column for column in open_ended if _below(column[-1], letter)]
        if near:
            min(near, key=lambda column: letter.y - column[-1].y).append(letter)
        else:
            found.append([letter])
            open_ended.append(found[-1])
    words = [_column(letters) for letters in found if _is_column(letters)]
    return sorted(words, key=lambda word: word.box.x0)


def _letters(line: TextLine) -> list[_Letter]:
    """Where the letters of a short line, or of a line that runs downwards, stand."""
    x0, y0, x1, y1 = line.box
    wide, high, text = x1 - x0, y1 - y0, line.text.strip()
    count = max(1, len(text))
    down = high > wide and count > 1
    if not down and (count > WIDEST or wide > 2 * count * high):
        return []
    step = (0.0, high / count) if down else (wide / count, 0.0)
    size = (wide, high / count) if down else (wide / count, high)
    start = (x0 + size[0] / 2, y0 + size[1] / 2)
    return [_Letter(c, line, start[0] + n * step[0], start[1] + n * step[1], *size) for n, c in enumerate(text or " ")]


def _below(upper: _Letter, lower: _Letter) -> bool:
    """Whether the second stands under the first as the next letter of a word would."""
    high, wide = max(upper.height, lower.height), max(upper.width, lower.width)
    return (
        2 * min(upper.height, lower.height) >= high
        and 0.5 * high <= lower.y - upper.y <= FARTHEST * high
        and 2 * abs(lower.x - upper.x) <= max(wide, high)
    )


def _is_column(letters: Sequence[_Letter]) -> bool:
    """Letters of several lines, and not the figures of a table."""
    read = [letter for letter in letters if letter.text.strip()]
    return len({id(letter.line) for letter in letters}) >= LEAST and 2 * sum(
        letter.text.isalpha() for letter in read
    ) >= len(read)


def _column(letters: Sequence[_Letter]) -> TextLine:
    steps = sorted(lower.y - upper.y for upper, lower in pairwise(letters))
    usual = steps[len(steps) // 4]
    text = letters[0].text
    for upper, lower in pairwise(letters):
        text += " " * (lower.y - upper.y > 1.6 * usual) + lower.text
    boxes = [letter.line.box for letter in letters]
    half = max(letter.width for letter in letters) / 2
    box = Box(
        round(min(letter.x for letter in letters) - half),
        min(box.y0 for box in boxes),
        round(max(letter.x for letter in letters) + half),
        max(box.y1 for box in boxes),
    )
    confidence = sum(letter.line.confidence * bool(letter.text.strip()) for letter in letters) / len(letters)
    return TextLine(text=" ".join(text.translate(_ALONE).split()), confidence=confidence, box=box, kind="column")
