"""How a frame becomes what a network sees: data of its card, the same for ONNX Runtime, torch on the CPU and CUDA."""

from collections.abc import Sequence
from io import BytesIO
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from kidsnanny.media.loader import RGB
from kidsnanny.models.cards import Three, WholeFrameCard
from kidsnanny.models.runtime import Network, Output
from kidsnanny.stage1.stage1 import check_frames

BATCH = 32
"""Frames in one network call."""
BLUR = 10
"""Pixels of standard deviation."""
_RESAMPLING = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "nearest": Image.Resampling.NEAREST,
}


class Preparation(Protocol):
    """How a frame is prepared for a network: a classifier's card, or a student's settings."""

    @property
    def input(self) -> int: ...
    @property
    def crop(self) -> float | None: ...
    @property
    def interpolation(self) -> Literal["bilinear", "bicubic", "lanczos", "nearest"]: ...
    @property
    def mean(self) -> Three: ...
    @property
    def std(self) -> Three: ...


def start_network(network: Network, card: WholeFrameCard, frames: Sequence[Any]) -> list[Output]:
    """Start the network on frames, BATCH at a time; each function that it returns waits for the output of a batch.

    Args:
        network: the card's.
        card: says how a frame is prepared.
        frames: (H, W, 3) uint8 RGB arrays; on CUDA also tensors of that shape and type.

    Raises:
        TypeError: a frame is not such an array.
    """
    check_frames(frames)
    batches = [frames[start : start + BATCH] for start in range(0, len(frames), BATCH)]
    return [network(_stacked(network, card, batch)) for batch in batches]


def _stacked(network: Network, card: WholeFrameCard, frames: Sequence[Any]) -> Any:
    if network.device == "cpu":
        return np.stack([card_pixels(frame, card) for frame in frames])
    import torch

    return torch.stack([pixels_tensor(frame, card) for frame in frames])


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


def card_pixels(frame: RGB, card: WholeFrameCard) -> npt.NDArray[np.float32]:
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


def pixels_tensor(frame: Any, card: Preparation) -> Any:
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
