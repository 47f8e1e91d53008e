"""Boxes between pixels, Florence-2's location bins and SenBen's permille (the box format of arXiv 2604.08819)."""

from collections.abc import Sequence
from operator import index

from kidsnanny.errors import DataError
from kidsnanny.records import Box

BINS = 1000
"""Location tokens per axis."""


def bin_of(pixel: int, size: int) -> int:
    """The location bin of a pixel, as in transformers (`models/florence2/processing_florence2.py`, `quantize`)."""
    return min(max(pixel * BINS // size, 0), BINS - 1)


def pixel_of(number: int, size: int) -> int:
    """The pixel nearest to the centre of a bin, halves rounded down (transformers' `dequantize` truncates): with a side
    of up to 1000 pixels every pixel survives the round trip, except that 1000 becomes 999."""
    return -((BINS - (2 * number + 1) * size) // (2 * BINS))


def nonempty(begin: int, end: int, size: int) -> tuple[int, int]:
    """The interval made at least one wide, with its beginning inside the size."""
    begin = min(begin, size - 1)
    return begin, max(end, begin + 1)


def box_from_permille(permille: Sequence[int], width: int, height: int) -> Box:
    """Pixels of a box as SenBen stores it, `[y0, x0, y1, x1]` in integers 0..1000: at least one wide and high.

    Raises:
        DataError: the four numbers are not such a box, or the box is empty.
    """
    try:
        y0, x0, y1, x1 = map(index, permille)
        if not (0 <= y0 < y1 <= 1000 and 0 <= x0 < x1 <= 1000):
            raise ValueError
    except (TypeError, ValueError) as error:
        raise DataError(
            f"the box {repr(permille)[:80]} is not [y0, x0, y1, x1] in integers from 0 to 1000 with y0 < y1 and "
            "x0 < x1; "
            "correct it."
        ) from error
    left, right = nonempty(_scaled(x0, width, 1000), _scaled(x1, width, 1000), width)
    top, bottom = nonempty(_scaled(y0, height, 1000), _scaled(y1, height, 1000), height)
    return Box(left, top, right, bottom)


def permille_from_box(box: Box, width: int, height: int) -> tuple[int, int, int, int]:
    """A box as SenBen stores it, `[y0, x0, y1, x1]` in integers 0..1000: clipped, at least one wide and high."""
    left, right = (min(max(_scaled(x, 1000, width), 0), 1000) for x in (box.x0, box.x1))
    top, bottom = (min(max(_scaled(y, 1000, height), 0), 1000) for y in (box.y0, box.y1))
    (left, right), (top, bottom) = nonempty(left, right, 1000), nonempty(top, bottom, 1000)
    return top, left, bottom, right


def _scaled(number: int, times: int, over: int) -> int:
    """`number * times / over`, rounded to the nearest, halves upwards."""
    return (2 * number * times + over) // (2 * over)
