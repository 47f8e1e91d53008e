"""From a model's labels to categories: the one place where the `labels` of a card are applied."""

from collections.abc import Iterable, Mapping
from itertools import groupby

from kidsnanny.records import Box, Detection, ModelKind, Signal
from kidsnanny.taxonomy import Category

Labels = Mapping[str, Mapping[Category, float]]
"""Label -> category -> weight in 0..1."""


class LabelMap:
    """A model's labels in class order, and what each says of the categories.

    Args:
        labels: as in a card. A label without categories is context and gives no signal.
    """

    def __init__(self, labels: Labels) -> None:
        self.names: tuple[str, ...] = tuple(map(one_word, labels))
        """The labels as they stand in detections."""
        self.categories: frozenset[Category] = frozenset(
            category for weights in labels.values() for category, weight in weights.items() if weight
        )
        """Those that a label has a weight for; of a weight of 0 nothing can come."""
        self._weights = dict(zip(self.names, labels.values(), strict=True))

    def signals(
        self, detections: Iterable[Detection], model: str, source: ModelKind, *, summed: bool = False
    ) -> list[Signal]:
        """What a model's detections say of each category, before any threshold.

        Args:
            detections: of any models; only those of `model` count.
            model: the name that its detections have.
            source: the kind of model.
            summed: False for labels that occur side by side: one signal for each detection and category, score times
                weight. True for labels whose scores are the probabilities of exclusive classes: one signal for each
                frame, box and category, the sum of score times weight over the labels, which names the label that adds
                most.
        """
        own = [found for found in detections if found.model == model]
        if summed:
            own.sort(key=_place)
            groups = [list(group) for _, group in groupby(own, key=_place)]
        else:
            groups = [[found] for found in own]
        signals = []
        for group in groups:
            for category in sorted(self.categories) if summed else self._weights[group[0].label]:
                parts = {found.label: found.score * self._weights[found.label].get(category, 0.0) for found in group}
                signals.append(
                    Signal(
                        category=category,
                        channel="image",
                        source=source,
                        model=model,
                        score=min(1.0, sum(parts.values())),
                        what=max(parts, key=lambda label: parts[label]),
                        frame=group[0].frame,
                        box=group[0].box,
                    )
                )
        return signals


def _place(found: Detection) -> tuple[int, Box]:
    return found.frame, found.box or Box(0, 0, 0, 0)


def one_word(label: str) -> str:
    """The label as it stands in detections and in the findings text: without spaces."""
    return label.replace(" ", "_")
