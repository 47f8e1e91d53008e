"""HEIC: pictures in HEVC, as telephones take them, decoded by libheif.

libheif turns a picture as its container says, and then what its EXIF says of that counts for nothing. It fills what is
missing of a grid of tiles with black and decodes on where data are damaged, so both are looked for here.
"""

import io
import re
import struct
from collections.abc import Iterator
from typing import Any

from kidsnanny.errors import UnsupportedFormatError
from kidsnanny.media.lazy_frames import Decoded, Header, LazyFrames

HOLE = 64
"""Zeros in a row that no coder writes: data are missing."""
BRANDS = re.compile(rb"he[a-z]{2}")
"""Of files whose pictures are in HEVC."""
GAIN_MAPS = ("hdrgainmap", "tonemap", "gainmap")
Box = tuple[bytes, int, int]
"""Kind, start and end of the content."""


def is_heic(data: bytes) -> bool:
    """Whether a file is HEIC by its brands; a file of still pictures in AV1 is AVIF, whatever else it is."""
    if data[4:8] != b"ftyp":
        return False
    (size,) = struct.unpack_from(">I", data)
    brands = [data[at : at + 4] for at in (8, *range(16, min(size, len(data), 512), 4))]
    if brands[0] in (b"mif1", b"mif2", b"msf1"):
        return not {b"avif", b"avis"} & set(brands)
    return bool(BRANDS.fullmatch(brands[0]))


def open_heic(data: bytes) -> LazyFrames:
    """The pictures of a HEIC file, the main one first, measured and not decoded.

    Raises:
        UnsupportedFormatError: it holds a film of pictures and no still one; the message does not name the file.
        EOFError, RuntimeError, SyntaxError, ValueError: libheif does not read it.
    """
    top = {kind for kind, _, _ in boxes(data, 0, len(data))}
    if b"moov" in top and b"meta" not in top:
        raise UnsupportedFormatError("it is an image sequence, and these are not looked at; save its pictures as PNG")
    file = _opened(data)
    main = file.primary_index
    order = [main, *(number for number in range(len(file)) if number != main)]
    told = ("icc_profile",) if _is_turned(data) else ("icc_profile", "exif")
    heads = []
    for image in (file[number] for number in order):
        info: dict[str | tuple[int, int], Any] = {key: value for key in told if (value := image.info.get(key))}
        heads.append(Header(_STRAIGHT.get(image.mode, image.mode), image.size, info))

    def decode(frame: int) -> Decoded:
        image = _opened(data)[order[frame]].to_pillow()
        image.info = {}
        return Decoded(image.convert(_STRAIGHT[image.mode]) if image.mode in _STRAIGHT else image)

    return LazyFrames("HEIC", len(order), heads.__getitem__, decode)


def _is_turned(data: bytes) -> bool:
    """Whether the container turns or mirrors a picture."""
    meta = _inside(data, b"meta", 0, len(data), 4)
    properties = meta and _inside(data, b"iprp", *meta, 0)
    described = properties and _inside(data, b"ipco", *properties, 0)
    return described is not None and any(kind in (b"irot", b"imir") for kind, _, _ in boxes(data, *described))


def _inside(data: bytes, kind: bytes, start: int, end: int, skip: int) -> tuple[int, int] | None:
    """Where the content of the first box of that kind is, behind so many bytes of it."""
    return next(((at + skip, after) for found, at, after in boxes(data, start, end) if found == kind), None)


_STRAIGHT = {"RGBa": "RGBA", "La": "LA"}


def _opened(data: bytes) -> Any:
    import pillow_heif

    return pillow_heif.open_heif(io.BytesIO(data))


def further(data: bytes, pixels: int) -> tuple[list[tuple[str, bytes]], list[str], list[str]]:
    """What a HEIC file holds besides its pictures.

    Args:
        data: the file, which libheif reads.
        pixels: of the largest thumbnail that is decoded.

    Returns:
        Names and files (PNG) of its thumbnails; what no viewer shows; what some viewers show and is not looked at.
    """
    thumbnails, hidden, missed = [], [], []
    for image in _opened(data):
        for number in range(len(image.info.get("thumbnails", ()))):
            try:
                small = image.get_thumbnail(number)
                if small.size[0] * small.size[1] > pixels:
                    missed.append(f"a thumbnail of {small.size[0]}x{small.size[1]} pixels is too large to look at")
                    continue
                file = io.BytesIO()
                small.to_pillow().save(file, "PNG", compress_level=1)
                thumbnails.append(("its thumbnail", file.getvalue()))
            except (EOFError, OSError, RuntimeError, SyntaxError, ValueError):
                hidden.append("its thumbnail does not decode")
        hidden += ["its depth map was not looked at"] * bool(image.info.get("depth_images"))
        for kind in image.info.get("aux", ()):
            name = kind.rpartition(":")[2]
            what = "its HDR gain map" if name in GAIN_MAPS else f"its auxiliary picture {name[:40]!r}"
            hidden.append(f"{what} was not looked at")
    if any(kind == b"moov" for kind, _, _ in boxes(data, 0, len(data))):
        missed.append("it also holds an image sequence, which was not looked at; save its pictures as PNG")
    return thumbnails, list(dict.fromkeys(hidden)), missed


