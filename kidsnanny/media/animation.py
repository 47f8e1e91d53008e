"""The frames of GIFs, animated PNGs and animated WebPs as Chromium composes them.

Pillow decodes each frame's own rectangle. How it covers the frames before it is ours, since Pillow fills with colours
what browsers leave transparent, and drops the transparency of some frames.
"""

import io
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from PIL import Image

from kidsnanny.media.colours import eight_bits

CLEAR, RESTORE = 1, 2


class Patch(NamedTuple):
    """A frame's own rectangle."""

    file: bytes
    """A picture of it alone."""
    box: tuple[int, int, int, int]
    """Left, top, width and height, in pixels of the canvas."""
    disposal: int = 0
    """What becomes of it before the next frame: 0 it stays, `CLEAR`, `RESTORE` what was there."""
    over: bool = True
    """Whether what it lets through is what was there; otherwise it replaces that."""
    alone: bool = False
    """Whether it takes no part in the animation."""


def composed(image: Image.Image, data: bytes) -> Iterator[tuple[Image.Image, bool]]:
    """Each frame, and whether a part of it lies outside the canvas, where browsers show nothing.

    Args:
        image: a GIF, PNG or WebP as Pillow has opened it.
        data: its file.

    Raises:
        IndexError, struct.error: the file ends before the picture does.
    """
    patches = {"GIF": _gif_patches, "PNG": _png_patches, "WEBP": _webp_patches}[image.format or ""](data)
    canvas = None
    for patch in patches:
        left, top, width, height = patch.box
        if canvas is None:  # a first frame that is larger makes the canvas larger
            canvas = Image.new("RGBA", (max(image.width, left + width), max(image.height, top + height)))
        shown = canvas if not patch.alone else Image.new("RGBA", canvas.size)
        before = shown.copy() if patch.disposal == RESTORE else None
        with Image.open(io.BytesIO(patch.file), formats=[image.format or ""]) as file:
            pixels = next(eight_bits(file)).convert("RGBA")
        inside = (left < canvas.width) and (top < canvas.height)
        if inside:
            pixels = pixels.crop((0, 0, min(width, canvas.width - left), min(height, canvas.height - top)))
            if patch.over:
                shown.alpha_composite(pixels, (left, top))
            else:
                shown.paste(pixels, (left, top))
        yield _plain(shown, image.mode), not inside or pixels.size != (width, height)
        if before:
            canvas = before
        elif patch.disposal == CLEAR:
            canvas.paste((0, 0, 0, 0), (left, top, left + width, top + height))


def _plain(canvas: Image.Image, mode: str) -> Image.Image:
    """A copy in the mode of the picture as far as its colours are concerned, with alpha only where it has some."""
    gray = mode in ("1", "L", "LA", "I;16")
    if canvas.getchannel("A").getextrema() == (255, 255):
        return canvas.convert("L" if gray else "RGB")
    return canvas.convert("LA") if gray else canvas.copy()


def _gif_patches(data: bytes) -> Iterator[Patch]:
    at = 13 + _palette(data[10])
    head, control = data[:at], bytes(8)
    while (kind := data[at]) != 0x3B:
        start = at
        if kind == 0x2C:
            *box, flags = struct.unpack_from("<4HB", data, at + 1)
            at += 11 + _palette(flags)
        else:
            at += 2 if kind else 0
        while data[at]:
            at += data[at] + 1
        at += 1
        if kind == 0x21 and data[start + 1] == 0xF9:
            control = data[start:at]
        elif kind == 0x2C:
            left, top, width, height = box
            disposal = {2: CLEAR, 3: RESTORE, 4: RESTORE}.get(control[3] >> 2 & 7, 0)
            alone = control if control[0] else b""
            screen = head[:6] + struct.pack("<HH", width, height) + head[10:]
            own = screen + alone + b"," + struct.pack("<4H", 0, 0, width, height) + data[start + 9 : at] + b";"
            yield Patch(own, (left, top, width, height), disposal)
            control = bytes(8)


def _palette(flags: int) -> int:
    return 6 << (flags & 7) if flags & 0x80 else 0


def _png_patches(data: bytes) -> Iterator[Patch]:
    at, name = 8, b""
    head, palette, pixels = b"", b"", b""
    control: tuple[int, ...] | None = None

    def patch() -> Patch:
        width, height = control[1:3] if control else struct.unpack(">II", head[:8])
        body = _chunk(b"IHDR", struct.pack(">II", width, height) + head[8:]) + palette + _chunk(b"IDAT", pixels)
        file = data[:8] + body + _chunk(b"IEND", b"")
        if not control:
            return Patch(file, (0, 0, width, height), alone=True)
        *_, left, top, _, _, disposal, blend = control
        return Patch(file, (left, top, width, height), disposal, blend == 1)

    while name != b"IEND":
        length, name = struct.unpack_from(">I4s", data, at)
        content = data[at + 8 : at + 8 + length]
        if name == b"IHDR":
            head = content
        elif name in (b"PLTE", b"tRNS"):
            palette += _chunk(name, content)
        elif name in (b"IDAT", b"fdAT"):
            pixels += content[4:] if name == b"fdAT" else content
        elif name in (b"fcTL", b"IEND"):
            if pixels:
                yield patch()
            pixels = b""
            control = struct.unpack(">5I2H2B", content) if content else None
        at += 12 + length


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I4s", len(content), name) + content + struct.pack(">I", zlib.crc32(name + content))


def _webp_patches(data: bytes) -> Iterator[Patch]:
    at = 12
    while at + 8 <= len(data):
        name, length = struct.unpack_from("<4sI", data, at)
        content = data[at + 8 : at + 8 + length]
        if name == b"ANMF":
            left, top, width, height = (int.from_bytes(content[n : n + 3], "little") for n in (0, 3, 6, 9))
            size = struct.pack("<I", width)[:3] + struct.pack("<I", height)[:3]
            body = b"WEBPVP8X" + struct.pack("<II", 10, 0x10) + size + content[16:]
            file = b"RIFF" + struct.pack("<I", len(body)) + body
            flags = content[15]
            yield Patch(file, (2 * left, 2 * top, width + 1, height + 1), CLEAR * (flags & 1), not flags & 2)
        at += 8 + length + length % 2
