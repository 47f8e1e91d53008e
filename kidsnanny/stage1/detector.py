"""YOLO v8 and v11 detectors: pre- and post-processing around the network.

A frame is scaled to the card's `input` on its longer side and put in the top-left corner of a black rectangle whose
sides are multiples of the network's stride, so that a wide frame costs less than the square around it. The network's
output per frame is (4 + labels, anchors): box centre, width and height in network pixels, then a score per label.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, islice
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from kidsnanny.errors import ComponentError
from kidsnanny.media.loader import RGB
from kidsnanny.models.cards import Card, DetectorCard, find_card
from kidsnanny.models.runtime import Device, Network, Output, network
from kidsnanny.records import Box, Detection, ModelId, ModelKind, Signal, VisualFindings
from kidsnanny.stage1.label_map import LabelMap
from kidsnanny.stage1.stage1 import Started, check_frames
from kidsnanny.taxonomy import Category

STRIDE = 32
TILE = 4
"""The side of a tile, in multiples of `input`. A frame with a longer side than TILE + 1 times `input` is also screened
in tiles, since a figure on 5 % of such a frame has too few pixels left when the whole is scaled to `input`."""
BATCH = 8
"""Views in one network call."""
MIN_SCORE = 0.25
"""Detections below this score are dropped."""
MAX_IOU = 0.45
"""Of two boxes of a label that overlap more than this, the one with the lower score is dropped."""
Resize = Literal["area", "nudenet"]
"""How a frame is scaled; see `Yolo`."""


class Yolo:
    """A detector by its card: NudeNet's, or any YOLO that the user has weights for.

    Args:
        card: a card or its name.
        resize: `area` averages every pixel into the smaller picture (no aliasing, so nothing can be hidden between
            samples), and keeps boxes of different labels side by side; `nudenet` repeats the nudenet package for parity
            tests and baselines: its bilinear sampling, its square, and one label where boxes overlap.
        device: "auto" (CUDA where torch finds it), "cpu" or "cuda". On CUDA every frame is padded to the whole square,
            so that one graph serves all.
        runs: another network than the card's own.

    Raises:
        WeightsError: there is no detector's card of that name, or the weights are missing, are not those of the card,
            or do not fit its architecture.
        ComponentError: a package or the device is missing, or the network is not a YOLO v8 or v11.
        TypeError: `card` is neither a card nor a name.
    """

    reentrant = True

    def __init__(
        self, card: Card | str, resize: Resize = "area", *, device: Device = "auto", runs: Network | None = None
    ) -> None:
        self.card = find_card(card, DetectorCard)
        self.network = runs or network(self.card, device)
        self.models: tuple[ModelId, ...] = (self.network.model_id,)
        self._labels = LabelMap(self.card.labels)
        self.categories: Mapping[ModelKind, frozenset[Category]] = {"detector": self._labels.categories}
        self._side, self._resize = self.card.input, resize
        (output,) = self.network(np.zeros((1, 3, self._side, self._side), np.float32))()
        rows = 4 + len(self._labels.names)
        if output.ndim != 2 or len(output) != rows:
            raise ComponentError(
                f"{self.card.name}: its network returns {output.shape} where a YOLO v8 or v11 returns ({rows}, "
                "anchors); fix the card's labels, or export it without end-to-end NMS."
            )

    def screen(self, frames: Sequence[RGB]) -> list[tuple[Detection, ...]]:
        """Detections of each (H, W, 3) uint8 RGB frame, strongest first, with boxes in that frame's pixels.

        Raises:
            ComponentError: the network returned NaN or infinity.
            TypeError: a frame is not such an array.
        """
        return self.start(frames)()

    def start(self, frames: Sequence[Any]) -> Started:
        """Start the network on frames (on CUDA: tensors of the same shape and type); the function that it returns waits
        for what `screen` returns."""
        check_frames(frames)
        views = [
            (n, *view) for n, frame in enumerate(frames) for view in _views(frame, self._side, self._resize == "area")
        ]
        letterboxed = _letterbox_tensor if self.network.device == "cuda" else letterbox
        inputs = (letterboxed(pixels, self._side, self._resize) for *_, pixels in views)
        started = [(self.network(_stack(batch)), len(batch)) for batch in _batches(inputs)]
        return lambda: self._detections(frames, views, started)

    def _detections(
        self, frames: Sequence[Any], views: Sequence[tuple[int, int, int, Any]], started: Sequence[tuple[Output, int]]
    ) -> list[tuple[Detection, ...]]:
        by_frame: list[list[tuple[Any, ...]]] = [[] for _ in frames]
        outputs = (output for wait, count in started for output in wait()[:count])
        for (n, left, top, pixels), output in zip(views, outputs, strict=True):
            if not np.isfinite(output).all():  # no comparison with NaN holds, so it would read as "nothing found"
                raise ComponentError(f"{self.card.name}: its network returned NaN or infinity; use float32.")
            boxes, scores, labels = candidates(output, max(pixels.shape[:2]) / self._side, self._resize == "nudenet")
            by_frame[n].append((boxes + np.array([left, top, 0, 0], np.float32), scores, labels))
        found = []
        for parts, frame in zip(by_frame, frames, strict=True):
            boxes, scores, labels = (np.concatenate(part) for part in zip(*parts, strict=True))
            names = [self._labels.names[index] for index in labels]
            kept = detections(boxes, scores, names, frame.shape, across=self._resize == "nudenet")
            found.append(tuple(one.model_copy(update={"model": self.card.name}) for one in kept))
        return found

    def signals(self, findings: VisualFindings) -> list[Signal]:
        """For each detection and category of its label, its score times the weight in the card's `labels`."""
        return self._labels.signals(findings.detections, self.card.name, "detector")


