"""A probe as Stage 1: an encoder's rows, and on them what a probe says of each label, by its card."""

from collections.abc import Mapping, Sequence
from typing import Any

from kidsnanny.errors import ComponentError
from kidsnanny.media.loader import RGB
from kidsnanny.models.cards import Card
from kidsnanny.models.runtime import Device, Network, Precision
from kidsnanny.probes.encoders import CardEncoder, load_encoder
from kidsnanny.probes.probe_files import check_fit, load_probe
from kidsnanny.probes.q16 import Q16
from kidsnanny.records import Detection, ModelId, ModelKind, Signal, VisualFindings
from kidsnanny.stage1.label_map import LabelMap
from kidsnanny.stage1.stage1 import Started
from kidsnanny.taxonomy import Category


class Probe:
    """A probe by its card, on the encoder that the card names.

    Args:
        card: a card or its name.
        encoder: another than the card's own, already loaded; it must be the same model.
        device: "auto" (CUDA where torch finds it), "cpu" or "cuda".
        precision: see `network`.

    Raises:
        WeightsError: there is no probe's card of that name, or its weights or its encoder's are missing, are not those
            of the card, or do not fit each other.
        ComponentError: a package or the device is missing, or no label of the card means a category.
        TypeError: `card` is neither a card nor a name.
    """

    reentrant = True

    def __init__(
        self,
        card: Card | str,
        *,
        encoder: CardEncoder | None = None,
        device: Device = "auto",
        precision: Precision = "auto",
    ) -> None:
        loaded = load_probe(card)
        self.card, self._weights, own = loaded
        self._labels = LabelMap(self.card.labels)
        if not self._labels.categories:
            fix = "write which in its labels"
            raise ComponentError(
                f"{self.card.name}: none of its labels means a category, so nothing would count; {fix}."
            )
        self.encoder = encoder or load_encoder(self.card.encoder, device=device, precision=precision)
        self.network: Network = self.encoder.network
        check_fit(loaded, self.encoder)
        caveat = own.caveat or self.encoder.model_id.caveat
        self.models: tuple[ModelId, ...] = (own.model_copy(update={"caveat": caveat}), self.encoder.model_id)
        self.categories: Mapping[ModelKind, frozenset[Category]] = {"classifier": self._labels.categories}

    def screen(self, frames: Sequence[RGB]) -> list[tuple[Detection, ...]]:
        """Every label's probability for each (H, W, 3) uint8 RGB frame, the likeliest first.

        Raises:
            ComponentError: the encoder returned NaN or infinity.
            TypeError: a frame is not such an array.
        """
        return self.start(frames)()

    def start(self, frames: Sequence[Any]) -> Started:
        """Start the encoder on frames (on CUDA: tensors of the same shape and type); the function that it returns waits
        for what `screen` returns."""
        started = self.encoder.start(frames)
        return lambda: [self._detections(row) for row in self._weights.probabilities(started()).tolist()]

    def signals(self, findings: VisualFindings) -> list[Signal]:
        """For each frame and category, what the labels say: of Q16 one signal for each category; of other probes, whose
        labels go together, one for each label, its probability times its weight in the card."""
        exclusive = isinstance(self._weights, Q16)
        return self._labels.signals(findings.detections, self.card.name, "classifier", summed=exclusive)

    def _detections(self, probabilities: Sequence[float]) -> tuple[Detection, ...]:
        found = zip(self._labels.names, probabilities, strict=True)
        return tuple(
            Detection(label=label, score=min(1.0, probability), model=self.card.name)
            for label, probability in sorted(found, key=lambda pair: -pair[1])
        )
