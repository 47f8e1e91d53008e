"""Damage that picture decoders pass over in silence: is all of a file there that it says is there?"""

import struct
import zlib

import numpy as np
import numpy.typing as npt
from PIL import Image

from kidsnanny.media import heic, pdf
from kidsnanny.media.work import tiff_pages


def frame_count(image: Image.Image, data: bytes) -> int | None:
    """How many frames a file should have, without Pillow's walk over all frames of a GIF or TIFF; None if it is not
    known.

    Args:
        image: the file as Pillow has opened it.
        data: the file; empty if Pillow's image is all there is.
    """
    if image.format not in ("GIF", "TIFF"):
        return getattr(image, "n_frames", 1)
    try:
        return (len(tiff_pages(data)) if image.format == "TIFF" else walk_gif(data)[0]) if data else None
    except (IndexError, ValueError):
        return None  # it is damaged, which is named elsewhere


def damage(image: Image.Image, data: bytes) -> str | None:
    """What is wrong with a file, no JPEG, that has decoded without an error; None if all of it is there."""
    try:
        match image.format:
            case "PNG":
                found = _walk_png(data)
            case "GIF":
                walk_gif(data)
                return None
            case "WEBP" if len(data) < 8 + struct.unpack_from("<I", data, 4)[0]:
                return "the file ends before the picture does"
            case "AVIF" | "HEIC":
                return heic.damage(data)
            case "PDF":
                return pdf.damage(data)
            case _:
                return None
    except (IndexError, struct.error):
        return "the file ends before the picture does"
    except ValueError as error:
        return str(error)
    if found != (told := getattr(image, "n_frames", 1)):
        return f"it holds {found} frames and shows {told}"
    return None


def _walk_png(data: bytes) -> int:
    """The number of frames in a PNG of which every chunk is whole. Pillow checks no checksum from IDAT on."""
    at, frames, kind = 8, 0, b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, at)
        (checksum,) = struct.unpack_from(">I", data, at + 8 + length)
        if zlib.crc32(memoryview(data)[at + 4 : at + 8 + length]) != checksum:
            raise ValueError(f"the checksum of its {kind.decode('latin-1')} chunk is wrong")
        if kind == b"fcTL" or (kind == b"IDAT" and not frames):  # an IDAT before all fcTL is a frame of its own
            frames += 1
        at += 12 + length
    return frames


def walk_gif(data: bytes) -> tuple[int, int]:
    """The number of frames in a GIF, and where it ends. To Pillow a GIF may end after any frame."""

    def after_palette(at: int, flags: int) -> int:
        return at + (6 << (flags & 7) if flags & 0x80 else 0)

    at, frames = after_palette(13, data[10]), 0
    while (kind := data[at]) != 0x3B:
        if kind == 0x2C:
            at, frames = after_palette(at + 10, data[at + 9]) + 1, frames + 1
        elif kind == 0x21:
            at += 2
        elif kind:  # a stray zero is common
            raise ValueError(f"there is no GIF block of kind {kind}")
        while data[at]:
            at += data[at] + 1
        at += 1
    return frames, at + 1


def decode_jpeg(image: Image.Image, data: bytes) -> npt.NDArray[np.uint8]:
    """A JPEG's pixels by libjpeg with its warnings as errors: a viewer puts gray, or noise, for what is not there.

    Args:
        image: the file as Pillow has opened and measured it; it is not decoded.
        data: the file.

    Returns:
        (height, width, 3) uint8, neither turned nor converted through its profile; of CMYK, (height, width, 4).

    Raises:
        ValueError: something is missing, surplus or corrupt.
    """
    import simplejpeg

    rest = memoryview(data)[getattr(image, "offset", 0) :]
    height, width, *_ = simplejpeg.decode_jpeg_header(rest)
    if (width, height) != image.size:
        raise ValueError(f"it is {width}x{height} to one reader and {image.width}x{image.height} to another")
    pixels: npt.NDArray[np.uint8] = simplejpeg.decode_jpeg(rest, "CMYK" if image.mode == "CMYK" else "RGB", strict=True)
    return pixels
