"""The text in a picture, by PP-OCRv6 small, run here through ONNX Runtime. What comes out is untrusted text.

Only the weights come from RapidOCR's wheel; none of its code runs.

PP-OCR's detector pools over the whole picture, so a single small line in a large one is averaged away: at 1080p it
finds hardly a 10-pixel line at any scale, and nearly all of them in a tile of 600. So a large picture is looked
at twice: in tiles for small text, their probability maps stitched before boxes are made, and whole, but small, for text
too large for a tile. Tiles are looked at in gray: in colour the detector sees ten times as many lines that are none.
Lines are then cut from the full-size frame and recognised.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from kidsnanny.media.loader import RGB
from kidsnanny.models.cards import cards
from kidsnanny.models.onnx import onnx_session
from kidsnanny.records import Box, ModelId, TextLine
from kidsnanny.stage2.ocr.ocr import prove, reading_order

MIN_SIDE = 8
"""Pixels; a frame with a shorter side has no room for a legible letter."""
TILE = 416
"""Longest side of what the detector sees at once, in its own pixels."""
OVERLAP = 32
FULL_HD = 1_080
SCALE = 0.64
"""Of a frame with a shorter side of up to FULL_HD: 12-pixel letters are still found. A larger frame shrinks further, by
the root of its side, so that the cost grows with the side and not with the area; one that fits a tile does not."""
WHOLE = 384
"""Longest side of the whole frame's own, small view."""
LARGE = 24
"""Lines at least so high, in pixels of that view, are taken from it."""
SURE = 0.8
"""Recognised with at least this confidence, a large line stands."""
BATCH = 4
"""Lines in one network call."""
CALL_PIXELS = 250_000
"""Pixels of tiles in one network call: more leave the processor's cache, fewer are not worth the call."""
LINE = 48
"""Pixels the recogniser wants a line to be high."""
MAX_LINES = 1_000
RETRY = (0.4, 0.92)
"""A line recognised with a confidence between these is tried turned around and mirrored, too."""

Quad = npt.NDArray[np.float32]
"""(4, 2): x and y of the corners in frame pixels, clockwise from the top left."""


class _Read(NamedTuple):
    text: str
    confidence: float


