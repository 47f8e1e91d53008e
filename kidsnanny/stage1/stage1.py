"""Stage 1 looks at pixels and writes down what it saw."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from kidsnanny.media.loader import RGB
from kidsnanny.records import Detection, ModelKind, Reason, SceneGraph, VisualFindings
from kidsnanny.taxonomy import Category

Seen = tuple[Detection | SceneGraph, ...]
Started = Callable[[], list[tuple[Detection, ...]]]
"""Waits for what each frame holds."""
RANDOM = "#random"
"""The end of a model's name when its weights are random: what it says means nothing, and nothing it saw is `safe`."""
DEMO = "#demo"
"""The end of a model's name when it knows drawings alone, to show how things work: nothing it saw is `safe` either."""
CAVEATS = {
    RANDOM: "are random, so what they say means nothing",
    DEMO: "know scenes that kidsnanny drew and nothing else, so what they say of other pictures means nothing",
}


class Stage1(Protocol):
    """What the pipeline asks of a Stage 1.

    `screen` and `weigh` are apart so that what was *seen* (and written down as text) never depends on what it is
    *worth*, which is a table anybody can read and change.
    """

    models: tuple[str, ...]
    """Each model and its revision, as they stand in `Verdict.provenance`."""
    eyes: Mapping[ModelKind, frozenset[Category]]
    """Kind of model -> what it has an eye for."""
    reentrant: bool
    """Whether several threads may call it at once; if not, the pipeline holds a lock around it."""

    def screen(self, frames: Sequence[RGB]) -> Sequence[Seen]:
        """What is in each frame; the `frame` of what was seen is 0."""
        ...

    def weigh(self, findings: VisualFindings) -> list[Reason]:
        """What the findings are evidence of, unthresholded."""
        ...
