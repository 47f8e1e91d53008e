"""ViT classifiers: timm's and transformers' checkpoints, and either of them exported to ONNX.

How a picture is brought to the network is data of the card (`input`, `crop`, `interpolation`, `mean`, `std`) and the
same for all three, so the same weights give the same probabilities.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from kidsnanny.errors import ComponentError
from kidsnanny.media.loader import RGB
from kidsnanny.models.cards import Card, Three
from kidsnanny.models.runtime import Device, Network, Output, Precision, named, network
from kidsnanny.records import Detection, ModelId, ModelKind, Signal, VisualFindings
from kidsnanny.stage1.stage1 import Started
from kidsnanny.taxonomy import Category

BATCH = 32
ZERO, ONE = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)


class Classifier:
    """A classifier by its card, with one probability per label for a frame as a whole.

    Args:
        card: a card or its name.
        device, precision: see `network`.
        runs: another network than the card's own.

    Raises:
        WeightsError: the weights are missing, are not those of the card, or do not fit its architecture.
        ComponentError: a package or the device is missing, or the network does not give one logit per label.
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
        self.card = named(card)
        self.network = runs or network(self.card, device, precision)
        self.models: tuple[ModelId, ...] = (self.network.model_id,)
        self.categories: Mapping[ModelKind, frozenset[Category]] = {
            "classifier": frozenset(category for weights in self.card.labels.values() for category in weights)
        }
        self._labels = tuple(label.replace(" ", "_") for label in self.card.labels)
        self._worth = dict(zip(self._labels, self.card.labels.values(), strict=True))
        side = self.card.input or 0
        (logits,) = self.network(np.zeros((1, 3, side, side), np.float32))()
        if logits.shape != (len(self._labels),):
            raise ComponentError(
                f"{self.card.name}: its network gives {logits.shape} where the card has {len(self._labels)} labels; "
                "fix the card."
            )

    def screen(self, frames: Sequence[RGB]) -> list[tuple[Detection, ...]]:
        """Every label's probability for each (H, W, 3) uint8 RGB frame, the likeliest first."""
        return self.start(frames)()

    def probabilities(self, frames: Sequence[RGB]) -> npt.NDArray[np.float32]:
        """(N, labels) in 0..1, each row summing to 1, in the card's order of labels."""
        return _softmax(self._start(frames))

    def start(self, frames: Sequence[Any]) -> Started:
        """Start looking at frames (on CUDA: such tensors); the function it returns waits for `screen`'s list."""
        started = self._start(frames)
        return lambda: [self._seen(row.tolist()) for row in _softmax(started)]

    def _start(self, frames: Sequence[Any]) -> list[Output]:
        batches = [frames[start : start + BATCH] for start in range(0, len(frames), BATCH)]
        return [self.network(self._pixels(batch)) for batch in batches]

    def _pixels(self, frames: Sequence[Any]) -> Any:
        if self.network.device == "cpu":
            return np.stack([pixels(frame, self.card) for frame in frames])
        import torch

        return torch.stack([_pixels_tensor(frame, self.card) for frame in frames])

    def _seen(self, probabilities: list[float]) -> tuple[Detection, ...]:
        seen = zip(self._labels, probabilities, strict=True)
        return tuple(
            Detection(label=label, score=min(1.0, probability), model=self.card.name)
            for label, probability in sorted(seen, key=lambda pair: -pair[1])
        )

    def signals(self, findings: VisualFindings) -> list[Signal]:
        """What each frame is worth: the sum over the labels of probability times weight in the card's `labels`.

        With two labels, one of them of weight 1, that is its probability. With ordered levels it is the expected level:
        half `low` (0.34) and half `high` (1.0) make 0.67.
        """
        signals = []
        mine = sorted(
            (seen for seen in findings.detections if seen.model == self.card.name), key=lambda seen: seen.frame
        )
        for frame, group in groupby(mine, key=lambda seen: seen.frame):
            seen = list(group)
            for category in sorted(self.categories["classifier"]):
                parts = {found.label: found.score * self._worth[found.label].get(category, 0.0) for found in seen}
                signals.append(
                    Signal(
                        category=category,
                        channel="image",
                        source="classifier",
                        model=self.card.name,
                        score=min(1.0, sum(parts.values())),
                        what=max(parts, key=lambda label: parts[label]),
                        frame=frame,
                    )
                )
        return signals


