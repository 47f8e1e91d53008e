"""What one picture may cost, as far as its header tells."""

import math
from typing import NamedTuple

from PIL import Image

from kidsnanny.errors import CorruptPictureError, PictureTooLargeError


class Limits(NamedTuple):
    """What one picture may cost. Bytes, pixels and sides are checked before pixels are decoded."""

    bytes: int = 64 * 2**20
    """Of the file: 64 MiB."""
    pixels: int = 89_478_485
    """Of one frame: Pillow's own threshold for a decompression bomb."""
    side: int = 30_000
    """Pixels of the longer side."""
    frames: int = 300
    """How many are looked at; those past it are `not_inspected`."""
    total_pixels: int = 200_000_000
    """Of all frames that are looked at."""
    memory: int = 650_000_000
    """Bytes that one frame may take while it is decoded and looked at, the models' own not counted."""
    seconds: float | None = None
    """How long one picture may be worked on; None for the profile's own, which is 10 by default. See
    `kidsnanny.budget`."""


DEFAULT_LIMITS = Limits()


def checked_limits(limits: object) -> Limits:
    """The limits, if each is a number that limits something.

    Raises:
        TypeError: they are no Limits, or one of them is no number.
        ValueError: one of them is not above 0, or not finite.
    """
    if not isinstance(limits, Limits):
        raise TypeError(f"limits is a {type(limits).__name__}; expected Limits, such as Limits(seconds=30).")
    for name, value in limits._asdict().items():
        if name == "seconds" and value is None:
            continue
        expected = "a number of seconds" if name == "seconds" else "a whole number"
        if isinstance(value, bool) or not isinstance(value, int | float if name == "seconds" else int):
            raise TypeError(f"limits.{name} is {value!r}; expected {expected} above 0.")
        if not 0 < value < math.inf:
            raise ValueError(f"limits.{name} is {value}; expected {expected} above 0.")
    return limits


def bytes_per_pixel(image: Image.Image) -> int:
    """What a frame takes at its peak: decoded, and with its views; both of them if it may be transparent.

    Measured at the pixel limit; `benchmarks/hostile_files.py` shows whether it still holds.
    """
    if image.mode.startswith(("I", "F")):
        return 34  # it is scaled in floating point
    if image.format == "GIF" or (image.format in ("PNG", "WEBP") and getattr(image, "is_animated", False)):
        return 26  # frames are composed: a canvas with alpha, a copy of it, and the frame's own pixels
    stored = {"1": 1, "L": 1, "P": 5, "CMYK": 6}.get(image.mode, 4)
    views = 6 if image.has_transparency_data else 3
    return stored + views + {"WEBP": 8, "AVIF": 10, "HEIC": 3, "JXL": 20, "PDF": 4}.get(image.format or "", 0)


def check_size(name: str, size: tuple[int, int], limits: Limits) -> None:
    width, height = size
    if width < 1 or height < 1:
        raise CorruptPictureError(f"it is {width}x{height} pixels, so there is nothing to look at.", name=name)
    if width * height > limits.pixels or max(size) > limits.side:
        bound = f"{limits.pixels:,} pixels or {limits.side:,} a side"
        raise too_large(name, f"it is {width}x{height}, more than {bound}")


def check_memory(name: str, image: Image.Image, limits: Limits) -> None:
    needed = image.width * image.height * bytes_per_pixel(image)
    if needed > limits.memory:
        kind = f"{image.format or 'picture'} of mode {image.mode}"
        reason = f"as a {kind}, its {image.width * image.height:,} pixels take {needed:,} bytes to decode"
        raise too_large(name, f"{reason}, more than {limits.memory:,}")


def too_large(name: str, reason: str) -> PictureTooLargeError:
    return PictureTooLargeError(f"{reason}; scale it down.", name=name)
