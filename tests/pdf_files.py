"""Small PDFs, written object by object."""

import zlib
from collections.abc import Sequence

from conftest import encoded
from PIL import Image

SIZE = (200, 100)
"""Of a page, in points."""


def stream(content: bytes, about: bytes = b"", packed: bool = True) -> bytes:
    if packed:
        content, about = zlib.compress(content), about + b"/Filter/FlateDecode"
    return b"<<%b/Length %d>>\nstream\n%b\nendstream" % (about, len(content), content)


def words(*lines: str, colour: str = "0 g", mode: int = 0, size: int = 14) -> bytes:
    """Instructions that write a few lines; mode 3 is invisible."""
    rows = "".join(f"({line}) Tj 0 -{size + 4} Td " for line in lines)
    return f"BT {colour} {mode} Tr /F {size} Tf 10 70 Td {rows}ET\n".encode()


def drawn(image: Image.Image) -> tuple[bytes, bytes]:
    """An image object, as a JPEG, and instructions that fill a page with it."""
    about = b"/Type/XObject/Subtype/Image/Width %d/Height %d/BitsPerComponent 8" % image.size
    about += b"/ColorSpace/DeviceRGB/Filter/DCTDecode"
    fill = b"q %d 0 0 %d 0 0 cm /I Do Q\n" % SIZE
    return stream(encoded(image, "JPEG", quality=95), about, packed=False), fill


def pdf(
    *pages: bytes,
    image: bytes = b"null",
    size: tuple[int, int] = SIZE,
    catalog: bytes = b"",
    page: bytes = b"",
    more: Sequence[bytes] = (),
) -> bytes:
    """A document.

    Args:
        pages: the instructions of each page.
        image: an object that they may draw as /I.
        catalog: further entries of the catalog, and `page` of each page.
        more: further objects, numbered from 10 on.
    """
    kids = b" ".join(b"%d 0 R" % (10 + len(more) + 2 * n) for n in range(len(pages)))
    objects = {
        1: b"<</Type/Catalog/Pages 2 0 R%b>>" % catalog,
        2: b"<</Type/Pages/Count %d/Kids[%b]>>" % (len(pages), kids),
        3: b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>",
        4: image,
    }
    objects |= {10 + n: one for n, one in enumerate(more)}
    for n, instructions in enumerate(pages):
        at = 10 + len(more) + 2 * n
        resources = b"/Resources<</Font<</F 3 0 R>>/XObject<</I 4 0 R>>>>"
        head = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 %d %d]" % size
        objects[at] = head + resources + b"/Contents %d 0 R%b>>" % (at + 1, page)
        objects[at + 1] = stream(instructions)
    data, places = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", {}
    for number, content in objects.items():
        places[number] = len(data)
        data += b"%d 0 obj\n%b\nendobj\n" % (number, content)
    table = b"".join(b"%d 1\n%010d 00000 n \n" % one for one in places.items())
    start, most = len(data), max(places) + 1
    return data + b"xref\n0 1\n0000000000 65535 f \n%btrailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (
        table,
        most,
        start,
    )