def _softmax(started: Sequence[Output]) -> npt.NDArray[np.float32]:
    logits = [wait() for wait in started]
    if not logits:
        return np.zeros((0, 0), np.float32)
    if not all(np.isfinite(batch).all() for batch in logits):
        raise ComponentError("The classifier's network returned NaN or infinity; use float32.")
    shifted = np.exp(np.concatenate(logits) - np.concatenate(logits).max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), np.float32)


class Preparation(Protocol):
    """How a picture is brought to a network: of a card, or of a student's settings."""

    @property
    def input(self) -> int | None: ...
    @property
    def crop(self) -> float | None: ...
    @property
    def interpolation(self) -> Literal["bilinear", "bicubic"] | None: ...
    @property
    def mean(self) -> Three | None: ...
    @property
    def std(self) -> Three | None: ...


def pixels(frame: RGB, card: Preparation) -> npt.NDArray[np.float32]:
    """(H, W, 3) uint8 RGB -> (3, input, input) float32 as the card wants it, resized with antialiasing by Pillow.

    `crop` is timm's crop_pct: the shorter side becomes input / crop, and the centre is cut out. Without it the picture
    is squashed to the square, as transformers' ViT processor does.
    """
    side = card.input or 0
    how = Image.Resampling.BILINEAR if card.interpolation == "bilinear" else Image.Resampling.BICUBIC
    image = Image.fromarray(frame)
    if card.crop is None:
        small = image.resize((side, side), how)
    else:
        size, (left, top) = _cropped(image.size, side, card.crop)
        scale = image.width / size[0], image.height / size[1]
        right, bottom = min(image.width, (left + side) * scale[0]), min(image.height, (top + side) * scale[1])
        small = image.resize((side, side), how, box=(left * scale[0], top * scale[1], right, bottom))
    mean, std = np.array(card.mean or ZERO, np.float32), np.array(card.std or ONE, np.float32)
    scaled = (np.asarray(small, np.float32) / np.float32(255) - mean) / std
    return np.ascontiguousarray(scaled.transpose(2, 0, 1), np.float32)


def _pixels_tensor(frame: Any, card: Card) -> Any:
    """The same on the tensor's device, with torch's antialiased resize: rounding aside, what Pillow does."""
    import torch
    from torch.nn import functional

    side = card.input or 0
    given = torch.as_tensor(frame).permute(2, 0, 1)[None].float()
    size, (left, top) = (side, side), (0, 0)
    if card.crop is not None:
        size, (left, top) = _cropped((given.shape[3], given.shape[2]), side, card.crop)
    small = functional.interpolate(given, size[::-1], mode=card.interpolation or "bicubic", antialias=True)
    small = small[0, :, top : top + side, left : left + side].round().clamp(0, 255) / 255
    mean, std = (torch.tensor(v, device=small.device)[:, None, None] for v in (card.mean or ZERO, card.std or ONE))
    return (small - mean) / std


def _cropped(size: tuple[int, int], side: int, crop: float) -> tuple[tuple[int, int], tuple[int, int]]:
    """Width and height that a picture of `size` is brought to, and left and top of the square that is cut out there.

    The rounding is torchvision's: the longer side is cut off, the margin rounded half to even.
    """
    short = int(side / crop)
    longer = int(short * max(size) / min(size))
    resized = (short, longer) if size[0] <= size[1] else (longer, short)
    return resized, (round((resized[0] - side) / 2), round((resized[1] - side) / 2))
