"""Several eyes at once: one decoded frame, one upload, and each model looks while the others do."""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from kidsnanny.media.loader import RGB
from kidsnanny.records import Detection, ModelKind, Reason, VisualFindings
from kidsnanny.stage1.classifier import Classifier
from kidsnanny.stage1.detector import Yolo
from kidsnanny.taxonomy import Category

Eye = Classifier | Yolo


class Ensemble:
    """A classifier and detectors as one Stage 1, after the paper's (section 1.1 in our notes on it: ViT and detector).

    What they say stands side by side in the findings, each with its model's name; how their scores become one is the
    policy's `[image] fusion`. On a CPU of more than two cores each eye has a thread; on CUDA the frames are uploaded
    once and each eye has a stream.

    Args:
        eyes: two or more. Put those on CUDA first: they only start there, and the others work meanwhile.
    """

    reentrant = True

    def __init__(self, *eyes: Eye) -> None:
        self._eyes = eyes
        self.models: tuple[str, ...] = tuple(model for eye in eyes for model in eye.models)
        kinds = {kind for eye in eyes for kind in eye.eyes}
        self.eyes: Mapping[ModelKind, frozenset[Category]] = {
            kind: frozenset(category for eye in eyes for category in eye.eyes.get(kind, ())) for kind in kinds
        }
        # Each network spreads over the cores by itself: on two, two at once get in each other's way (by a seventh).
        at_once = len(eyes) if (os.cpu_count() or 1) > 2 else 1
        self._threads = ThreadPoolExecutor(max_workers=at_once, thread_name_prefix="eye")
        self._streams: list[Any] = []
        if any(eye.network.device == "cuda" for eye in eyes):
            import torch

            self._streams = [torch.cuda.Stream() for _ in eyes]

    def screen(self, frames: Sequence[RGB]) -> list[tuple[Detection, ...]]:
        """What each eye sees in each (H, W, 3) uint8 RGB frame, eye after eye."""
        if self._streams:
            seen = self._on_streams(frames)
        else:
            seen = list(self._threads.map(lambda eye: eye.screen(frames), self._eyes))
        return [tuple(found for eye in parts for found in eye) for parts in zip(*seen, strict=True)]

    def _on_streams(self, frames: Sequence[RGB]) -> list[list[tuple[Detection, ...]]]:
        import torch

        owned = (frame if frame.flags.writeable else frame.copy() for frame in frames)  # torch warns of the others
        uploaded = [torch.from_numpy(frame).pin_memory().to("cuda", non_blocking=True) for frame in owned]
        waiting = []
        for eye, stream in zip(self._eyes, self._streams, strict=True):
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                waiting.append(eye.start(uploaded if eye.network.device == "cuda" else frames))
        return [wait() for wait in waiting]

    def weigh(self, findings: VisualFindings) -> list[Reason]:
        """What each eye makes of what it saw."""
        return [reason for eye in self._eyes for reason in eye.weigh(findings)]
