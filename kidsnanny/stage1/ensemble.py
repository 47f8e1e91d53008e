"""Several models on the same frames: each frame is decoded and uploaded once, and the models run at the same time."""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from kidsnanny.engines import ForkSafeExecutor
from kidsnanny.media.loader import RGB
from kidsnanny.records import Box, Detection, ModelId, ModelKind, Signal, VisualFindings
from kidsnanny.stage1.classifier import Classifier
from kidsnanny.stage1.detector import Yolo
from kidsnanny.stage1.probe import Probe
from kidsnanny.stage1.stage1 import check_frames
from kidsnanny.taxonomy import Category

CLOSER_FROM, CLOSER_MOST, CLOSER_SIDES = 0.3, 4, 6.0
"""A detector's signal from this score on is looked at closer by the classifiers, so many of them in a frame, strongest
first, in a square so many times as long as the box's longer side: bare skin fills a tighter one, whatever it is of."""


class Ensemble:
    """Classifiers, detectors and probes as one Stage 1: the ViT and the object detector of arXiv 2603.16181.

    Where a detector finds something, the classifiers also look closer. What they find stands side by side in the
    findings, each with its model's name; how their scores become one is the policy's `[image] fusion`. On a CPU of more
    than two cores each model has a thread; on CUDA the frames are uploaded once and each model has a stream.

    Args:
        models: two or more. Put those on CUDA first: their calls return at once, and the others run meanwhile.
    """

    reentrant = True

    def __init__(self, *models: Classifier | Yolo | Probe) -> None:
        self._members = models
        self.models: tuple[ModelId, ...] = tuple(one for member in models for one in member.models)
        kinds = {kind for member in models for kind in member.categories}
        self.categories: Mapping[ModelKind, frozenset[Category]] = {
            kind: frozenset(category for member in models for category in member.categories.get(kind, ()))
            for kind in kinds
        }
        # Each network spreads over the cores by itself: on two cores, two networks at once take a seventh longer.
        at_once = len(models) if (os.cpu_count() or 1) > 2 else 1
        self._threads = ForkSafeExecutor(max_workers=at_once, thread_name_prefix="stage1")
        self._streams: list[Any] = []
        if any(member.network.device == "cuda" for member in models):
            import torch

            self._streams = [torch.cuda.Stream() for _ in models]

    def screen(self, frames: Sequence[RGB]) -> list[tuple[Detection, ...]]:
        """What each model finds in each (H, W, 3) uint8 RGB frame, model after model.

        Raises:
            ComponentError: a network returned NaN or infinity.
            TypeError: a frame is not such an array.
        """
        check_frames(frames)
        if self._streams:
            found = self._on_streams(frames)
        else:
            found = list(self._threads.map(lambda member: member.screen(frames), self._members))
        seen = [tuple(one for part in parts for one in part) for parts in zip(*found, strict=True)]
        return [(*of_frame, *self._closer(frame, of_frame)) for frame, of_frame in zip(frames, seen, strict=True)]

    def signals(self, findings: VisualFindings) -> list[Signal]:
        """What each model's detections say of each category, before any threshold."""
        return [signal for member in self._members for signal in member.signals(findings)]

    def _closer(self, frame: RGB, seen: tuple[Detection, ...]) -> Iterator[Detection]:
        """What the classifiers say of the places where a detector found something: of a figure in a corner of a large
        frame they see nothing when they look at all of it."""
        findings = VisualFindings(width=frame.shape[1], height=frame.shape[0], frames=1, detections=seen)
        signals = [one for one in self.signals(findings) if one.box and one.score >= CLOSER_FROM]
        places = [_around(signal.box, findings) for signal in sorted(signals, key=lambda one: -one.score) if signal.box]
        places = [place for place in dict.fromkeys(places) if 2 * place.area < frame.shape[0] * frame.shape[1]]
        crops = [frame[box.y0 : box.y1, box.x0 : box.x1] for box in places[:CLOSER_MOST]]
        for member in self._members if crops else ():
            if isinstance(member, Classifier):
                for box, found in zip(places, member.screen(crops), strict=False):
                    yield from (one.model_copy(update={"box": box}) for one in found)

    def close(self) -> None:
        """End the threads. It may be repeated."""
        self._threads.shutdown()

    def _on_streams(self, frames: Sequence[RGB]) -> list[list[tuple[Detection, ...]]]:
        import torch

        owned = (frame if frame.flags.writeable else frame.copy() for frame in frames)  # torch warns of read-only ones
        uploaded = [torch.from_numpy(frame).pin_memory().to("cuda", non_blocking=True) for frame in owned]
        waiting = []
        for member, stream in zip(self._members, self._streams, strict=True):
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                waiting.append(member.start(uploaded if member.network.device == "cuda" else frames))
        return [wait() for wait in waiting]


def _around(box: Box, frame: VisualFindings) -> Box:
    half = round(CLOSER_SIDES * max(box.x1 - box.x0, box.y1 - box.y0) / 2)
    x, y = (box.x0 + box.x1) // 2, (box.y0 + box.y1) // 2
    return Box(max(0, x - half), max(0, y - half), min(frame.width, x + half), min(frame.height, y + half))
