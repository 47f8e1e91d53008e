"""How much work a file's structure announces, counted by a walk over the file before any decoder sees it.

Pixels and bytes say little about time: one progressive JPEG may pass over its pixels ten thousand times, and a PNG may
consist of millions of empty chunks. The limits here lie far above what programs write and people photograph.
"""

import re
import struct
from dataclasses import dataclass, field

SCANS = 500
"""Of a JPEG; progressive ones have about ten."""
SCANNED = 4_000_000_000
"""Pixels that a JPEG's scans pass over, each component counted."""
SEGMENTS = 4_096
"""Of a JPEG, outside its scans: 64 MiB in the longest segments are 1,024."""
CHUNKS = 100_000
"""Of a PNG, WebP or AVIF."""
BLOCKS = 100_000
"""Of a GIF: frames, comments and other extensions."""
SUB_BLOCKS = 1_000_000
"""Of a GIF: 64 MiB in the longest ones are 262,144."""
PAGES = 100_000
TAGS = 4_096
"""Of one page of a TIFF."""
VALUES = 200_000
"""Of one numeric tag of a TIFF: strips, tiles and sub-directories among them."""
RUN_BYTES = 2**20
"""Of a run-length BMP, which is decoded in Python."""
COEFFICIENTS = 700 * 10**6
"""Bytes that a JPEG of several scans keeps until the last."""

_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF})


@dataclass(slots=True)
class JpegLayout:
    """Where the parts of a JPEG are."""

    end: int
    """Behind its end marker, or the file's end if it has none."""
    segments: list[tuple[int, int, int]] = field(default_factory=list)
    """Marker, start and end of the payload."""
    scans: int = 0
    scanned: int = 0
    """Pixels that the scans pass over, each component counted."""
    coefficients: int = 0
    """Bytes of the largest frame's."""


def excess(data: bytes) -> str | None:
    """What there is too much of in a file, with the limit; None if a decoder may be given it."""
    try:
        if data.startswith(b"\xff\xd8"):
            return _of_jpeg(walk_jpeg(data))
        if data.startswith(b"\x89PNG"):
            return _of_chunks(data, 8, ">I4x", 12)
        if data.startswith(b"RIFF"):
            return _of_chunks(data, 12, "<4xI", 8)
        if data[4:8] == b"ftyp":
            return _of_chunks(data, 0, ">I4x", 0)
        if data.startswith(b"GIF8"):
            return _of_gif(data)
        if data.startswith((b"II", b"MM")):
            return _of_tiff(data)
        if data.startswith(b"BM"):
            return _of_bmp(data)
    except (IndexError, struct.error):
        pass  # it ends early, and the decoder says so
    return None


def walk_jpeg(data: bytes, start: int = 0) -> JpegLayout:
    """The layout of the JPEG that begins there. It stops at the first limit that is passed."""
    layout, at, pixels = JpegLayout(len(data)), start + 2, 0
    while found := _MARKER.search(data, at):
        at, marker = found.start(), data[found.start() + 1]
        if marker == 0xD9:
            layout.end = at + 2
            break
        if marker in (0x01, 0xD8):
            at += 2
            continue
        if at + 4 > len(data):
            break
        (length,) = struct.unpack_from(">H", data, at + 2)
        layout.segments.append((marker, at + 4, at + 2 + length))
        if marker in _FRAMES and at + 10 <= len(data):
            height, width, components = struct.unpack_from(">HHB", data, at + 5)
            pixels = width * height
            factors = [(one >> 4) * (one & 15) for one in data[at + 11 : at + 2 + length : 3][:components]]
            stored = pixels * sum(factors) * 2 // max([*factors, 1])
            layout.coefficients = max(layout.coefficients, stored)
        elif marker == 0xDA:
            layout.scans += 1
            layout.scanned += pixels * data[at + 4] if at + 4 < len(data) else 0
        at += 2 + max(length, 2)
        if (
            len(layout.segments) > SEGMENTS + SCANS
            or layout.scans > SCANS
            or (layout.scans > 1 and layout.scanned > SCANNED)
        ):
            break
    return layout