def boxes(data: bytes, start: int, end: int) -> Iterator[Box]:
    """The boxes of an ISO base media file between two places, as far as they are whole."""
    at = start
    while at + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, at)
        head = 8
        if size == 1 and at + 16 <= end:
            (size,), head = struct.unpack_from(">Q", data, at + 8), 16
        size = size or end - at
        if size < head or at + size > end:
            return
        yield kind, at + head, at + size
        at += size


def damage(data: bytes) -> str | None:
    """What is missing of a HEIC or AVIF file that a decoder takes in silence; None if all of it is there.

    Zeros in place of data, as an interrupted download leaves them, are found in HEVC, where three of them never stand
    in a row, and in AV1, whose arithmetic coder does not write HOLE of them.
    """
    meta = _inside(data, b"meta", 0, len(data), 4)
    table = meta and _inside(data, b"iloc", *meta, 0)
    items = meta and _inside(data, b"iinf", *meta, 0)
    if not table:
        return None  # its decoder says so
    kinds = dict(_items(data, *items)) if items else {}
    try:
        read = 0
        for item, extents in _places(data, *table):
            if any(start + length > len(data) for start, length in extents):
                return "the file ends before the picture does"
            if kinds.get(item) == b"hvc1" and read <= len(data):
                content = b"".join(data[start : start + length if length else None] for start, length in extents)
                read += len(content)
                if not _is_whole_hevc(content):
                    return "its data are damaged"
            elif kinds.get(item) == b"av01" and any(
                bytes(HOLE) in data[start : start + length if length else None] for start, length in extents
            ):
                return "a part of its data is missing, with zeros in its place"
    except struct.error:
        return "its table of contents is damaged"
    return None


def _items(data: bytes, start: int, end: int) -> Iterator[tuple[int, bytes]]:
    """Number and kind of each item."""
    version = data[start]
    for _, at, _ in boxes(data, start + (8 if version else 6), end):
        if data[at] == 2:
            number, _, kind = struct.unpack_from(">HH4s", data, at + 4)
        elif data[at] == 3:
            number, _, kind = struct.unpack_from(">IH4s", data, at + 4)
        else:
            continue
        yield number, kind


def _places(data: bytes, start: int, end: int) -> Iterator[tuple[int, list[tuple[int, int]]]]:
    """Each item that lies in the file itself, and where: start and length of its pieces.

    Raises:
        struct.error: the table is not whole.
    """
    at, version = start + 6, data[start]
    sizes = data[start + 4 : start + 6]
    offset, length, base, index = sizes[0] >> 4, sizes[0] & 15, sizes[1] >> 4, sizes[1] & 15

    def number(size: int) -> int:
        nonlocal at
        at += size
        if at > end:
            raise struct.error("the table ends early")
        return int.from_bytes(data[at - size : at], "big")

    if not (offset or length):
        raise struct.error("entries of no size")
    for _ in range(number(4 if version == 2 else 2)):
        item = number(4 if version == 2 else 2)
        method = number(2) & 15 if version else 0
        source = number(2)
        first, extents = number(base), []
        for _ in range(number(2)):
            number(index if version else 0)
            extents.append((first + number(offset), number(length)))
        if method == source == 0:
            yield item, extents


def _is_whole_hevc(content: bytes) -> bool:
    """Whether data are units of HEVC, each behind its length in four bytes, and as they must be."""
    at = 0
    while at + 4 <= len(content):
        (length,) = struct.unpack_from(">I", content, at)
        unit = content[at + 4 : at + 4 + length]
        if len(unit) < max(length, 2) or _FORBIDDEN.search(unit):
            return False
        at += 4 + length
    return at == len(content)


_FORBIDDEN = re.compile(rb"\0\0[\0-\2]")
