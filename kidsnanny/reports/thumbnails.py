"""Small pictures for pages that load nothing: reduced, or as a mosaic in which nothing can be read or recognised."""

import base64
import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from kidsnanny.media.loader import open_picture
from kidsnanny.records import Box

SIDE = 480
"""Longest side of a thumbnail, in pixels of the page."""
BLOCKS = 16
"""Blocks of the mosaic along the longer side."""
COARSE_BLOCKS = 8
"""Blocks of a thumbnail without any detail: few enough that no word survives."""
BLOCK_SIDE = 16
"""A block covers at least this many pixels of the picture each way, so that a small picture is mosaicked, too."""


def mosaic(thumbnail: Image.Image, covered: Iterable[Box], scale: float) -> Image.Image:
    """A few pixels that a viewer enlarges to blocks.

    Args:
        thumbnail: a reduced RGB picture.
        covered: boxes in pixels of the original that are blotted out first: large letters survive a mosaic.
        scale: pixels of the thumbnail to a pixel of the original.
    """
    rgb = np.array(thumbnail)
    for box in covered:
        x0, y0, x1, y1 = (round(side * scale) for side in box)
        margin = 1 + min(x1 - x0, y1 - y0) // 4
        part = rgb[max(0, y0 - margin) : y1 + margin, max(0, x0 - margin) : x1 + margin]
        if part.size:
            part[:] = np.median(part, axis=(0, 1))
    block = max(max(thumbnail.size) / BLOCKS, BLOCK_SIDE)
    width, height = (max(1, round(side / block)) for side in thumbnail.size)
    return Image.fromarray(rgb).resize((width, height), Image.Resampling.BOX)


def in_blocks(picture: Image.Image, blocks: int) -> Image.Image:
    """A picture as a mosaic of so many blocks along its longer side."""
    block = max(picture.size) / blocks
    width, height = (max(1, round(side / block)) for side in picture.size)
    return picture.resize((width, height), Image.Resampling.BOX)


def data_uri(image: Image.Image, kind: str) -> str:
    """The picture in a `data:` URI; `kind` is PNG or JPEG."""
    buffer = io.BytesIO()
    image.save(buffer, kind)  # made from an array, so it carries no metadata
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def mosaic_thumbnail(image: bytes | Path) -> str:
    """The first frame of a picture as a mosaic of at most 8x8 blocks, in a `data:` URI.

    Raises:
        InputError: the picture does not decode.
    """
    frame = Image.fromarray(next(open_picture(image).frames()).rgb)
    return data_uri(in_blocks(frame, COARSE_BLOCKS), "PNG")
