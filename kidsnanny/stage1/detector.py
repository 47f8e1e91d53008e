"""NudeNet 320n (YOLOv8n, 18 body parts) through ONNX Runtime, with our own pre- and post-processing.

The picture is scaled to 320 px on its longer side and put in the top-left corner of a black rectangle whose sides are
multiples of the network's stride: a wide picture costs what it shows, not the square around it. The output per picture
is (4 + 18, anchors), 2100 of them for a square: box centre, width and height in network pixels, then a score per label.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, islice
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from kidsnanny.images import RGB
from kidsnanny.records import Box, Detection, Reason, VisualFindings
from kidsnanny.stage1 import onnx_session
from kidsnanny.taxonomy import NUDENET, Category
from kidsnanny.weights import cards

SIDE = 320
STRIDE = 32
LARGE = 1_600
"""A frame with a longer side is also looked at in tiles: squeezed to 320, a figure on 5 % of it is a smudge."""
TILE = 1_280
BATCH = 8
MIN_SCORE = 0.25
MAX_IOU = 0.45
LABELS = tuple(NUDENET)
Resize = Literal["area", "nudenet"]


class NudeNet:
    """The embedded profile's eye: nudity, and nothing else.

    Args:
        resize: `area` averages every pixel into the smaller picture (no aliasing, so nothing can be hidden between
            samples); `nudenet` repeats the nudenet package's bilinear sampling and its square, for parity tests and
            baselines.

    Raises:
        WeightsError: the nudenet package is missing, or its weights are not those of the card.
    """

    categories: frozenset[Category] = frozenset(mapped[0] for mapped in NUDENET.values() if mapped)
    reentrant = True

    def __init__(self, resize: Resize = "area") -> None:
        card = cards()["nudenet-320n"]
        self.name = f"{card.name}@{card.sha256[:12]}"
        self._session = onnx_session(card.locate())
        self._resize = resize

    def screen(self, frames: Sequence[RGB]) -> list[tuple[Detection, ...]]:
        """Detections of each (H, W, 3) uint8 RGB frame, strongest first, with boxes in that frame's pixels."""
        views = [(n, *view) for n, frame in enumerate(frames) for view in _views(frame, self._resize == "area")]
        seen: list[list[tuple[Any, ...]]] = [[] for _ in frames]
        inputs = (letterbox(pixels, self._resize) for *_, pixels in views)
        for (n, left, top, pixels), output in zip(views, self._run(inputs), strict=True):
            boxes, scores, labels = candidates(output, pixels.shape)
            seen[n].append((boxes + np.array([left, top, 0, 0], np.float32), scores, labels))
        found = []
        for parts, frame in zip(seen, frames, strict=True):
            boxes, scores, labels = (np.concatenate(part) for part in zip(*parts, strict=True))
            found.append(detections(boxes, scores, labels, frame.shape))
        return found

    def _run(self, inputs: Iterable[npt.NDArray[np.float32]]) -> Iterator[npt.NDArray[np.float32]]:
        """The network's output for each input, with one call for up to BATCH of like shape in a row."""
        for _, alike in groupby(inputs, key=np.shape):
            while batch := list(islice(alike, BATCH)):
                yield from self._session.run(None, {"images": np.stack(batch)})[0]

    def weigh(self, findings: VisualFindings) -> list[Reason]:
        """Each detection that stands for a category, by the table in `taxonomy.NUDENET`."""
        return [
            Reason(
                category=mapped[0],
                channel="image",
                source="detector",
                score=mapped[1] * seen.score,
                what=seen.label,
                frame=seen.frame,
                box=seen.box,
            )
            for seen in findings.detections
            if (mapped := NUDENET[seen.label])
        ]


def letterbox(frame: RGB, resize: Resize) -> npt.NDArray[np.float32]:
    """(H, W, 3) uint8 -> (3, h, w) float32 in 0..1, h and w multiples of 32 up to 320."""
    import cv2

    height, width = frame.shape[:2]
    longest = max(height, width)
    if resize == "nudenet":  # pads first, then samples the padded square
        square = cv2.copyMakeBorder(frame, 0, longest - height, 0, longest - width, cv2.BORDER_CONSTANT)
        canvas = cv2.resize(square, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    else:
        scale = SIDE / longest
        size = max(1, round(width * scale)), max(1, round(height * scale))
        canvas = np.zeros((-(-size[1] // STRIDE) * STRIDE, -(-size[0] // STRIDE) * STRIDE, 3), np.uint8)
        canvas[: size[1], : size[0]] = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(canvas.transpose(2, 0, 1), np.float32) / np.float32(255)


def candidates(
    output: npt.NDArray[np.float32], shape: tuple[int, ...]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.intp]]:
    """One view's network output, (22, anchors), as boxes (N, 4) of x, y, width, height in the view's pixels, unclipped,
    scores (N,) and label indices (N,). `shape` is the view's."""
    labels = output[4:].argmax(0)
    scores = output[4:].max(0)
    keep = scores >= MIN_SCORE
    centre_x, centre_y, width, height = output[:4, keep] * (max(shape[:2]) / SIDE)
    boxes = np.stack([centre_x - width / 2, centre_y - height / 2, width, height], axis=1)
    return boxes, scores[keep], labels[keep]


def detections(
    boxes: npt.NDArray[np.float32],
    scores: npt.NDArray[np.float32],
    labels: npt.NDArray[np.intp],
    shape: tuple[int, ...],
) -> tuple[Detection, ...]:
    """Candidates in frame pixels as detections: overlaps removed across labels, clipped to the frame."""
    import cv2

    height, width = shape[:2]
    kept = cv2.dnn.NMSBoxes(boxes.tolist(), scores.tolist(), MIN_SCORE, MAX_IOU)
    found = []
    for index in np.asarray(kept, dtype=int).ravel():
        x, y, w, h = boxes[index]
        x0, x1 = np.clip([x, x + w], 0, width).round().astype(int).tolist()
        y0, y1 = np.clip([y, y + h], 0, height).round().astype(int).tolist()
        box = Box(x0, y0, x1, y1)
        if box.area:
            found.append(Detection(label=LABELS[labels[index]], score=min(1.0, float(scores[index])), box=box))
    return tuple(found)


def _views(frame: RGB, tiled: bool) -> list[tuple[int, int, RGB]]:
    """Left, top and pixels of what the network looks at: the whole frame and, if it is large, tiles of it."""
    height, width = frame.shape[:2]
    views = [(0, 0, frame)]
    if tiled and max(height, width) > LARGE:
        for top in _starts(height):
            views += [(left, top, frame[top : top + TILE, left : left + TILE]) for left in _starts(width)]
    return views


def _starts(side: int) -> list[int]:
    """Where tiles that overlap by a quarter or more begin, so that they cover `side`."""
    count = 1 + max(0, -(-(side - TILE) // (TILE * 3 // 4)))
    return [round(start) for start in np.linspace(0, max(0, side - TILE), count).tolist()]
