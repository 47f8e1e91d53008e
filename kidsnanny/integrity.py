"""Damage that picture decoders pass over in silence: is all of a file there that it says is there?"""

import io
import re
import struct
import zlib

from PIL import Image, ImageChops


def damage(image: Image.Image, data: bytes) -> str | None:
    """What is wrong with a file whose current frame has decoded without an error; None if all of it is there."""
    try:
        match image.format:
            case "JPEG" | "MPO":
                return _jpeg_damage(image, data[getattr(image, "offset", 0) :])
            case "PNG":
                found, end = _walk_png(data), len(data)  # what follows a PNG is no picture to anybody
            case "GIF":
                found, end = _walk_gif(data)
            case "WEBP":
                found, end = getattr(image, "n_frames", 1), 8 + struct.unpack_from("<I", data, 4)[0]
            case _:
                return None
    except (IndexError, struct.error):
        return "the file ends before the picture does"
    except ValueError as error:
        return str(error)
    if found != (told := getattr(image, "n_frames", 1)):
        return f"it holds {found} frames and shows {told}"
    return "something follows the end of the picture" if data[end:].strip(b"\0\r\n ") else None


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


def _walk_gif(data: bytes) -> tuple[int, int]:
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


_FILLER = b"\0" + bytes(range(37, 255, 3))


def _jpeg_damage(image: Image.Image, data: bytes) -> str | None:
    """Whether a scan ends before its last block, for which libjpeg puts gray without an error.

    A decoder that has all it needs skips what stands before the next marker; one that has not reads on. So the
    picture is decoded once more with some bytes there, and looks different if something was missing.
    """
    filled, at, in_scan, restarts = bytearray(data[:2]), 2, False, 0
    while marker := re.compile(rb"\xff[\x01-\xfe]").search(data, at):
        kind = data[marker.start() + 1]
        end = marker.end()
        if kind != 0x01 and not 0xD0 <= kind <= 0xD9:
            end += struct.unpack_from(">H", data, end)[0]
        if not in_scan and data[at : marker.start()].strip(b"\0\xff"):  # some cameras pad with these
            return "stray bytes stand between its segments"
        filled += data[at : marker.start()] + (_FILLER if in_scan else b"") + data[marker.start() : end]
        if kind == 0xD9:
            break
        if 0xD0 <= kind <= 0xD7:
            if kind != 0xD0 + restarts % 8:
                return "its parts are out of order"
            restarts += 1
        elif kind == 0xDA:
            restarts = 0
        at, in_scan = end, kind == 0xDA or 0xD0 <= kind <= 0xD7
    else:
        return "the file ends before the picture does"
    with Image.open(io.BytesIO(filled), formats=("JPEG",)) as again:
        try:
            missing = ImageChops.difference(again, image).getbbox()
        except (OSError, ValueError):
            return "its data are damaged"
    return "a part of the picture is missing" if missing else None
