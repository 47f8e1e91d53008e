"""PDF by PDFium: each page is a frame, and its text layer comes with it.

PDFium may be called by one thread at a time, draws what is left of damaged data in silence, and is written in C++: what
a file unpacks to is measured before it sees any of it.
"""

import importlib.util
import math
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kidsnanny.budget import out_of_time
from kidsnanny.errors import CorruptPictureError, PictureTooLargeError, UnsupportedFormatError
from kidsnanny.media.gate import Slots
from kidsnanny.media.heic import HOLE
from kidsnanny.media.lazy_frames import Decoded, Header, LazyFrames
from kidsnanny.media.limits import Limits
from kidsnanny.records import Box, TextLine

DPI = 150
"""Dots per inch: letters of 6 points are legible to the OCR."""
COARSE = 72
"""Below this many, small letters may be missed."""
PAGE = 16_000_000
"""Pixels of a page at most: a poster is drawn with fewer dots an inch."""
UNPACKED = 200_000_000
"""Bytes that all streams without pictures may unpack to."""
PICTURES = 400_000_000
"""Bytes of pictures that are unpacked to see whether they are whole."""
NOTES = 1_000
"""Annotations of a page that are looked through."""
CHARACTERS = 200_000
"""Of the text layer of a page."""
PLAYED = {17: "an attached file", 18: "a sound", 19: "a film", 21: "a film", 25: "a 3D model", 26: "a film"}
"""Kinds of annotation, by PDFium's numbers, that hold more than they show."""

_only = Slots(1)
_HEAD = re.compile(rb".{0,1000}?%PDF-\d", re.DOTALL)
_STREAM = re.compile(rb"(?<!end)stream\r?\n")
_STREAMS = re.compile(rb"(?<!end)stream\r?\n.*?endstream", re.DOTALL)
_FILTERS = re.compile(rb"/Filter\s*(\[[^\]]*\]|/\w+)")
_SIDES = re.compile(rb"/(?:Width|Height)\s+(\d+)(?!\d*\s+\d+\s+R)")
_LAYERS_OFF = re.compile(rb"/OFF\s*\[\s*\d")


def installed() -> bool:
    """Whether the extra `pdf` is."""
    return importlib.util.find_spec("pypdfium2") is not None


def is_pdf(data: bytes) -> bool:
    """Whether a file is a PDF, of which other bytes may stand before the beginning."""
    return bool(_HEAD.match(data))


def open_pdf(data: bytes, limits: Limits) -> LazyFrames:
    """The pages, measured and not drawn.

    Raises:
        InputError: the document cannot be looked at; the message does not name it.
    """
    if not installed():
        raise UnsupportedFormatError(_WITHOUT, cause="document")
    _check_streams(data, limits)
    with _document(data) as document:
        count = len(document)
    if not count:
        raise CorruptPictureError("it is a PDF without pages, so there is nothing to look at")

    def header(page: int) -> Header:
        with _document(data) as document:
            return Header("RGB", _pixels(document.get_page_size(page), limits), {})

    def decode(page: int) -> Decoded:
        with _document(data) as document:
            inches = [side / 72 for side in document.get_page_size(page)]
            size = _pixels(document.get_page_size(page), limits)
            found = document[page]
            image, (lines, missed) = _drawn(document, found, size), _written(found, size)
        if (dots := size[0] / max(inches[0], 1e-9)) < COARSE and max(size) > 1:
            told = f"page {page + 1}, {inches[0]:.0f} x {inches[1]:.0f} inches, was drawn with {dots:.0f} dots an inch"
            missed.append(f"{told}, so that small letters may be missed")
        return Decoded(image, tuple(lines), "; ".join(missed) or None)

    return LazyFrames("PDF", count, header, decode)


def further(data: bytes) -> tuple[list[str], list[str]]:
    """What a document holds besides its pages: what no reader shows unasked, and what it offers and is not looked
    at."""
    import pypdfium2.raw as pdfium

    with _document(data) as document:
        files = document.count_attachments()
        programs = pdfium.FPDFDoc_GetJavaScriptActionCount(document)
    missed = []
    if files > 0:
        which = "1 attached file was" if files == 1 else f"{files} attached files were"
        missed.append(f"{which} not looked at; save and check {'it' if files == 1 else 'them'}")
    if any(_LAYERS_OFF.search(part) for part in (data, *_object_streams(data))):
        missed.append("layers that are switched off were not looked at")
    return ["its JavaScript was not run"] if programs > 0 else [], missed


