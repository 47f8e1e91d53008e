"""Lines of text that bend, as on a bottle, a banner or a book's page: where they run, and their pixels straightened."""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from kidsnanny.media.loader import RGB
from kidsnanny.records import Box, TextLine

BENT = 0.2
"""Of a line's height: its middle leaves the straight way by more."""
LONGEST = 4_000
"""Pixels of a straightened line."""
_LEAST = 4
"""Heights: a shorter line is taken as straight."""
_STEPS = 24
"""Places along a line at which its middle is measured."""


class Bend(NamedTuple):
    """A line that bends, in pixels of the frame."""

    middle: npt.NDArray[np.float32]
    """(n, 2): x and y of points at equal distances along the middle, in the direction of reading."""
    high: float

    def line(self, text: str, confidence: float, shape: tuple[int, ...], *, upside_down: bool) -> TextLine:
        """What was read of it in a frame of that shape; the angle is that of the way from its beginning to its end."""
        least, most = (0, 0), (shape[1] - 1, shape[0] - 1)
        low = np.clip(self.middle.min(0) - self.high / 2, least, most)
        high = np.clip(self.middle.max(0) + self.high / 2, least, most)
        x, y = (self.middle[-1] - self.middle[0]).tolist()
        angle = math.degrees(math.atan2(y, x))
        return TextLine(
            text=text,
            confidence=confidence,
            box=Box(*map(round, low.tolist()), *map(round, high.tolist())),
            aspect=max(0.1, float(np.linalg.norm(np.diff(self.middle, axis=0), axis=1).sum()) / self.high),
            angle=round(angle - math.copysign(180, angle) * upside_down, 1),
        )


def bend_of(
    contour: npt.NDArray[Any],
    corners: npt.NDArray[Any],
    sides: tuple[float, float],
    scale: npt.NDArray[Any],
) -> Bend | None:
    """The line of a detector's blob, or None if it is straight, or no one line.

    Args:
        contour: (n, 1, 2), in pixels of the map.
        corners: (4, 2), of the smallest rectangle around it.
        sides: of that rectangle, in pixels of the map.
        scale: of x and y, from the map to the frame.
    """
    import cv2

    length, across = max(sides), min(sides)
    if length < 2 * _LEAST or not across:
        return None
    edges = [corners[1] - corners[0], corners[2] - corners[1]]
    along = max(edges, key=lambda edge: float(np.linalg.norm(edge)))
    along = along / np.linalg.norm(along)
    if abs(along[1]) > 1.5 * abs(along[0]):  # a line that stands upright begins at its lower end
        along = -along if along[1] > 0 else along
    elif along[0] < 0:
        along = -along
    down = np.array([-along[1], along[0]])
    centre = corners.mean(0)
    flat = (contour[:, 0] - centre) @ np.stack([along, down], 1)
    offset = flat.min(0) - 1
    shape = np.ceil(np.ptp(flat, axis=0)).astype(int) + 3
    blob = np.zeros((shape[1], shape[0]), np.uint8)
    cv2.fillPoly(blob, [np.rint(flat - offset).astype(np.int32)], 1)
    places = np.linspace(0.02 * length, 0.98 * length, _STEPS)
    columns = blob[:, np.clip(np.rint(places).astype(int) + 1, 0, shape[0] - 1)]
    thick = columns.sum(0).astype(float)
    if not thick.all():
        return None
    thickness = float(np.median(thick))
    middles = (columns * np.arange(shape[1])[:, None]).sum(0) / thick + offset[1]
    grow = 1.6 * thickness * length / (thickness + length)
    high = thickness + grow
    fitted = np.polynomial.Polynomial.fit(places, middles, 3)
    ways = fitted(places)
    chord = np.interp(places, places[[0, -1]], ways[[0, -1]])
    even = float(np.abs(middles - ways).max()) < 0.5 * thickness and float(thick.max()) < 2.5 * thickness
    if not even or length < _LEAST * high or float(np.abs(ways - chord).max()) < BENT * high:
        return None
    run = np.linspace(-grow / 2, length + grow / 2, 4 * _STEPS)
    points = (
        centre + (run + offset[0] + 1)[:, None] * along + fitted(np.clip(run, places[0], places[-1]))[:, None] * down
    )
    return Bend((points * scale).astype(np.float32), high * float(scale.mean()))


def straighten(frame: RGB, bend: Bend) -> RGB:
    """The pixels along the line, as if it were straight: (height, length, 3)."""
    import cv2

    steps = np.linalg.norm(np.diff(bend.middle, axis=0), axis=1)
    way = np.concatenate(([0.0], steps.cumsum()))
    length, high = min(LONGEST, max(1, round(float(way[-1])))), max(1, round(bend.high))
    places = np.linspace(0, way[-1], length)
    x, y = (np.interp(places, way, bend.middle[:, side]) for side in (0, 1))
    dx, dy = np.gradient(x), np.gradient(y)
    norm = np.maximum(np.hypot(dx, dy), 1e-6)
    across = np.arange(high)[:, None] - (high - 1) / 2
    maps = (x - across * dy / norm).astype(np.float32), (y + across * dx / norm).astype(np.float32)
    return np.asarray(cv2.remap(frame, *maps, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE), np.uint8)
