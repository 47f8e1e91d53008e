"""QR codes in a picture, read by OpenCV. What comes out is untrusted text that nobody can read in passing.

A code has three finder patterns: a square in a ring in a ring. Nested outlines of about their proportions are counted
first, which takes a few milliseconds and rules out nearly every picture without a code; OpenCV's detector, whose time
grows with more than the square of their number, then sees the picture as it is and as its negative.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from kidsnanny.budget import leave_out, out_of_time
from kidsnanny.media.loader import RGB
from kidsnanny.records import Box, TextLine

PIXELS = 8_300_000
"""A 4K frame; a larger one is shrunk to as many."""
CHANGES = 400_000
"""From light to dark and back, along the rows: a picture with more, which is noise, is shrunk until it has fewer, since
the time to find outlines grows with the square of their number."""
FINDERS = 90
"""More of what looks like finder patterns are not tried. A code has three, and large modules may pass for some more."""
WINDOW, DARKER = 23, 4
"""Pixels, levels: dark is what is so much darker than the mean of the square around it."""
AREA = (2.2, 14)
"""How many times larger than its core (9 modules of 49) the outline of a finder pattern is, blurred and slanted."""
READ = 0.9
"""Confidence of a line from which on it may be a text in the middle of a code, as a logo is."""
MARGIN = 16
"""Pixels around a code that its decoder sees."""
LARGE = 1_000
"""Pixels; a larger code is shrunk for its decoder."""

_Gray = npt.NDArray[np.uint8]
_Corners = npt.NDArray[np.float32]


def read_codes(frame: RGB) -> tuple[list[TextLine], list[str]]:
    """The QR codes in an (H, W, 3) uint8 RGB frame: lines with `code`, and why others were not read.

    Codes are found from modules of 2 pixels on, however turned, mirrored, inverted or faint. Micro QR, Data Matrix,
    Aztec, PDF417 and barcodes are not.
    """
    import cv2

    gray = np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), np.uint8)
    gray = _shrunk(gray, min(1.0, (PIXELS / gray.size) ** 0.5))
    while np.count_nonzero((dark := _dark(gray))[:, 1:] != dark[:, :-1]) > CHANGES:
        gray = _shrunk(gray, 0.7)
    scale = len(gray) / len(frame)
    finders = _finders(dark)
    if finders < 3:
        return [], []
    if finders > FINDERS:
        return [], [f"more than {FINDERS} finder patterns of QR codes; their codes were not read"]
    lines: list[TextLine] = []
    missed: list[str] = []
    found = [(view, corners) for view in (gray, 255 - gray) for corners in _found(view)]
    for n, (view, corners) in enumerate(found):
        if n and out_of_time():
            leave_out(f"{len(found) - n} of {len(found)} QR codes were not read")
            break
        if content := _content(view, corners):
            box = _box(corners / np.float32(scale), frame.shape)
            lines.append(TextLine(text=content, confidence=1.0, box=box, kind="code"))
        else:
            missed.append("a QR code could not be decoded")
    return lines, missed


def without_modules(lines: list[TextLine], codes: list[TextLine]) -> list[TextLine]:
    """The lines less those that an OCR engine only seemed to read in the modules of a code that was decoded."""
    return [line for line in lines if line.confidence >= READ or not any(code.box.covers(line.box) for code in codes)]


def _shrunk(gray: _Gray, scale: float) -> _Gray:
    import cv2

    if scale == 1:
        return gray
    return np.asarray(cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)


def _dark(gray: _Gray) -> _Gray:
    """255 where the picture is darker than around, else 0; specks left out, which have most of the outlines."""
    import cv2

    mean, inverse = cv2.ADAPTIVE_THRESH_MEAN_C, cv2.THRESH_BINARY_INV
    return np.asarray(cv2.medianBlur(cv2.adaptiveThreshold(gray, 255, mean, inverse, WINDOW, DARKER), 3), np.uint8)


def _finders(dark: _Gray) -> int:
    """How many outlines hold an outline that holds an outline, in the proportions of a finder pattern."""
    import cv2

    outlines, tree = cv2.findContours(dark, cv2.RETR_TREE, cv2.CHAIN_APPROX_SIMPLE)
    child = np.reshape(tree, (-1, 4))[:, 2] if outlines else np.zeros(0, np.int32)
    rings = np.flatnonzero(child >= 0)
    rings = rings[child[child[rings]] >= 0]
    cores = child[child[rings]]
    areas = (
        (cv2.contourArea(outlines[ring]), cv2.contourArea(outlines[core]))
        for ring, core in zip(rings.tolist(), cores.tolist(), strict=True)
    )
    return sum(core >= 2 and AREA[0] < outer / core < AREA[1] for outer, core in areas)


def _found(gray: _Gray) -> list[_Corners]:
    """The corners, (4, 2), of each code."""
    import cv2

    detector = cv2.QRCodeDetectorAruco()
    given = detector.getArucoParameters()
    given.adaptiveThreshWinSizeMin = given.adaptiveThreshWinSizeMax = WINDOW
    given.adaptiveThreshConstant = DARKER
    given.minOtsuStdDev = 1.0  # also for faint ones
    detector.setArucoParameters(given)
    found, corners = detector.detectMulti(gray)
    return list(np.asarray(corners, np.float32)) if found else []


def _content(gray: _Gray, corners: _Corners) -> str:
    """What a code says, without line breaks; empty if no decoder gets anything out of it."""
    import cv2

    box = _box(corners, gray.shape, MARGIN)
    crop: Any = np.ascontiguousarray(gray[box.y0 : box.y1, box.x0 : box.x1])
    inside = corners - np.array([box.x0, box.y0], np.float32)
    if (scale := LARGE / max(crop.shape)) < 1:
        crop = cv2.resize(crop, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        inside = inside * np.float32(scale)
    crop = cv2.normalize(crop, crop, 0, 255, cv2.NORM_MINMAX)
    for view, points in _sharpened(crop, inside):
        for decoder in _decoders():
            try:
                content, _ = decoder.decode(view, points[None])
            except (cv2.error, ValueError, SystemError):  # damaged, or not UTF-8
                continue
            if content := " ".join(content.split()):
                return content
    return ""


def _decoders() -> tuple[Any, ...]:
    import cv2

    return cv2.QRCodeDetectorAruco(), cv2.QRCodeDetector()


def _sharpened(crop: _Gray, corners: _Corners) -> Iterator[tuple[_Gray, _Corners]]:
    """The code as it is, and without the blur of a camera."""
    import cv2

    yield crop, corners
    module = max(1.0, float(np.ptp(corners)) / 80)
    for strength in (1, 2):
        blurred = cv2.GaussianBlur(crop, (0, 0), 2 * module)
        yield np.asarray(cv2.addWeighted(crop, 1 + strength, blurred, -strength, 0), np.uint8), corners
    larger: Any = cv2.resize(crop, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    yield np.asarray(larger, np.uint8), corners * np.float32(2)


def _box(corners: _Corners, shape: tuple[int, ...], margin: int = 0) -> Box:
    """The upright rectangle around the corners, in the picture."""
    top, bottom = corners.min(0) - margin, corners.max(0) + margin
    (x0, x1), (y0, y1) = (
        np.clip([top[axis], bottom[axis] + 1], 0, shape[1 - axis]).round().astype(int).tolist() for axis in (0, 1)
    )
    return Box(x0, y0, x1, y1)
