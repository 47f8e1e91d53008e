"""Stage 1 looks at pixels and writes down what it saw."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from kidsnanny.media.loader import RGB
from kidsnanny.records import Detection, ModelId, ModelKind, SceneGraph, Signal, VisualFindings
from kidsnanny.taxonomy import Category

Seen = tuple[Detection | SceneGraph, ...]
Started = Callable[[], list[tuple[Detection, ...]]]
"""Waits for what each frame holds."""


class Stage1(Protocol):
    """What the pipeline asks of a Stage 1.

    `screen` and `signals` are apart so that what was *seen* (and written down as text) never depends on what it
    *means*, which is a table of labels and categories that anybody can read and change.
    """

    models: tuple[ModelId, ...]
    categories: Mapping[ModelKind, frozenset[Category]]
    """Kind of model -> the categories that it looks for."""
    reentrant: bool
    """Whether several threads may call it at once; if not, callers take turns."""

    def screen(self, frames: Sequence[RGB]) -> Sequence[Seen]:
        """What is in each frame; the `frame` of what was seen is 0."""
        ...

    def signals(self, findings: VisualFindings) -> list[Signal]:
        """What the findings say of each category, before any threshold."""
        ...


def check_frames(frames: Sequence[Any]) -> None:
    """Refuse what a programmer gives instead of frames. CUDA tensors pass if their shape does.

    Raises:
        TypeError: a frame is not an (H, W, 3) array, or not of uint8.
    """
    for frame in frames:
        shape: tuple[int, ...] = tuple(getattr(frame, "shape", ()))
        kind = getattr(frame, "dtype", None)
        if len(shape) != 3 or shape[2] != 3 or (isinstance(frame, np.ndarray) and kind != np.uint8):
            found = f"{kind} of shape {shape}" if kind is not None else type(frame).__name__
            raise TypeError(f"expected frames as (H, W, 3) uint8 arrays, got {found}")
