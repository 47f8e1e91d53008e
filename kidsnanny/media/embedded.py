"""What a picture file holds besides its frames: thumbnails, further pictures, and whatever follows its end."""

import io
import re
import struct
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image

from kidsnanny.media import heic, pdf
from kidsnanny.media.decoders import open_image
from kidsnanny.media.work import excess, tiff_pages, walk_jpeg

RGB = npt.NDArray[np.uint8]
FOUND = 16
"""Further pictures that are looked at."""
TRIED = 64
"""Places that look like the beginning of one."""
THUMBNAIL = 500_000
"""Pixels of a further picture that may be the same as the main one, and is compared instead of looked at."""
BUSY = 64
"""Levels of local contrast from which on more of it excuses no larger difference."""
BEGINNINGS = (
    (b"\xff\xd8\xff", 0),
    (b"\x89PNG\r\n\x1a\n", 0),
    (b"GIF87a", 0),
    (b"GIF89a", 0),
    (b"WEBP", 8),
    (b"ftypavi", 4),
    (b"ftyphei", 4),
    (b"ftypmif1", 4),
)
"""Bytes, and how far behind the beginning of a picture they stand."""
BEHIND = (
    re.compile(rb"BM.{4}\0{4}.{4}[\x0c\x28\x34\x38\x40\x6c\x7c]\0{3}", re.DOTALL),
    re.compile(rb"II\*\0.{3}\0|MM\0\*\0.{3}", re.DOTALL),
)
"""BMP and TIFF, which begin with too little to be looked for anywhere but behind the end."""
BLOBS = (
    (b"ftyp", 4, "a video (MP4)"),
    (b"\x1aE\xdf\xa3", 0, "a video (Matroska)"),
    (b"PK\x03\x04", 0, "an archive (ZIP)"),
    (b"Rar!", 0, "an archive (RAR)"),
    (b"7z\xbc\xaf\x27\x1c", 0, "an archive (7z)"),
    (b"%PDF", 0, "a PDF document"),
)


class Embedded(NamedTuple):
    """A further picture in a file."""

    name: str
    """Like "its EXIF thumbnail" or "a picture behind its end"."""
    data: bytes


class Contents(NamedTuple):
    """What a file holds besides its frames."""

    pictures: tuple[Embedded, ...]
    remarks: tuple[str, ...]
    """What is named and not looked at, for no viewer of pictures shows it."""
    missed: tuple[str, ...] = ()
    """What a viewer may show and nobody has looked at."""


class _Region(NamedTuple):
    start: int
    end: int
    name: str


def contents(image: Image.Image, data: bytes) -> Contents:
    """Search a file, of which a JPEG's scans and a PNG's pixels are left out, for further pictures.

    Args:
        image: the file as Pillow has opened it.
        data: the file.
    """
    frames = frozenset(getattr(image, "_MpoImageFile__mpoffsets", ()))  # these are looked at anyway
    end = _end(image, data)
    pictures: list[Embedded] = []
    taken: list[tuple[int, int]] = []
    tried, more = 0, False
    for region in (*_metadata(image, data), _Region(end, len(data), "a picture behind its end")):
        at = region.start
        for start in _beginnings(data, region.start, region.end, BEHIND if region.start == end else ()):
            if start < at:
                continue  # inside the one before
            if start in frames:
                at = walk_jpeg(data, start).end
                taken.append((start, at))
                continue
            tried += 1
            if tried > TRIED or len(pictures) == FOUND:
                more = True
                break
            if not (after := _picture(data, start, region.end)):
                continue
            pictures.append(Embedded(region.name, data[start:after]))
            taken.append((start, after))
            at = after
    pictures += _directories(image, data)
    remarks = list(_remarks(data, end, taken))
    missed: list[str] = []
    if image.format == "HEIC":
        thumbnails, hidden, missed = heic.further(data, THUMBNAIL)
        pictures += [Embedded(*thumbnail) for thumbnail in thumbnails]
        remarks += hidden
    elif image.format == "PDF":
        hidden, missed = pdf.further(data)
        remarks += hidden
    pictures = list({picture.data: picture for picture in reversed(pictures)}.values())[::-1]  # each once
    if more or len(pictures) > FOUND:
        missed.append("there are more further pictures in the file, or beginnings of such, than are looked at")
    return Contents(tuple(pictures[:FOUND]), tuple(remarks), tuple(missed))


