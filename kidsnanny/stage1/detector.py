"""NudeNet 320n (YOLOv8n, 18 body parts) through ONNX Runtime, with our own pre- and post-processing.

The network wants a square of 320 px: the picture is put in its top-left corner and the rest is black. Its output per
picture is (4 + 18, 2100): box centre, width and height in network pixels, then a score per label.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from kidsnanny.images import RGB
from kidsnanny.records import Box, Detection, Reason, VisualFindings
from kidsnanny.stage1 import onnx_session
from kidsnanny.taxonomy import NUDENET, Category
from kidsnanny.weights import cards

SIDE = 320
MIN_SCORE = 0.25
MAX_IOU = 0.45
LABELS = tuple(NUDENET)
Resize = Literal["area", "nudenet"]


class NudeNet:
    """The embedded profile's eye: nudity, and nothing else.

    Args:
        resize: `area` averages every pixel into the smaller picture (no aliasing, so nothing can be hidden between
            samples); `nudenet` repeats the nudenet package's bilinear sampling, for parity tests and baselines.

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
        if not frames:
            return []
        inputs = np.stack([letterbox(frame, self._resize) for frame in frames])
        (outputs,) = self._session.run(None, {"images": inputs})
        return [detections(output, frame.shape[:2]) for output, frame in zip(outputs, frames, strict=True)]

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
    """(H, W, 3) uint8 -> (3, 320, 320) float32 in 0..1."""
    import cv2

    height, width = frame.shape[:2]
    longest = max(height, width)
    if resize == "nudenet":  # pads first, then samples the padded square
        square = cv2.copyMakeBorder(frame, 0, longest - height, 0, longest - width, cv2.BORDER_CONSTANT)
        canvas = cv2.resize(square, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
    else:
        scale = SIDE / longest
        size = max(1, round(width * scale)), max(1, round(height * scale))
        canvas = np.zeros((SIDE, SIDE, 3), np.uint8)
        canvas[: size[1], : size[0]] = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(canvas.transpose(2, 0, 1), np.float32) / np.float32(255)


def candidates(
    output: npt.NDArray[np.float32], shape: tuple[int, ...]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.intp]]:
    """Unclipped boxes (N, 4) as x, y, width, height in frame pixels, scores (N,) and label indices (N,)."""
    labels = output[4:].argmax(0)
    scores = output[4:].max(0)
    keep = scores >= MIN_SCORE
    centre_x, centre_y, width, height = output[:4, keep] * (max(shape) / SIDE)
    boxes = np.stack([centre_x - width / 2, centre_y - height / 2, width, height], axis=1)
    return boxes, scores[keep], labels[keep]


def detections(output: npt.NDArray[np.float32], shape: tuple[int, ...]) -> tuple[Detection, ...]:
    """One frame's network output, (22, 2100), as detections: overlaps removed across labels, clipped to the frame."""
    import cv2

    boxes, scores, labels = candidates(output, shape)
    height, width = shape[:2]
    kept = cv2.dnn.NMSBoxes(boxes.tolist(), scores.tolist(), MIN_SCORE, MAX_IOU)
    found = []
    for index in np.asarray(kept, dtype=int).ravel():
        x, y, w, h = boxes[index]
        x0, x1 = np.clip([x, x + w], 0, width).round().astype(int).tolist()
        y0, y1 = np.clip([y, y + h], 0, height).round().astype(int).tolist()
        if box := Box(x0, y0, x1, y1).area and Box(x0, y0, x1, y1):
            found.append(Detection(label=LABELS[labels[index]], score=min(1.0, float(scores[index])), box=box))
    return tuple(found)
