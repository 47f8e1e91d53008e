"""Which decoder reads a file: always by its content, and none but those named here.

libheif, libjxl and PDFium are called directly. They are not registered with Pillow, where an application that imports
kidsnanny would find them.
"""

import io

from PIL import Image

from kidsnanny.media import heic, jxl, pdf
from kidsnanny.media.limits import DEFAULT_LIMITS, Limits

PILLOW = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
FORMATS = (*PILLOW, "HEIC")
"""What is always read; PDF and JPEG XL are as well where the extras `pdf` and `jxl` are installed."""


def open_image(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Image.Image:
    """A picture, measured and not decoded.

    Raises:
        PIL.UnidentifiedImageError: it is in none of the formats, or its header is damaged.
        InputError: it cannot be looked at, and the message, which does not name it, says why.
        Exception: whatever decoders raise.
    """
    if heic.is_heic(data):
        return heic.open_heic(data)
    if jxl.is_jxl(data):
        return jxl.open_jxl(data)
    if pdf.is_pdf(data):
        return pdf.open_pdf(data, limits)
    return Image.open(io.BytesIO(data), formats=PILLOW)