def damage(data: bytes) -> str | None:
    """What is wrong with a document that PDFium has opened; None if all of it is there."""
    if b"%%EOF" not in data[-2048:]:
        return "the file ends before the document does"
    start = re.findall(rb"startxref\s+(\d+)", data[-4096:])
    before = data.find(b"%PDF-")
    places = [int(start[-1]) + shift for shift in (0, before)] if start else []
    if not any(re.match(rb"\s*(?:xref|\d+\s+\d+\s+obj)", data[at : at + 64]) for at in places):
        return "its table of objects is damaged, so readers have to guess what belongs to it"
    if b"/Encrypt" in data:
        return None  # its streams are unreadable here
    if bytes(HOLE) in _STREAMS.sub(b"", data):
        return "a part of it is missing, with zeros in its place"
    left = PICTURES
    for about, content in _streams(data):
        if content is None:
            return "the file ends before the document does"
        filters = _filters(about)
        if filters[:1] == [b"DCTDecode"] and b"\xff\xd9" not in content[-64:]:
            return "a picture in it ends early"
        if filters == [b"DCTDecode"] and left > 0:
            size, whole = _decoded(content)
            left -= size
            if not whole:
                return "a picture in it is damaged"
        if filters[:1] == [b"FlateDecode"] and left > 0:
            size, whole = _unpacked(content, left)
            left -= size
            if not whole and left > 0:
                return "a part of its data is damaged"
    return None


def _decoded(content: bytes) -> tuple[int, bool]:
    """Bytes of a JPEG's pixels, and whether libjpeg decodes it without a warning; PDFium passes over those."""
    import simplejpeg

    content = content[: content.rfind(b"\xff\xd9") + 2]
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(content)
        simplejpeg.decode_jpeg(content, "CMYK" if colours in ("CMYK", "YCCK") else "RGB", strict=True)
    except ValueError:
        return 0, False
    return 3 * height * width, True


def _check_streams(data: bytes, limits: Limits) -> None:
    left = UNPACKED
    for about, content in _streams(data):
        filters = _filters(about)
        if filters.count(b"FlateDecode") + filters.count(b"LZWDecode") + filters.count(b"RunLengthDecode") > 1:
            raise PictureTooLargeError("its data are packed more than once; print it to a new PDF")
        sides = [int(side[:10]) for side in _SIDES.findall(about)]
        if len(sides) == 2:
            if math.prod(sides) > limits.pixels or max(sides) > limits.side:
                bound = f"more than {limits.pixels:,} pixels or {limits.side:,} a side"
                raise PictureTooLargeError(
                    f"a picture in it has sides of {sides[0]:,} and {sides[1]:,} pixels, {bound}"
                )
        elif filters[:1] == [b"FlateDecode"] and content and len(content) * 1032 > left:
            left -= _unpacked(content, left + 1)[0]
        elif filters[:1] == [b"FlateDecode"] and content:
            left -= min(len(content) * 8, left)  # an ordinary ratio; too small for a bomb of its own
        if left < 0:
            raise PictureTooLargeError(f"its data unpack to more than {UNPACKED:,} bytes; print it to a new PDF")


def _streams(data: bytes) -> Iterator[tuple[bytes, bytes | None]]:
    """Dictionary and content of each stream; None for one that does not end."""
    at = 0
    while found := _STREAM.search(data, at):
        begin = max(at, found.start() - 4096)
        about = data[begin : found.start()]
        end = data.find(b"endstream", found.end())
        yield about[about.rfind(b"obj") + 3 :], data[found.end() : end] if end >= 0 else None
        at = end + 9 if end >= 0 else len(data)


def _filters(about: bytes) -> list[bytes]:
    found = _FILTERS.search(about)
    short = {b"Fl": b"FlateDecode", b"DCT": b"DCTDecode", b"LZW": b"LZWDecode"}
    return [short.get(name, name) for name in re.findall(rb"/(\w+)", found[1])] if found else []


def _unpacked(content: bytes, most: int) -> tuple[int, bool]:
    """How many bytes it unpacks to, counted up to `most`, and whether it is whole as far as was counted."""
    stream, size, rest = zlib.decompressobj(), 0, content
    try:
        while not stream.eof and size < most:
            part = stream.decompress(rest, 2**20)
            rest = stream.unconsumed_tail
            size += len(part)
            if not part and not rest:
                return size, False
    except zlib.error:
        return size, False
    return size, True


def _object_streams(data: bytes) -> Iterator[bytes]:
    for about, content in _streams(data):
        if b"/ObjStm" in about and content:
            with_limit = zlib.decompressobj()
            try:
                yield with_limit.decompress(content, 2**24)
            except zlib.error:
                continue


@contextmanager
def _document(data: bytes) -> Iterator[Any]:
    """The document, closed at the end, while no other thread is in PDFium."""
    import pypdfium2
    import pypdfium2.raw as pdfium

    with _only.one():
        try:
            document = pypdfium2.PdfDocument(data)
        except pypdfium2.PdfiumError as error:
            if error.err_code == pdfium.FPDF_ERR_PASSWORD:
                said = "it is a PDF with a password, which is not looked at; save a copy without the password"
                raise UnsupportedFormatError(said, cause="document") from error
            why = "it has no pages" if error.err_code == pdfium.FPDF_ERR_SUCCESS else str(error)
            raise CorruptPictureError(f"it is a PDF that cannot be opened ({why}); get the original again") from error
        try:
            document.init_forms()
            yield document
        finally:
            document.close()


