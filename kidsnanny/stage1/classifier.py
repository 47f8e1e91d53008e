"""ViT classifiers: timm's and transformers' checkpoints, and either of them exported to ONNX.

How a frame is prepared for the network is data of the card (`input`, `crop`, `interpolation`, `mean`, `std`) and the
same for all three, so the same weights give the same probabilities.
"""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from kidsnanny.errors import ComponentError
from kidsnanny.media.loader import RGB
from kidsnanny.models.cards import Card, ClassifierCard, Three, find_card
from kidsnanny.models.runtime import Device, Network, Output, Precision, network
from kidsnanny.records import Detection, ModelId, ModelKind, Signal, VisualFindings
from kidsnanny.stage1.label_map import LabelMap
from kidsnanny.stage1.stage1 import Started, check_frames
from kidsnanny.taxonomy import Category

BATCH = 32
"""Frames in one network call."""
BLUR = 10
"""Pixels of standard deviation."""
_RESAMPLING = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


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
        probes = [_card_pixels(np.full((8, 8, 3), level, np.uint8), self.card) for level in (0, 128)]
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
        return self._probabilities(self._start(frames))

    def start(self, frames: Sequence[Any]) -> Started:
        """Start the network on frames (on CUDA: tensors of the same shape and type); the function that it returns waits
        for what `screen` returns."""
        started = self._start(frames)
        return lambda: [self._detections(row.tolist()) for row in self._probabilities(started)]

    def signals(self, findings: VisualFindings) -> list[Signal]:
        """For each frame and category, the sum over the labels of probability times weight in the card's `labels`.

        With two labels, one of them of weight 1, that is its probability. With ordered levels it is the expected level:
        half `low` (0.34) and half `high` (1.0) make 0.67.
        """
        return self._labels.signals(findings.detections, self.card.name, "classifier", summed=True)

    def _start(self, frames: Sequence[Any]) -> list[Output]:
        check_frames(frames)
        batches = [frames[start : start + BATCH] for start in range(0, len(frames), BATCH)]
        return [self.network(self._pixels(batch)) for batch in batches]

    def _pixels(self, frames: Sequence[Any]) -> Any:
        if self.network.device == "cpu":
            return np.stack([_card_pixels(frame, self.card) for frame in frames])
        import torch

        return torch.stack([_pixels_tensor(frame, self.card) for frame in frames])

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


class Preparation(Protocol):
    """How a frame is prepared for a network: a classifier's card, or a student's settings."""

    @property
    def input(self) -> int: ...
    @property
    def crop(self) -> float | None: ...
    @property
    def interpolation(self) -> Literal["bilinear", "bicubic", "lanczos"]: ...
    @property
    def mean(self) -> Three: ...
    @property
    def std(self) -> Three: ...


def pixels(frame: RGB, card: Preparation) -> npt.NDArray[np.float32]:
    """(H, W, 3) uint8 RGB -> (3, input, input) float32 as the card says, resized with antialiasing by Pillow.

    `crop` is timm's crop_pct: the shorter side becomes input / crop, and the centre is cut out. Without it the frame is
    squashed to the square, as transformers' ViT processor does.
    """
    return _normalised(_square(Image.fromarray(frame), card), card)


def _square(image: Image.Image, card: Preparation) -> Image.Image:
    side, resampling = card.input, _RESAMPLING[card.interpolation]
    if card.crop is None:
        return image.resize((side, side), resampling)
    size, (left, top) = _cropped(image.size, side, card.crop)
    scale = image.width / size[0], image.height / size[1]
    right, bottom = min(image.width, (left + side) * scale[0]), min(image.height, (top + side) * scale[1])
    return image.resize((side, side), resampling, box=(left * scale[0], top * scale[1], right, bottom))


def _normalised(square: Image.Image, card: Preparation) -> npt.NDArray[np.float32]:
    mean, std = np.array(card.mean, np.float32), np.array(card.std, np.float32)
    scaled = (np.asarray(square, np.float32) / np.float32(255) - mean) / std
    return np.ascontiguousarray(scaled.transpose(2, 0, 1), np.float32)


def _card_pixels(frame: RGB, card: ClassifierCard) -> npt.NDArray[np.float32]:
    """As `pixels`, and as `fit`, `jpeg` and `layout` of the card say; with the colours last (input, input, 3)."""
    image, side = Image.fromarray(frame), card.input
    if card.fit == "blur":
        square = _over_its_blur(image, side, _RESAMPLING[card.interpolation])
    elif card.fit == "squash" and card.crop:
        large, left = int(side / card.crop), int(side / card.crop - side) // 2
        square = image.resize((large, large), _RESAMPLING[card.interpolation])
        square = square.crop((left, left, left + side, left + side))
    else:
        square = _square(image, card)
    if card.jpeg:
        file = BytesIO()
        square.save(file, "JPEG")
        square = Image.open(file)
    found = _normalised(square, card)
    if card.layout == "rgb":
        return found
    return np.ascontiguousarray((found if card.layout == "rgb_last" else found[::-1]).transpose(1, 2, 0))


def _over_its_blur(image: Image.Image, side: int, resampling: Image.Resampling) -> Image.Image:
    scale = side / max(image.size)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    front = image.resize(size, resampling)
    if size == (side, side):
        return front
    square = front.resize((side, side), resampling).filter(ImageFilter.GaussianBlur(BLUR))
    square.paste(front, ((side - size[0]) // 2, (side - size[1]) // 2))
    return square


def _pixels_tensor(frame: Any, card: Preparation) -> Any:
    """The same as `pixels`, on the tensor's device, with torch's antialiased resize: Pillow's up to rounding."""
    import torch
    from torch.nn import functional

    side = card.input
    given = torch.as_tensor(frame).permute(2, 0, 1)[None].float()
    size, (left, top) = (side, side), (0, 0)
    if card.crop is not None:
        size, (left, top) = _cropped((given.shape[3], given.shape[2]), side, card.crop)
    small = functional.interpolate(given, size[::-1], mode=card.interpolation, antialias=True)
    small = small[0, :, top : top + side, left : left + side].round().clamp(0, 255) / 255
    mean, std = (torch.tensor(v, device=small.device)[:, None, None] for v in (card.mean, card.std))
    return (small - mean) / std


def _cropped(size: tuple[int, int], side: int, crop: float) -> tuple[tuple[int, int], tuple[int, int]]:
    """Width and height that a picture of `size` is resized to, and left and top of the square that is cut out of that.

    The rounding is torchvision's: the longer side is rounded down, the margin half to even.
    """
    short = int(side / crop)
    longer = int(short * max(size) / min(size))
    resized = (short, longer) if size[0] <= size[1] else (longer, short)
    return resized, (round((resized[0] - side) / 2), round((resized[1] - side) / 2))
