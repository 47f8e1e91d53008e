"""Thumbnails of pictures that no one should have to see, for pages that load nothing."""

from pathlib import Path

from PIL import Image

from kidsnanny.media.loader import open_picture
from kidsnanny.reports.verdict_report import data_uri

BLOCKS = 8
"""Blocks of a thumbnail's longer side: few enough that no word survives."""


def mosaic_thumbnail(image: bytes | Path) -> str:
    """The first frame of a picture as a mosaic of at most 8x8 blocks, in a `data:` URI.

    Raises:
        InputError: the picture does not decode.
    """
    frame = Image.fromarray(next(open_picture(image).frames()).rgb)
    block = max(frame.size) / BLOCKS
    mosaic = frame.resize([max(1, round(side / block)) for side in frame.size], Image.Resampling.BOX)
    return data_uri(mosaic, "PNG")