def same(main: RGB, thumbnail: RGB) -> bool:
    """Whether a thumbnail shows what the picture shows, at its own size and perhaps between black bars.

    Where the picture is smooth, a difference of 8 levels counts, as faint text has; where it is busy, more than the
    local contrast. Eight such pixels make another picture.

    Args:
        main: (height, width, 3) uint8, the picture.
        thumbnail: (height, width, 3) uint8, no larger.
    """
    import cv2

    height, width = thumbnail.shape[:2]
    if width > main.shape[1] or height > main.shape[0]:
        return False
    if _close(cv2.resize(main, (width, height), interpolation=cv2.INTER_AREA), thumbnail):
        return True
    scale = min(width / main.shape[1], height / main.shape[0])
    across, down = max(1, round(main.shape[1] * scale)), max(1, round(main.shape[0] * scale))
    if max(width - across, height - down) <= 2 or min(across, down) <= 8:
        return False
    left, top = (width - across) // 2, (height - down) // 2
    bars = thumbnail.copy()
    bars[max(0, top - 1) : top + down + 1, max(0, left - 1) : left + across + 1] = 0
    small = cv2.resize(main, (across, down), interpolation=cv2.INTER_AREA)
    inside = thumbnail[top : top + down, left : left + across]  # bars are not always where they should be: less an edge
    return bool(bars.max() <= 24) and _close(small[1:-1, 1:-1], inside[1:-1, 1:-1])


def _close(small: npt.NDArray[Any], thumbnail: RGB) -> bool:
    import cv2

    blurred, other = cv2.blur(small, (2, 2)), cv2.blur(thumbnail, (2, 2))
    kernel = np.ones((5, 5), np.uint8)
    contrast = np.minimum(cv2.subtract(cv2.dilate(blurred, kernel), cv2.erode(blurred, kernel)), BUSY)
    off = cv2.absdiff(blurred, other)
    return int(np.count_nonzero((off > 8 + contrast).any(axis=2))) < 8


def _beginnings(data: bytes, start: int, end: int, more: Iterable[re.Pattern[bytes]]) -> Iterator[int]:
    """Where pictures seem to begin, in order, one more than are tried at most of each kind."""
    found = []
    for magic, behind in BEGINNINGS:
        at = start
        for _ in range(TRIED + 1):
            if (at := data.find(magic, at, end)) < 0:
                break
            found.append(at - behind)
            at += len(magic)
    found += [match.start() for pattern in more for match in islice(pattern.finditer(data, start, end), TRIED + 1)]
    yield from sorted(at for at in found if at >= start)


def _picture(data: bytes, start: int, limit: int) -> int | None:
    """Where the picture that begins there ends; None if none does."""
    if data[start : start + 2] == b"\xff\xd8":
        end = min(walk_jpeg(data, start).end, limit)
    elif data[start : start + 4] == b"RIFF":
        end = min(start + 8 + struct.unpack_from("<I", data, start + 4)[0], limit)
    elif data[start : start + 4] == b"\x89PNG" and (at := data.find(b"IEND", start, limit)) >= 0:
        end = at + 8
    else:
        end = limit
    part = data[start:end]
    if excess(part):
        return end  # whoever looks at it will say so
    try:
        with open_image(part) as image:
            return end if image.width and image.height else None
    except Image.DecompressionBombError:
        return end
    except Exception:  # these bytes are something else
        return None