def _of_jpeg(layout: JpegLayout) -> str | None:
    if layout.scans > SCANS:
        return f"it has more than {SCANS} scans"
    if layout.scans > 1 and layout.scanned > SCANNED:
        return f"its scans pass over more than {SCANNED:,} pixels"
    if len(layout.segments) - layout.scans > SEGMENTS:
        return f"it has more than {SEGMENTS:,} segments"
    several = layout.scans > 1 or any(marker in (0xC2, 0xC6, 0xCA, 0xCE) for marker, _, _ in layout.segments)
    if several and layout.coefficients > COEFFICIENTS:
        return f"its scans keep {layout.coefficients:,} bytes until the last, more than {COEFFICIENTS:,}"
    return None


def _of_chunks(data: bytes, at: int, length: str, extra: int) -> str | None:
    """A file of chunks or boxes, each with its length; `extra` bytes of a chunk are not in its length."""
    for _ in range(CHUNKS):
        if at >= len(data):
            return None
        (size,) = struct.unpack_from(length, data, at)
        if extra == 8:
            size += size & 1  # RIFF pads
        if (size := size + extra) < 8:
            return None  # an AVIF box that goes on to the end, or one with a long size: the last, as a rule
        if data[at + 4 : at + 8] == b"IEND" and extra == 12:
            return None
        at += size
    return f"it has more than {CHUNKS:,} chunks"


def _of_gif(data: bytes) -> str | None:
    at = 13 + (6 << (data[10] & 7) if data[10] & 0x80 else 0)
    blocks = sub_blocks = 0
    while (kind := data[at]) != 0x3B:
        if kind == 0x2C:
            at += 11 + (6 << (data[at + 9] & 7) if data[at + 9] & 0x80 else 0)
        elif kind == 0x21:
            at += 2
        else:  # stray bytes, which decoders pass over
            at += 1
            sub_blocks += 1
            if sub_blocks > SUB_BLOCKS:
                break
            continue
        while size := data[at]:
            at += size + 1
            sub_blocks += 1
            if sub_blocks > SUB_BLOCKS:
                break
        at += 1
        blocks += 1
        if blocks > BLOCKS:
            return f"it has more than {BLOCKS:,} frames and comments"
        if sub_blocks > SUB_BLOCKS:
            break
    return f"it has more than {SUB_BLOCKS:,} blocks of data" if sub_blocks > SUB_BLOCKS else None


def tiff_pages(data: bytes) -> list[int]:
    """The offsets of the pages of a TIFF, as many as `PAGES` and one more; a ring ends where it closes."""
    order, count, entry, offset, at = _tiff_form(data)
    pages: dict[int, None] = {}
    while at and at not in pages and len(pages) <= PAGES:
        pages[at] = None
        try:
            (tags,) = struct.unpack_from(order + count, data, at)
            (at,) = struct.unpack_from(order + offset, data, at + struct.calcsize(order + count) + tags * entry)
        except (OverflowError, struct.error):
            break  # the page is not whole, and the decoder says so
    return list(pages)


def _tiff_form(data: bytes) -> tuple[str, str, int, str, int]:
    """Byte order, the formats of a directory's count, the size of a tag, the format of an offset, the first offset."""
    order = "<" if data[:2] == b"II" else ">"
    if struct.unpack_from(order + "H", data, 2) == (43,):
        return order, "Q", 20, "Q", struct.unpack_from(order + "Q", data, 8)[0]
    return order, "H", 12, "I", struct.unpack_from(order + "I", data, 4)[0]


def _of_tiff(data: bytes) -> str | None:
    order, count, entry, offset, _ = _tiff_form(data)
    pages = tiff_pages(data)
    if len(pages) > PAGES:
        return f"it has more than {PAGES:,} pages"
    for at in pages[:1_000]:
        (tags,) = struct.unpack_from(order + count, data, at)
        if tags > TAGS:
            return f"a page of it has {tags:,} tags, more than {TAGS:,}"
        at += struct.calcsize(order + count)
        for _ in range(tags):
            tag, kind, values = struct.unpack_from(f"{order}HH{offset}", data, at)
            if values > VALUES and kind not in (1, 2, 6, 7):  # bytes and text are not taken apart
                return f"its tag {tag} has {values:,} values, more than {VALUES:,}"
            at += entry
    return None


def _of_bmp(data: bytes) -> str | None:
    (head,) = struct.unpack_from("<I", data, 14)
    if head < 40 or struct.unpack_from("<I", data, 30)[0] not in (1, 2):
        return None
    (start,) = struct.unpack_from("<I", data, 10)
    if len(data) - start > RUN_BYTES:
        return f"it has {len(data) - start:,} bytes of run-length codes, more than {RUN_BYTES:,}"
    return None
