"""ViT classifiers: timm's and transformers' checkpoints, and either of them exported to ONNX.

How a frame is prepared for the network is data of the card (`input`, `crop`, `interpolation`, `mean`, `std`) and the
same for all three, so the same weights give the same probabilities.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from kidsnanny.errors import ComponentError
from kidsnanny.media.loader import RGB
from kidsnanny.models.cards import Card, ClassifierCard, find_card
from kidsnanny.models.runtime import Device, Network, Output, Precision, network
from kidsnanny.records import Detection, ModelId, ModelKind, Signal, VisualFindings
from kidsnanny.stage1.label_map import LabelMap
from kidsnanny.stage1.preparation import card_pixels, start_network
from kidsnanny.stage1.stage1 import Started
from kidsnanny.taxonomy import Category


class Classifier:
    """A classifier by its card, with one probability per label for a frame as a whole.

    Args:
        card: a card or its name.
        device: "auto" (CUDA where torch finds it), "cpu" or "cuda".
        precision: see `network`.
        runs: another network than the card's own.

    Raises:
        WeightsError: there is no classifier's card of that name, or the weights are missing, are not those of the card,
            or do not fit its architecture.
        ComponentError: a package or the device is missing, or the network does not return one logit per label.
        TypeError: `card` is neither a card nor a name.
    """

    reentrant = True

    def __init__(
        self,
        card: Card | str,
        *,
        device: Device = "auto",
        precision: Precision = "auto",
        runs: Network | None = None,
    ) -> None:
        self.card = find_card(card, ClassifierCard)
        self.network = runs or network(self.card, device, precision)
        self.models: tuple[ModelId, ...] = (self.network.model_id,)
        self._labels = LabelMap(self.card.labels)
        self.categories: Mapping[ModelKind, frozenset[Category]] = {"classifier": self._labels.categories}
        probes = [card_pixels(np.full((8, 8, 3), level, np.uint8), self.card) for level in (0, 128)]
        outputs = [self.network(probe[None])()[0] for probe in probes]
        logits = outputs[0]
        if logits.shape != (len(self._labels.names),):
            raise ComponentError(
                f"{self.card.name}: its network returns {logits.shape} where the card has {len(self._labels.names)} "
                "labels; fix the card."
            )
        sums = all(row.min() >= 0 and abs(row.sum() - 1) < 1e-4 for row in outputs)
        if sums != self.card.probabilities:  # a second softmax would dampen them
            what, fix = ("probabilities", "true") if sums else ("logits", "false")
            raise ComponentError(
                f"{self.card.name}: its network returns {what}; set probabilities = {fix} in the card."
            )

    def screen(self, frames: Sequence[RGB]) -> list[tuple[Detection, ...]]:
        """Every label's probability for each (H, W, 3) uint8 RGB frame, the likeliest first.

        Raises:
            ComponentError: the network returned NaN or infinity.
            TypeError: a frame is not such an array.
        """
        return self.start(frames)()

    def probabilities(self, frames: Sequence[RGB]) -> npt.NDArray[np.float32]:
        """(N, labels) in 0..1, each row summing to 1, in the card's order of labels.

        Raises:
            ComponentError: the network returned NaN or infinity.
            TypeError: a frame is not an (H, W, 3) uint8 array.
        """
        return self._probabilities(start_network(self.network, self.card, frames))

    def start(self, frames: Sequence[Any]) -> Started:
        """Start the network on frames (on CUDA: tensors of the same shape and type); the function that it returns waits
        for what `screen` returns."""
        started = start_network(self.network, self.card, frames)
        return lambda: [self._detections(row.tolist()) for row in self._probabilities(started)]

    def signals(self, findings: VisualFindings) -> list[Signal]:
        """For each frame and category, the sum over the labels of probability times weight in the card's `labels`.

        With two labels, one of them of weight 1, that is its probability. With ordered levels it is the expected level:
        half `low` (0.34) and half `high` (1.0) make 0.67.
        """
        return self._labels.signals(findings.detections, self.card.name, "classifier", summed=True)

    def _probabilities(self, started: Sequence[Output]) -> npt.NDArray[np.float32]:
        outputs = [wait() for wait in started]
        if not outputs:
            return np.zeros((0, 0), np.float32)
        if not all(np.isfinite(batch).all() for batch in outputs):
            raise ComponentError(f"{self.card.name}: its network returned NaN or infinity; use float32.")
        found = np.concatenate(outputs)
        if not self.card.probabilities:
            found = np.exp(found - found.max(axis=1, keepdims=True))
        return np.asarray(found / found.sum(axis=1, keepdims=True), np.float32)

    def _detections(self, probabilities: list[float]) -> tuple[Detection, ...]:
        found = zip(self._labels.names, probabilities, strict=True)
        return tuple(
            Detection(label=label, score=min(1.0, probability), model=self.card.name)
            for label, probability in sorted(found, key=lambda pair: -pair[1])
        )
