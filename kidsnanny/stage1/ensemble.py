"""Several models at once: one decoded frame, one upload, and the models run side by side."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

from kidsnanny.engines import ForkSafeExecutor
from kidsnanny.media.loader import RGB
from kidsnanny.records import Detection, ModelId, ModelKind, Signal, VisualFindings
from kidsnanny.stage1.classifier import Classifier
from kidsnanny.stage1.detector import Yolo
from kidsnanny.taxonomy import Category

Model = Classifier | Yolo


class Ensemble:
    """A classifier and detectors as one Stage 1, like the paper's ViT and detection module (arXiv 2603.16181).

    Their findings stand side by side, each with its model's name; the policy's `[image] fusion` makes one score of
    theirs. On a CPU of more than two cores each model has a thread; on CUDA the frames are uploaded once and each model
    has a stream.

    Args:
        models: two or more. Put those on CUDA first: they only start there, and the others work meanwhile.
    """

    reentrant = True

    def __init__(self, *models: Model) -> None:
        self._models = models
        self.models: tuple[ModelId, ...] = tuple(found for model in models for found in model.models)
        kinds = {kind for model in models for kind in model.categories}
        self.categories: Mapping[ModelKind, frozenset[Category]] = {
            kind: frozenset(category for model in models for category in model.categories.get(kind, ()))
            for kind in kinds
        }
        # Each network spreads over the cores by itself: on two, two at once get in each other's way (by a seventh).
        at_once = len(models) if (os.cpu_count() or 1) > 2 else 1
        self._threads = ForkSafeExecutor(at_once, "stage1")
        self._streams: list[Any] = []
        if any(model.network.device == "cuda" for model in models):
            import torch

            self._streams = [torch.cuda.Stream() for _ in models]

    def screen(self, frames: Sequence[RGB]) -> list[tuple[Detection, ...]]:
        """What each model sees in each (H, W, 3) uint8 RGB frame, model after model."""
        if self._streams:
            seen = self._on_streams(frames)
        else:
            seen = list(self._threads.map(lambda model: model.screen(frames), self._models))
        return [tuple(found for of_model in parts for found in of_model) for parts in zip(*seen, strict=True)]

    def _on_streams(self, frames: Sequence[RGB]) -> list[list[tuple[Detection, ...]]]:
        import torch

        owned = (frame if frame.flags.writeable else frame.copy() for frame in frames)  # torch warns of the others
        uploaded = [torch.from_numpy(frame).pin_memory().to("cuda", non_blocking=True) for frame in owned]
        waiting = []
        for model, stream in zip(self._models, self._streams, strict=True):
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                waiting.append(model.start(uploaded if model.network.device == "cuda" else frames))
        return [wait() for wait in waiting]

    def signals(self, findings: VisualFindings) -> list[Signal]:
        """What the findings of each model say of each category."""
        return [signal for model in self._models for signal in model.signals(findings)]

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown()
