"""A picture without its text, and its text without the picture. Frames are (H, W, 3) uint8 RGB and are not changed."""

from collections.abc import Iterable

import numpy as np

from kidsnanny.media.loader import RGB
from kidsnanny.records import Box

RADIUS = 3
"""Pixels around a hole from which `cv2.inpaint` (Telea's method) continues the picture."""


def paint_out(frame: RGB, boxes: Iterable[Box]) -> RGB:
    """The frame with its text painted over from what surrounds it: each box grows by a quarter of its shorter side, and
    a pixel, on every side. A frame that is nothing but text becomes white.

    A bar over the text would be simpler, but bars are what people put over what must not be seen.
    """
    import cv2

    hole = np.zeros(frame.shape[:2], np.uint8)
    for box in boxes:
        margin = 1 + max(0, min(box.x1 - box.x0, box.y1 - box.y0)) // 4
        hole[_within(Box(box.x0 - margin, box.y0 - margin, box.x1 + margin, box.y1 + margin))] = 255
    if hole.all():
        return np.full_like(frame, 255)
    return cv2.inpaint(np.ascontiguousarray(frame), hole, RADIUS, cv2.INPAINT_TELEA).astype(np.uint8, copy=False)


def text_alone(frame: RGB, boxes: Iterable[Box]) -> RGB:
    """A white frame of the same size with the boxes of text cut out of the picture where they stand.

    It is the picture's own lettering, in whatever script, not what an OCR made of it; what shines through between the
    letters stays.
    """
    alone = np.full_like(frame, 255)
    for box in boxes:
        alone[_within(box)] = frame[_within(box)]
    return alone


def _within(box: Box) -> tuple[slice, slice]:
    """Rows and columns of a box, also of one that begins or ends outside of the frame."""
    x0, y0, x1, y1 = (max(0, side) for side in box)
    return slice(y0, y1), slice(x0, x1)
