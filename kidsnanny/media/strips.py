"""Large frames, rendered in strips: no step is long, and no more than one whole result is held at a time."""

from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image

from kidsnanny.budget import out_of_time
from kidsnanny.errors import PictureTooLargeError
from kidsnanny.media.colours import RGB, orientations, rendered

WHOLE = 8_000_000
"""Pixels of a frame that is rendered at once, and of which all views are held."""
STRIP = 2_000_000
TURNING = ("exif", "xmp", "XML:com.adobe.xmp", "Raw profile type exif")
"""Where Pillow looks for an orientation."""


def views(image: Image.Image, pixels: RGB | None = None, data: bytes = b"") -> Iterator[RGB]:
    """What there is to look at in the current frame, one at a time: see `rendered`.

    Args:
        image: the picture, at the frame.
        pixels: the frame, if it was decoded elsewhere; else Pillow decodes it.
        data: the picture's file, if there is one.

    Raises:
        PictureTooLargeError: the picture's time is used up before a view is done.
    """
    width, height = image.size
    ranged = image.mode.startswith(("I", "F"))  # how its values are scaled depends on all of them
    if width * height <= WHOLE or ranged:
        if pixels is not None:
            whole = Image.fromarray(pixels)
            whole.info, image = image.info, whole
        yield from rendered(image, data)
        return
    info = {key: value for key, value in image.info.items() if key not in TURNING}

    if pixels is None:
        image.load()

    def strip(top: int, bottom: int) -> Image.Image:
        part = image.crop((0, top, width, bottom)) if pixels is None else Image.fromarray(pixels[top:bottom])
        part.info = info
        return part

    for turned in orientations(image, data):
        view, count = 0, 1
        while view < count:
            shape = (width, height, 3) if turned in (5, 6, 7, 8) else (height, width, 3)
            result = np.empty(shape, np.uint8)
            count = max(count, _fill(_as_stored(result, turned), view, lambda t, b: rendered(strip(t, b), data)))
            yield result
            del result
            view += 1


def _fill(canvas: RGB, view: int, strip: Callable[[int, int], tuple[RGB, ...]]) -> int:
    """Render into the canvas, strip by strip. A strip with fewer views, such as an opaque one, shows its last.

    Returns:
        The largest number of views that a strip has.
    """
    import cv2

    count, height = 1, canvas.shape[0]
    turned = abs(canvas.strides[0]) < abs(canvas.strides[1])
    rows = max(1, STRIP // canvas.shape[1])
    for top in range(0, height, rows):
        if top and out_of_time():
            raise PictureTooLargeError(
                f"{top:,} of {height:,} rows were decoded when its time was used up", cause="time"
            )
        found = strip(top, min(top + rows, height))
        shown = found[min(view, len(found) - 1)]
        if turned:  # copied along the rows of the result, which is many times faster
            canvas.transpose(1, 0, 2)[:, top : top + rows] = cv2.transpose(shown)
        else:
            canvas[top : top + rows] = shown
        count = max(count, len(found))
    return count


def _as_stored(upright: RGB, orientation: int) -> RGB:
    """A view of an upright picture's array in which the pixels lie as in the file."""
    match orientation:
        case 2:
            return upright[:, ::-1]
        case 3:
            return upright[::-1, ::-1]
        case 4:
            return upright[::-1]
        case 5:
            return upright.transpose(1, 0, 2)
        case 6:
            return np.rot90(upright)
        case 7:
            return upright[::-1, ::-1].transpose(1, 0, 2)
        case 8:
            return np.rot90(upright, -1)
    return upright


def in_rows(image: Image.Image) -> Iterator[Image.Image]:
    """The image from top to bottom, a few rows at a time."""
    rows = max(1, STRIP // image.width)
    image.load()
    for top in range(0, image.height, rows):
        yield image.crop((0, top, image.width, min(top + rows, image.height)))