_WITHOUT = (
    "it is a PDF document, which is not looked at; pip install 'kidsnanny[pdf]' to have its pages looked at, or export "
    "them as PNG"
)


def _pixels(points: tuple[float, float], limits: Limits) -> tuple[int, int]:
    """The size that a page of this size, in points, is drawn in."""
    width, height = (max(side, 0.01) * DPI / 72 for side in points)
    scale = min(1.0, (min(PAGE, limits.pixels) / (width * height)) ** 0.5, limits.side / max(width, height))
    return max(1, math.floor(width * scale + 0.01)), max(1, math.floor(height * scale + 0.01))


def _drawn(document: Any, page: Any, size: tuple[int, int]) -> Any:
    """The page as an RGB picture, its forms and annotations included.

    Raises:
        PictureTooLargeError: the picture's time is used up before it is drawn.
    """
    import pypdfium2
    import pypdfium2.raw as pdfium
    from pypdfium2.internal import set_callback

    bitmap = pypdfium2.PdfBitmap.new_native(*size, pdfium.FPDFBitmap_BGRx, rev_byteorder=True)
    bitmap.fill_rect((255, 255, 255, 255), 0, 0, *size)
    place = (0, 0, *size, 0, pdfium.FPDF_ANNOT | pdfium.FPDF_REVERSE_BYTE_ORDER)
    pause = pdfium.IFSDK_PAUSE(version=1)
    set_callback(pause, "NeedToPauseNow", lambda _: out_of_time())
    status = pdfium.FPDF_RenderPageBitmap_Start(bitmap, page, *place, pause)
    pdfium.FPDF_RenderPage_Close(page)
    if status == pdfium.FPDF_RENDER_TOBECONTINUED:
        raise PictureTooLargeError("its time was used up before the page was drawn")
    if status != pdfium.FPDF_RENDER_DONE:
        raise CorruptPictureError("a page of it cannot be drawn; get the original again")
    if document.formenv:
        pdfium.FPDF_FFLDraw(document.formenv, bitmap, page, *place)
    image = bitmap.to_pil().convert("RGB")
    bitmap.close()
    return image


def _written(page: Any, size: tuple[int, int]) -> tuple[list[TextLine], list[str]]:
    """What the page's text layer and its notes say, and which annotations hold more than is looked at."""
    import pypdfium2.raw as pdfium

    text = page.get_textpage()
    count = text.count_chars()
    missed = [f"{count - CHARACTERS:,} characters of its text layer were not read"] if count > CHARACTERS else []
    lines, at = [], 0
    for line in text.get_text_range(0, min(count, CHARACTERS)).splitlines(keepends=True) if count else ():
        if said := " ".join(line.replace("\ufffe", "-").split()):
            inner = at + len(line) - len(line.lstrip()), at + len(line.rstrip()) - 1
            lines.append(_line(said, _box(page, text, inner, count, size)))
        at += len(line)
    text.close()
    for number in range(min(NOTES, pdfium.FPDFPage_GetAnnotCount(page))):
        note = pdfium.FPDFPage_GetAnnot(page, number)
        if what := PLAYED.get(pdfium.FPDFAnnot_GetSubtype(note)):
            missed.append(f"{what} in it was not looked at")
        if said := _contents(note):
            lines.append(_line(said, Box(0, 0, *size)))
        pdfium.FPDFPage_CloseAnnot(note)
    return lines, list(dict.fromkeys(missed))


def _line(said: str, box: Box) -> TextLine:
    return TextLine(text=said, confidence=1.0, box=box, kind="layer")


def _contents(note: Any) -> str:
    """What a note says, in one line."""
    import ctypes

    import pypdfium2.raw as pdfium

    length = min(2 * CHARACTERS, pdfium.FPDFAnnot_GetStringValue(note, b"Contents", None, 0))
    buffer = (ctypes.c_ushort * (length // 2 + 1))()
    pdfium.FPDFAnnot_GetStringValue(note, b"Contents", buffer, length)
    return " ".join(bytes(buffer)[: max(0, length - 2)].decode("utf-16-le", "ignore").split())


def _box(page: Any, text: Any, ends: tuple[int, int], count: int, size: tuple[int, int]) -> Box:
    """Around the first and the last letter of a line, within the page."""
    import ctypes

    import pypdfium2.raw as pdfium

    across, down, x, y = [], [], ctypes.c_int(), ctypes.c_int()
    for end in ends:
        left, bottom, right, top = text.get_charbox(min(end, count - 1))
        for corner in ((left, bottom), (right, top)):
            pdfium.FPDF_PageToDevice(page, 0, 0, *size, 0, *corner, x, y)
            across.append(min(max(x.value, 0), size[0]))
            down.append(min(max(y.value, 0), size[1]))
    return Box(min(across), min(down), max(across), max(down))
