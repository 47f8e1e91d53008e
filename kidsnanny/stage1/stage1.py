"""Stage 1 looks at pixels and writes down what it saw."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

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