def _batches(inputs: Iterable[Any]) -> Iterator[list[Any]]:
    """Up to BATCH successive inputs of the same shape."""
    for _, alike in groupby(inputs, key=lambda pixels: tuple(pixels.shape)):
        while batch := list(islice(alike, BATCH)):
            yield batch


def _stack(batch: Sequence[Any]) -> Any:
    if isinstance(batch[0], np.ndarray):
        return np.stack(batch)
    import torch

    return torch.stack(list(batch))


def letterbox(frame: RGB, side: int, resize: Resize = "area") -> npt.NDArray[np.float32]:
    """(H, W, 3) uint8 -> (3, h, w) float32 in 0..1, h and w multiples of the stride up to `side`."""
    import cv2

    height, width = frame.shape[:2]
    longest = max(height, width)
    if resize == "nudenet":  # pads first, then samples the padded square
        square = cv2.copyMakeBorder(frame, 0, longest - height, 0, longest - width, cv2.BORDER_CONSTANT)
        canvas = cv2.resize(square, (side, side), interpolation=cv2.INTER_LINEAR)
    else:
        size = max(1, round(width * side / longest)), max(1, round(height * side / longest))
        canvas = np.zeros((-(-size[1] // STRIDE) * STRIDE, -(-size[0] // STRIDE) * STRIDE, 3), np.uint8)
        canvas[: size[1], : size[0]] = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(canvas.transpose(2, 0, 1), np.float32) / np.float32(255)


def _letterbox_tensor(frame: Any, side: int, _: Resize) -> Any:
    """The same as `letterbox`, on the tensor's device, in the whole square and with torch's antialiased bilinear
    resize."""
    import torch
    from torch.nn import functional

    height, width = frame.shape[:2]
    longest = max(height, width)
    size = max(1, round(height * side / longest)), max(1, round(width * side / longest))
    pixels = torch.as_tensor(frame).permute(2, 0, 1)[None].float()
    small = functional.interpolate(pixels, size, mode="bilinear", antialias=True)
    return functional.pad(small, (0, side - size[1], 0, side - size[0]))[0] / 255


def candidates(
    output: npt.NDArray[np.float32], scale: float, one_label: bool = False
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], npt.NDArray[np.intp]]:
    """One view's network output, (4 + labels, anchors), as boxes (N, 4) of x, y, width, height in the view's pixels,
    unclipped, scores (N,) and label indices (N,). `scale` is view pixels per network pixel.

    An anchor gives a box for each label that reaches MIN_SCORE, or for its likeliest one if `one_label`."""
    found = output[4:] >= MIN_SCORE
    if one_label:
        found &= np.arange(len(found))[:, None] == output[4:].argmax(0)
    anchors, labels = np.nonzero(found.T)
    centre_x, centre_y, width, height = output[:4, anchors] * scale
    boxes = np.stack([centre_x - width / 2, centre_y - height / 2, width, height], axis=1)
    return boxes, output[4 + labels, anchors], labels


def detections(
    boxes: npt.NDArray[np.float32],
    scores: npt.NDArray[np.float32],
    labels: Sequence[str],
    shape: tuple[int, ...],
    *,
    across: bool = False,
) -> tuple[Detection, ...]:
    """Candidates in frame pixels as detections, strongest first, clipped to the frame. Overlaps are removed label by
    label, so that a harmless one hides no harmful one, or `across` them."""
    import cv2

    height, width = shape[:2]
    groups = [range(len(labels))] if across else [[n for n, one in enumerate(labels) if one == x] for x in {*labels}]
    kept: list[int] = []
    for group in groups:
        own = np.array(group, np.intp)
        best = cv2.dnn.NMSBoxes(boxes[own].tolist(), scores[own].tolist(), MIN_SCORE, MAX_IOU)
        kept += own[np.asarray(best, np.intp).ravel()].tolist()
    found = []
    for index in sorted(kept, key=lambda index: (-scores[index], index)):
        x, y, w, h = boxes[index]
        x0, x1 = np.clip([x, x + w], 0, width).round().astype(int).tolist()
        y0, y1 = np.clip([y, y + h], 0, height).round().astype(int).tolist()
        box = Box(x0, y0, x1, y1)
        if box.area:
            found.append(Detection(label=labels[index], score=min(1.0, float(scores[index])), box=box))
    return tuple(found)


def _views(frame: Any, side: int, tiled: bool) -> list[tuple[int, int, Any]]:
    """Left, top and pixels of each part that goes to the network: the whole frame and, if it is large, tiles of it."""
    height, width = frame.shape[:2]
    views = [(0, 0, frame)]
    if tiled and max(height, width) > (TILE + 1) * side:
        tile = TILE * side
        for top in _starts(height, tile):
            views += [(left, top, frame[top : top + tile, left : left + tile]) for left in _starts(width, tile)]
    return views


def _starts(side: int, tile: int) -> list[int]:
    """Where tiles begin that cover `side` and overlap by a quarter or more."""
    count = 1 + max(0, -(-(side - tile) // (tile * 3 // 4)))
    return [round(start) for start in np.linspace(0, max(0, side - tile), count).tolist()]
