"""Which lines of a frame belong together, as in a bubble or a column, and in which order one reads them."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from kidsnanny.records import TextLine

NEAR = 0.9
"""Heights of a line: the gap above the next line of a block is at most so wide, and so is one beside a line."""
LIKE = 1.7
"""Lines of a block are at most so many times as high as each other."""
BELOW = 0.3
"""Of the width of the shorter line: at least so much of it stands under the longer one."""
TILT = 15
"""Degrees: lines that are turned by so much more or less than each other are read apart."""
SLANTED = 2
"""A line of lesser aspect does not tell by how much it is turned."""
PROSE = 3
"""Words a line: what has fewer is a column of a table, and read row by row with the column beside it."""


MOST = 500
"""Lines that are compared with each other; of more, those from the top come first, so many at a time."""


class _Level(NamedTuple):
    """A line, with its box as it would be if the text of the frame were level."""

    line: TextLine
    x0: float
    y0: float
    x1: float
    y1: float


_Block = list[_Level]


def blocks(lines: Sequence[TextLine]) -> list[list[TextLine]]:
    """Lines of one frame that stand close together and are of like height, block by block.

    Blocks are read from the top; blocks beside each other from the left, each to its end. Lines that are turned count
    as if they were not; those that are turned by another angle follow.
    """
    if len(lines) > MOST:
        from_top = sorted(lines, key=lambda line: line.box.y0 + line.box.y1)
        return [block for start in range(0, len(lines), MOST) for block in blocks(from_top[start : start + MOST])]
    return [
        [one.line for row in _rows(block) for one in row]
        for angle, group in _by_angle(lines)
        for block in _in_order(_tables(_close([_level(line, angle) for line in group])))
    ]


def reading_order(lines: Sequence[TextLine]) -> list[TextLine]:
    """The lines of one frame, block by block; in a block, rows from top to bottom, each from left to right."""
    return [line for block in blocks(lines) for line in block]


def _by_angle(lines: Sequence[TextLine]) -> Iterator[tuple[float, list[TextLine]]]:
    """Degrees, and the lines that are turned by so much, most text first; those that do not tell are of the first."""
    telling: list[TextLine] = []
    others: list[TextLine] = []
    for line in lines:
        (telling if line.angle is not None and (line.aspect or 0) >= SLANTED else others).append(line)
    if not telling:
        yield 0.0, others
    while telling:
        angles = np.array([line.angle for line in telling])
        weights = np.array([len(line.text) + 1 for line in telling])
        apart = (angles[:, None] - angles + 180) % 360 - 180
        alike = np.abs(apart) <= TILT
        first = int((alike @ weights).argmax())
        angle = float(angles[first] - np.average(apart[first], weights=weights * alike[first]))
        turned = set(np.flatnonzero(alike[first]).tolist())
        group = [line for place, line in enumerate(telling) if place in turned]
        telling = [line for place, line in enumerate(telling) if place not in turned]
        yield angle, group + others
        others = []


def _level(line: TextLine, angle: float) -> _Level:
    x, y = (line.box.x0 + line.box.x1) / 2, (line.box.y0 + line.box.y1) / 2
    wide, high = (line.box.x1 - line.box.x0, line.box.y1 - line.box.y0) if line.angle is None else line.extent
    cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
    x, y = x * cos + y * sin, y * cos - x * sin
    return _Level(line, x - wide / 2, y - high / 2, x + wide / 2, y + high / 2)


def _close(lines: Sequence[_Level]) -> list[_Block]:
    """Lines that stand close under or beside each other."""
    if not lines:
        return []
    x0, y0, x1, y1 = np.array([line[1:] for line in lines]).T
    high, wide = np.maximum(y1 - y0, 1), np.maximum(x1 - x0, 1)
    lower = np.minimum(high[:, None], high)
    apart = np.maximum(y0[:, None], y0) - np.minimum(y1[:, None], y1)
    shared = np.minimum(x1[:, None], x1) - np.maximum(x0[:, None], x0)
    under = (apart <= NEAR * lower) & (shared >= BELOW * np.minimum(wide[:, None], wide))
    beside = (-apart >= lower / 2) & (-shared <= NEAR * lower)
    near = (under | beside) & (np.maximum(high[:, None], high) <= LIKE * lower)
    return [[lines[place] for place in part] for part in _parts(near)]


def _tables(found: Sequence[_Block]) -> list[_Block]:
    """Blocks beside each other with hardly a word in a line are one: a table's columns."""
    thin = np.array([sum(len(one.line.text.split()) for one in block) < PROSE * len(block) for block in found], bool)
    boxes = np.array([_box(block) for block in found]).reshape(-1, 4)
    tops, bottoms = boxes[:, 1], boxes[:, 3]
    shared = np.minimum(bottoms[:, None], bottoms) - np.maximum(tops[:, None], tops)
    beside = shared * 2 >= np.minimum((bottoms - tops)[:, None], bottoms - tops)
    return [[one for place in part for one in found[place]] for part in _parts(beside & thin[:, None] & thin)]


def _parts(linked: np.ndarray) -> list[list[int]]:
    """The connected components of a symmetric matrix, each sorted."""
    unseen = dict.fromkeys(range(len(linked)))
    found = []
    while unseen:
        part = [next(iter(unseen))]
        del unseen[part[0]]
        for place in part:
            more = [other for other in np.flatnonzero(linked[place]).tolist() if other in unseen]
            for other in more:
                del unseen[other]
            part += more
        found.append(sorted(part))
    return found


def _in_order(found: Sequence[_Block]) -> list[_Block]:
    """Cut where nothing stands, across and then down, again and again (the XY-cut)."""
    for side in (1, 0):  # y, then x
        groups: list[list[_Block]] = []
        end = -math.inf
        for block in sorted(found, key=lambda block: _box(block)[side]):
            box = _box(block)
            if box[side] >= end:
                groups.append([])
            groups[-1].append(block)
            end = max(end, box[side + 2])
        if len(groups) > 1:
            return [block for group in groups for block in _in_order(group)]
    return sorted(found, key=lambda block: (_box(block)[1], _box(block)[0]))


def _box(block: _Block) -> tuple[float, float, float, float]:
    return (
        min(one.x0 for one in block),
        min(one.y0 for one in block),
        max(one.x1 for one in block),
        max(one.y1 for one in block),
    )


def _rows(block: _Block) -> list[_Block]:
    """From top to bottom. Lines share a row if the middle of each lies beside the other, so that nothing tall can
    gather a whole block in its row.
    """
    rows: list[_Block] = []
    for line in sorted(block, key=lambda line: (line.y0 + line.y1, line.x0)):
        if rows and _beside(rows[-1][0], line) and _beside(line, rows[-1][0]):
            rows[-1].append(line)
        else:
            rows.append([line])
    return [sorted(row, key=lambda line: line.x0) for row in rows]


def _beside(line: _Level, other: _Level) -> bool:
    """Whether the other's middle is at the height of the line."""
    return 2 * line.y0 <= other.y0 + other.y1 < 2 * line.y1
