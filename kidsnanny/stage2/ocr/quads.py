"""Where lines of text are: quads in a detector's map, and the pixels of a quad straightened."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from kidsnanny.media.loader import RGB
from kidsnanny.records import Box, TextLine
from kidsnanny.stage2.ocr.bends import Bend, bend_of

Quad = npt.NDArray[np.float32]
"""(4, 2): x and y in frame pixels of a line's corners, clockwise from where the line begins, at its top."""
LINE = 48
"""Pixels the recogniser wants a line to be high."""
UPSIDE_DOWN, MIRRORED, BOTH = [2, 3, 0, 1], [1, 0, 3, 2], [3, 2, 1, 0]
"""The order of a quad's corners in which the same line is read otherwise."""


def quads(probabilities: npt.NDArray[np.float32], shape: tuple[int, ...]) -> tuple[list[Quad], list[Bend]]:
    """Lines in a detector's map, (h, w) in 0..1, by differentiable binarization (arXiv 1911.08947, section 3.4), and
    the lines that bend.

    Each blob over 0.3 whose rectangle averages 0.5 or more is a line. The network is taught shrunken lines, so the
    rectangle grows by 1.6 x area / perimeter on every side. `shape` is that of the frame the quads are for.
    """
    import cv2

    blobs = cv2.dilate((probabilities > 0.3).astype(np.uint8), np.ones((2, 2), np.uint8))
    contours, _ = cv2.findContours(blobs, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    scale = np.array([shape[1], shape[0]], np.float32) / (probabilities.shape[1], probabilities.shape[0])
    found: list[Quad] = []
    bends: list[Bend] = []
    for contour in contours:
        centre, (width, height), angle = cv2.minAreaRect(contour)
        if min(width, height) < 3:
            continue
        corners = cv2.boxPoints((centre, (width, height), angle))
        if bend := bend_of(contour, corners, (width, height), scale):
            bends.append(bend)
            continue
        x, y, w, h = cv2.boundingRect(corners)
        x, y = max(x, 0), max(y, 0)
        inside = np.zeros((h, w), np.uint8)
        patch = probabilities[y : y + h, x : x + w]
        cv2.fillConvexPoly(inside, (corners - (x, y)).astype(np.int32), 1)
        if patch.size and cv2.mean(patch, inside[: patch.shape[0], : patch.shape[1]])[0] >= 0.5:
            grow = 1.6 * width * height / (width + height)  # on both sides together
            corners = cv2.boxPoints((centre, (width + grow, height + grow), angle)) * scale
            found.append(_laid(_clockwise(np.clip(corners, 0, (shape[1] - 1, shape[0] - 1)).astype(np.float32))))
    least = min(4, min(shape[:2]) - 1)
    return [quad for quad in found if short_side(quad) >= least], bends


def _clockwise(corners: Quad) -> Quad:
    """From the top left: the two leftmost corners are the left edge."""
    left, right = np.split(corners[corners[:, 0].argsort(kind="stable")], 2)
    (top_left, bottom_left), (top_right, bottom_right) = (side[side[:, 1].argsort()] for side in (left, right))
    return np.stack([top_left, top_right, bottom_right, bottom_left])


def _laid(quad: Quad) -> Quad:
    """A line that stands upright begins at its lower end."""
    length, high = size(quad)
    return quad[[1, 2, 3, 0]] if high >= 1.5 * length else quad


def size(quad: Quad) -> tuple[int, int]:
    """Length and height of a line in whole pixels of the frame, at least 1."""
    top_left, top_right, bottom_right, bottom_left = quad
    length = max(np.linalg.norm(top_left - top_right), np.linalg.norm(bottom_right - bottom_left))
    high = max(np.linalg.norm(top_left - bottom_left), np.linalg.norm(top_right - bottom_right))
    return max(1, int(length)), max(1, int(high))


def short_side(quad: Quad) -> float:
    """The shorter side, in pixels of the frame."""
    return float(min(np.linalg.norm(quad[0] - quad[3]), np.linalg.norm(quad[0] - quad[1])))


def turned_by(quad: Quad) -> float:
    """Degrees clockwise by which a line is turned: where its letters' feet point. Mirrored lines count as they hang."""
    x, y = (quad[3] + quad[2] - quad[0] - quad[1]).tolist()
    return round(math.degrees(math.atan2(-x, y)), 1)


def stretch(quad: Quad, start: float, end: float, top: float = 0, bottom: float = 1) -> Quad:
    """A part of a line, all in 0..1 of its length and height."""
    across = np.array([(start, top), (end, top), (end, bottom), (start, bottom)], np.float32)
    x, y = across[:, :1], across[:, 1:]
    part = (1 - y) * ((1 - x) * quad[0] + x * quad[1]) + y * ((1 - x) * quad[3] + x * quad[2])
    return np.asarray(part, np.float32)


def crop(frame: RGB, quad: Quad) -> RGB:
    """The line straightened; one far higher than the network looks is shrunk."""
    import cv2

    if (shrink := short_side(quad) // (4 * LINE)) > 1:
        box = upright(quad)
        frame = frame[box.y0 : box.y1 + 1, box.x0 : box.x1 + 1]
        frame = cv2.resize(frame, None, fx=1 / shrink, fy=1 / shrink, interpolation=cv2.INTER_AREA).astype(np.uint8)
        quad = (quad - (box.x0, box.y0)).astype(np.float32) / np.float32(shrink)
    length, high = size(quad)
    flat = np.array([(0, 0), (length, 0), (length, high), (0, high)], np.float32)
    turn = cv2.getPerspectiveTransform(quad, flat)
    line = cv2.warpPerspective(frame, turn, (length, high), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(line, np.uint8)


def upright(quad: Quad) -> Box:
    """The box around it."""
    corners = np.rint(quad).astype(int)
    return Box(*corners.min(0).tolist(), *corners.max(0).tolist())


def common(line: TextLine, other: TextLine) -> float:
    """Square pixels that two lines share, turned as they are: a slanted line's upright box holds its neighbours."""
    import cv2

    if not line.box.common(other.box):
        return 0.0
    corners = cv2.rotatedRectangleIntersection(_rectangle(line), _rectangle(other))[1]
    return 0.0 if corners is None else float(cv2.contourArea(cv2.convexHull(corners)))


def _rectangle(line: TextLine) -> tuple[tuple[float, float], tuple[float, float], float]:
    """Centre, sides and degrees, as OpenCV wants them."""
    return ((line.box.x0 + line.box.x1) / 2, (line.box.y0 + line.box.y1) / 2), line.extent, line.angle or 0.0


def covers(line: TextLine, other: TextLine) -> bool:
    """Whether most of the other line lies in this one."""
    return 2 * common(line, other) > other.area


def without_repeats(lines: Sequence[TextLine]) -> list[TextLine]:
    """Without the blank lines of which most is in other lines: a place that was found twice counts once."""
    kept = [line for line in lines if line.text]
    for blank in sorted((line for line in lines if not line.text), key=lambda line: -line.box.area):
        if sum(common(blank, line) for line in kept) * 2 <= blank.area:
            kept.append(blank)
    return kept