class PpOcr:
    """PP-OCRv6 small on ONNX Runtime, with the weights that RapidOCR's wheel carries.

    Raises:
        WeightsError: the rapidocr package is missing, or its weights are not those of the cards.
        ComponentError: the engine does not read a generated "HELLO 123".
    """

    reentrant = True

    def __init__(self) -> None:
        detector, recogniser = cards()["ppocrv6-small-det"], cards()["ppocrv6-small-rec"]
        self.model_id = ModelId(name=recogniser.name, revision=(recogniser.sha256 or "")[:12])
        self._detector = onnx_session(detector.locate())
        self._recogniser = onnx_session(recogniser.locate())
        characters = self._recogniser.get_modelmeta().custom_metadata_map["character"].splitlines()
        self._alphabet = ("", *characters, " ")  # the first is CTC's blank
        prove(self)

    def read(self, frame: RGB) -> list[TextLine]:
        """Every line found in an (H, W, 3) uint8 RGB frame, in reading order."""
        if min(frame.shape[:2]) < MIN_SIDE:
            return []
        height, width = frame.shape[:2]
        scale = SCALE * min(1.0, FULL_HD / min(height, width)) ** 0.5
        scale = min(1.0, max(scale, TILE / max(height, width)))
        tiled = max(height, width) * scale > TILE
        view = _scaled(frame, scale)
        lines = self._lines(frame, self._find(_grayed(view) if tiled else view, frame.shape))
        if tiled:
            whole = WHOLE / max(height, width)
            # Of the small view: lines too large for a tile, which the tiles see in pieces, and what the tiles missed.
            again = [
                quad
                for quad in self._find(_scaled(view, WHOLE / max(view.shape)), frame.shape)
                if _height(quad) >= LARGE / whole or not any(_covers(line.box, _upright(quad)) for line in lines)
            ]
            more = [line for line in self._lines(frame, again) if line.confidence >= SURE]
            lines = [line for line in lines if not any(_covers(big.box, line.box) for big in more)] + more
        return reading_order(lines)

    def _lines(self, frame: RGB, quads: Sequence[Quad]) -> list[TextLine]:
        lines = []
        for quad, (text, confidence) in zip(quads, self._recognise([_crop(frame, q) for q in quads]), strict=True):
            if text.strip():
                lines.append(TextLine(text=text, confidence=confidence, box=_upright(quad)))
        return lines

    def _find(self, view: RGB, shape: tuple[int, ...]) -> list[Quad]:
        """Where text is in a scaled frame, seen tile by tile; the quads are in pixels of the frame of that shape."""
        import cv2

        height, width = view.shape[:2]
        probabilities = np.zeros((height, width), np.float32)
        tiles = [np.s_[top:bottom, left:right] for top, bottom in _tiles(height) for left, right in _tiles(width)]
        at_once = max(1, CALL_PIXELS // probabilities[tiles[0]].size)
        for start in range(0, len(tiles), at_once):
            batch = tiles[start : start + at_once]
            # The network wants BGR in -1..1.
            given = cv2.dnn.blobFromImages([view[t] for t in batch], 1 / 127.5, mean=(127.5,) * 3, swapRB=True)
            for tile, seen in zip(batch, self._detector.run(None, {"x": given})[0], strict=True):
                np.maximum(probabilities[tile], seen[0], out=probabilities[tile])
        return quads(probabilities, shape)

    def _recognise(self, crops: Sequence[RGB]) -> list[_Read]:
        read = self._recognise_upright(crops)
        doubtful = [i for i, (text, sure) in enumerate(read) if RETRY[0] <= sure < RETRY[1] and len(text) > 2]
        back, same = slice(None, None, -1), slice(None)
        for turn in ((back, back), (same, back), (back, same)):  # upside down, mirrored, mirrored upside down
            again = self._recognise_upright([crops[index][turn] for index in doubtful])
            for index, line in zip(doubtful, again, strict=True):
                read[index] = max(read[index], line, key=lambda read: read.confidence)
        return read

    def _recognise_upright(self, crops: Sequence[RGB]) -> list[_Read]:
        """The text of each line, with one network call for a few of like length."""
        import cv2

        widths = [max(LINE, round(LINE * crop.shape[1] / crop.shape[0])) for crop in crops]
        read: list[_Read] = [_Read("", 0.0)] * len(crops)
        waiting = sorted(range(len(crops)), key=widths.__getitem__)
        while waiting:
            longest = 1.25 * widths[waiting[0]] + 32  # what is padded to the longest of a call is work for nothing
            batch = [index for index in waiting[:BATCH] if widths[index] <= longest]
            waiting = waiting[len(batch) :]
            given = np.zeros((len(batch), 3, LINE, widths[batch[-1]]), np.float32)
            for row, index in enumerate(batch):
                line = cv2.resize(np.ascontiguousarray(crops[index]), (widths[index], LINE))
                given[row, :, :, : widths[index]] = line[:, :, ::-1].transpose(2, 0, 1) / np.float32(127.5) - 1
            (probabilities,) = self._recogniser.run(None, {"x": given})
            for index, line in zip(batch, probabilities, strict=True):
                read[index] = _greedy(line, self._alphabet)
        return read


def _scaled(frame: RGB, scale: float) -> RGB:
    """The frame as the detector wants it: sides that are multiples of 32."""
    import cv2

    height, width = (max(32, round(side * scale / 32) * 32) for side in frame.shape[:2])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return cv2.resize(frame, (width, height), interpolation=how).astype(np.uint8, copy=False)


def _grayed(frame: RGB) -> RGB:
    import cv2

    return cv2.cvtColor(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB).astype(np.uint8, copy=False)


def _tiles(side: int) -> list[tuple[int, int]]:
    """Overlapping spans of at most TILE that cover `side`, all of one length; every number is a multiple of 32."""
    if side <= TILE:
        return [(0, side)]
    count = -(-(side - OVERLAP) // (TILE - OVERLAP))
    length = -(-(side + (count - 1) * OVERLAP) // (count * 32)) * 32
    return [(start, start + length) for start in np.linspace(0, (side - length) // 32, count).round().astype(int) * 32]


def quads(probabilities: npt.NDArray[np.float32], shape: tuple[int, ...]) -> list[Quad]:
    """Lines in a detector's map, (h, w) in 0..1, by differentiable binarization (arXiv 1911.08947, section 3.4).

    Each blob over 0.3 whose rectangle averages 0.5 or more is a line. The network is taught shrunken lines, so the
    rectangle grows by 1.6 x area / perimeter on every side. `shape` is that of the frame the quads are for.
    """
    import cv2

    blobs = cv2.dilate((probabilities > 0.3).astype(np.uint8), np.ones((2, 2), np.uint8))
    contours, _ = cv2.findContours(blobs, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    scale = np.array([shape[1], shape[0]], np.float32) / (probabilities.shape[1], probabilities.shape[0])
    found: list[Quad] = []
    for contour in contours:
        centre, (width, height), angle = cv2.minAreaRect(contour)
        if min(width, height) < 3:
            continue
        if len(found) == MAX_LINES:  # the rest must not vanish: the frame is named as not inspected
            raise RuntimeError(f"more than {MAX_LINES} lines of text; cut the picture into parts")
        corners = cv2.boxPoints((centre, (width, height), angle))
        x, y, w, h = cv2.boundingRect(corners)
        x, y = max(x, 0), max(y, 0)
        inside = np.zeros((h, w), np.uint8)
        patch = probabilities[y : y + h, x : x + w]
        cv2.fillConvexPoly(inside, (corners - (x, y)).astype(np.int32), 1)
        if patch.size and cv2.mean(patch, inside[: patch.shape[0], : patch.shape[1]])[0] >= 0.5:
            grow = 1.6 * width * height / (width + height)  # on both sides together
            corners = cv2.boxPoints((centre, (width + grow, height + grow), angle)) * scale
            found.append(_clockwise(np.clip(corners, 0, (shape[1] - 1, shape[0] - 1)).astype(np.float32)))
    return [quad for quad in found if _height(quad) > 3]


def _clockwise(corners: Quad) -> Quad:
    """From the top left: the two leftmost corners are the left edge."""
    left, right = np.split(corners[corners[:, 0].argsort(kind="stable")], 2)
    (top_left, bottom_left), (top_right, bottom_right) = (side[side[:, 1].argsort()] for side in (left, right))
    return np.stack([top_left, top_right, bottom_right, bottom_left])


def _height(quad: Quad) -> float:
    return float(min(np.linalg.norm(quad[0] - quad[3]), np.linalg.norm(quad[0] - quad[1])))


def _crop(frame: RGB, quad: Quad) -> RGB:
    """The line straightened; one that stands upright is laid down, and one far higher than the network looks shrunk."""
    import cv2

    if (shrink := _height(quad) // (4 * LINE)) > 1:
        box = _upright(quad)
        frame = frame[box.y0 : box.y1 + 1, box.x0 : box.x1 + 1]
        frame = cv2.resize(frame, None, fx=1 / shrink, fy=1 / shrink, interpolation=cv2.INTER_AREA).astype(np.uint8)
        quad = (quad - (box.x0, box.y0)).astype(np.float32) / np.float32(shrink)

    width = max(1, int(max(np.linalg.norm(quad[0] - quad[1]), np.linalg.norm(quad[2] - quad[3]))))
    height = max(1, int(max(np.linalg.norm(quad[0] - quad[3]), np.linalg.norm(quad[1] - quad[2]))))
    flat = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
    turn = cv2.getPerspectiveTransform(quad, flat)
    line = cv2.warpPerspective(frame, turn, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(np.rot90(line) if height >= 1.5 * width else line, np.uint8)


def _greedy(probabilities: npt.NDArray[np.float32], alphabet: Sequence[str]) -> _Read:
    """CTC's best path through (steps, characters): repeats merged, blanks dropped; confidence is the mean."""
    best = probabilities.argmax(1)
    kept = (best != 0) & (best != np.roll(best, 1))
    kept[0] = best[0] != 0
    confidence = float(probabilities.max(1)[kept].mean()) if kept.any() else 0.0
    return _Read("".join(alphabet[index] for index in best[kept]), min(1.0, confidence))


def _upright(quad: Quad) -> Box:
    corners = np.rint(quad).astype(int)
    return Box(*corners.min(0).tolist(), *corners.max(0).tolist())


def _covers(big: Box, small: Box) -> bool:
    """Whether most of the small box lies in the big one."""
    common = Box(max(big.x0, small.x0), max(big.y0, small.y0), min(big.x1, small.x1), min(big.y1, small.y1))
    return 2 * common.area > small.area