def _end(image: Image.Image, data: bytes) -> int:
    """Where the picture ends; the file's end where nothing says so."""
    from kidsnanny.media.integrity import walk_gif

    try:
        match image.format:
            case "JPEG" | "MPO":
                return walk_jpeg(data).end
            case "PNG":
                return [end for _, _, end in _chunks(data)][-1] + 4
            case "WEBP":
                return int(8 + struct.unpack_from("<I", data, 4)[0])
            case "GIF":
                return walk_gif(data)[1]
            case "BMP":
                return max(int(struct.unpack_from("<I", data, 2)[0]), 54)
            case "PDF":
                return data.rindex(b"%%EOF") + 5
            case "AVIF" | "HEIC":
                at = 0
                while data[at + 4 : at + 8] in (b"ftyp", b"meta", b"mdat", b"moov", b"free", b"skip", b"uuid"):
                    (size,) = struct.unpack_from(">I", data, at)
                    if size < 8:
                        return len(data)
                    at += size
                return at
    except (IndexError, ValueError, struct.error):
        pass  # it is damaged, which is named elsewhere
    return len(data)


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Kind, start and end of each chunk of a PNG."""
    at, kind = 8, b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", data, at)
        yield kind, at + 8, at + 8 + length
        at += 12 + length


def _metadata(image: Image.Image, data: bytes) -> Iterator[_Region]:
    """The parts of the file in which no pixels of its frames are."""
    if image.format in ("JPEG", "MPO"):
        for marker, start, end in walk_jpeg(data).segments:
            if 0xE0 <= marker <= 0xEF or marker == 0xFE:
                head = data[start : start + 4]
                names = {
                    b"Exif": "its EXIF thumbnail",
                    b"Phot": "its Photoshop thumbnail",
                    b"JFXX": "its JFXX thumbnail",
                }
                yield _Region(start, end, names.get(head, "a picture in its metadata"))
    elif image.format == "PNG":
        try:
            for kind, start, end in _chunks(data):
                if kind not in (b"IDAT", b"fdAT"):
                    yield _Region(start, end, "its EXIF thumbnail" if kind == b"eXIf" else "a picture in its metadata")
        except struct.error:
            return  # it ends early, which is named elsewhere
    elif image.format == "PDF":
        return  # the pictures in it are on its pages
    elif image.format in ("WEBP", "GIF", "BMP", "AVIF", "HEIC") or image.info.get("compression") not in (
        "jpeg",
        "tiff_jpeg",
    ):
        yield _Region(8 if image.format != "WEBP" else 12, _end(image, data), "a picture in its metadata")


def _directories(image: Image.Image, data: bytes) -> Iterator[Embedded]:
    """Pictures that a directory of a TIFF, or of EXIF, points at: each as a TIFF whose first page it is."""
    try:
        if image.format == "TIFF":
            found = image.tag_v2.get(ExifTags.Base.SubIFDs) or ()  # type: ignore[attr-defined]
            offsets = found if isinstance(found, tuple) else (found,)
            tiff, name = data, "a picture in a sub-directory"
        else:
            tiff, name = (image.info.get("exif") or b"").removeprefix(b"Exif\0\0"), "its EXIF thumbnail"
            offsets = tuple(tiff_pages(tiff)[1:2])
    except (IndexError, struct.error, SyntaxError):
        return
    for offset in offsets[: FOUND + 1]:
        order = "<" if tiff[:2] == b"II" else ">"
        if tiff[2:4] in (b"*\0", b"\0*"):
            alone = tiff[:4] + struct.pack(order + "I", offset) + tiff[8:]
            try:
                with Image.open(io.BytesIO(alone), formats=("TIFF",)) as page:
                    if page.width and page.height and page.info.get("compression") != "jpeg":
                        yield Embedded(name, alone)
            except Exception:  # it describes no picture: GPS, a maker's notes
                continue


def _remarks(data: bytes, end: int, taken: list[tuple[int, int]]) -> Iterator[str]:
    """What follows the end and is no picture."""
    for start, after in taken:
        if start >= end and not data[end:start].strip(b"\0\r\n "):
            end = after
    tail = data[end:]
    if not tail.strip(b"\0\r\n "):
        return
    for magic, behind, what in BLOBS:
        if (at := tail.find(magic)) >= behind:
            yield f"{what} behind its end, {len(tail) - at + behind:,} bytes, was not looked at"
            return
    yield f"{len(tail):,} bytes behind its end, of no known kind, were not looked at"
