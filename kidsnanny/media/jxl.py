"""JPEG XL by libjxl, which turns a picture as its header says, and refuses one that is not whole."""

import importlib.util

from PIL import Image

from kidsnanny.errors import UnsupportedFormatError
from kidsnanny.media.lazy_frames import Decoded, Header, LazyFrames

BEGINNINGS = (b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
"""By the number of channels."""


def is_jxl(data: bytes) -> bool:
    return data.startswith(BEGINNINGS)


def open_jxl(data: bytes) -> LazyFrames:
    """The picture, measured and not decoded.

    Raises:
        UnsupportedFormatError: the extra `jxl` is not installed, or it is an animation; the message does not name the
            file.
        RuntimeError: libjxl does not read its header.
    """
    if importlib.util.find_spec("pylibjxl") is None:
        said = "pip install 'kidsnanny[jxl]' to have it looked at, or save it as PNG"
        raise UnsupportedFormatError(f"it is a JPEG XL, which is not looked at; {said}")
    import pylibjxl

    about = pylibjxl.probe(data)
    if about["have_animation"]:
        said = "it is an animation in JPEG XL, of which the frames are not looked at; save it as WebP or GIF"
        raise UnsupportedFormatError(said)
    mode = MODES.get(about["channels"])
    if mode is None:
        raise UnsupportedFormatError(f"it is a JPEG XL of {about['channels']} channels; save it as PNG")
    size = about["width"], about["height"]

    def decode(_: int) -> Decoded:
        pixels, told = pylibjxl.decode(data, metadata=True)
        image = Image.fromarray(pixels)
        # Where libjxl cannot convert to an unusual profile, its pixels are linear and the profile is still the file's:
        # nothing says so, so they are looked at both ways.
        image.info = {"icc_profile": told["icc"], "gamma": 1.0} if told.get("icc") else {}
        return Decoded(image)

    return LazyFrames("JXL", 1, lambda _: Header(mode, size, {}), decode)
