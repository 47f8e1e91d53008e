"""How PP-OCR's detector sees a frame: scaled, in gray, tile by tile."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from kidsnanny.media.loader import RGB

TILE = 416
"""Longest side of what the detector sees at once, in its own pixels."""
OVERLAP = 32


def scaled(frame: RGB, scale: float) -> RGB:
    """The frame as the detector wants it: sides that are multiples of 32."""
    import cv2

    height, width = (max(32, round(side * scale / 32) * 32) for side in frame.shape[:2])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return cv2.resize(frame, (width, height), interpolation=how).astype(np.uint8, copy=False)


def for_detector(tiles: Sequence[RGB]) -> npt.NDArray[np.float32]:
    """Tiles of one size as the network wants them: (N, 3, H, W), BGR in -1..1. OpenCV's blobFromImages takes longer."""
    import cv2

    given = np.empty((len(tiles), 3, *tiles[0].shape[:2]), np.float32)
    for pixels, tile in zip(given, tiles, strict=True):
        for plane, channel in zip(pixels[::-1], cv2.split(tile), strict=True):
            np.subtract(channel, np.float32(127.5), out=plane, dtype=np.float32)
    given *= np.float32(1 / 127.5)
    return given


def grayed(frame: RGB) -> RGB:
    """The frame in gray, in three channels."""
    import cv2

    return cv2.cvtColor(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB).astype(np.uint8, copy=False)


def spans(side: int) -> list[tuple[int, int]]:
    """Overlapping spans of at most TILE that cover `side`, all of one length; every number is a multiple of 32."""
    if side <= TILE:
        return [(0, side)]
    count = -(-(side - OVERLAP) // (TILE - OVERLAP))
    length = -(-(side + (count - 1) * OVERLAP) // (count * 32)) * 32
    return [(start, start + length) for start in np.linspace(0, (side - length) // 32, count).round().astype(int) * 32]
