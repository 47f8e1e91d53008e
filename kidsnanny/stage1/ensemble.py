"""Several models on the same frames: each frame is decoded and uploaded once, and the models run at the same time."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from kidsnanny.engines import ForkSafeExecutor
from kidsnanny.media.loader import RGB
from kidsnanny.records import Detection, ModelId, ModelKind, Signal, VisualFindings
from kidsnanny.stage1.classifier import Classifier
from kidsnanny.stage1.detector import Yolo
from kidsnanny.stage1.stage1 import check_frames
from kidsnanny.taxonomy import Category


class Ensemble:
    """Classifiers and detectors as one Stage 1: the ViT and the object detector of arXiv 2603.16181.

    What they find stands side by side in the findings, each with its model's name; how their scores become one is the
    policy's `[image] fusion`. On a CPU of more than two cores each model has a thread; on CUDA the frames are uploaded
    once and each model has a stream.

    Args:
        models: two or more. Put those on CUDA first: their calls return at once, and the others run meanwhile.
    """

    reentrant = True

    def __init__(self, *models: Classifier | Yolo) -> None:
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
        return [tuple(one for part in parts for one in part) for parts in zip(*found, strict=True)]

    def signals(self, findings: VisualFindings) -> list[Signal]:
        """What each model's detections say of each category, before any threshold."""
        return [signal for member in self._members for signal in member.signals(findings)]

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
