"""Animations written block by block, with frames that no library would write so, and what Chromium shows of them."""

import struct
from typing import NamedTuple

from coloured_files import chunk
from conftest import encoded
from PIL import Image

COLOURS = {".": (0, 0, 0, 0), "r": (220, 0, 0, 255), "g": (0, 180, 0, 255), "b": (0, 0, 220, 255)}
KEEP, CLEAR, RESTORE = range(3)


class Drawn(NamedTuple):
    """A frame: rows of letters, where it lies, what becomes of it, and whether it lies over what was there."""

    rows: str
    at: tuple[int, int] = (0, 0)
    disposal: int = KEEP
    over: bool = True

    @property
    def size(self) -> tuple[int, int]:
        rows = self.rows.split()
        return len(rows[0]), len(rows)

    @property
    def image(self) -> Image.Image:
        image = Image.new("RGBA", self.size)
        image.putdata([COLOURS[letter] for row in self.rows.split() for letter in row])
        return image


def gif(size: tuple[int, int], *frames: Drawn) -> bytes:
    """Palette: white (the background), red, green, blue; index 4 is transparent where a frame has gaps."""
    palette = b"".join(bytes(colour) for colour in [(255, 255, 255), *(COLOURS[one][:3] for one in "rgb")]) + bytes(12)
    data = b"GIF89a" + struct.pack("<HHBBB", *size, 0x82, 0, 0) + palette + b"!\xff\x0bNETSCAPE2.0\x03\x01\0\0\0"
    for frame in frames:
        method = {KEEP: 1, CLEAR: 2, RESTORE: 3}.get(frame.disposal, frame.disposal)
        data += b"!\xf9\x04" + bytes([method << 2 | ("." in frame.rows), 10, 0, 4, 0])
        data += b"," + struct.pack("<4HB", *frame.at, *frame.size, 0)
        data += lzw([".rgb".index(letter) or 4 for letter in frame.rows.replace(" ", "")])
    return data + b";"


def lzw(indices: list[int]) -> bytes:
    """Palette indices below 8, in codes of 4 bits: a clear code in time, and the table never grows."""
    codes = [code for at in range(0, len(indices), 6) for code in (8, *indices[at : at + 6])] + [9]
    codes += [0] * (len(codes) % 2)
    packed = bytes(low | high << 4 for low, high in zip(codes[::2], codes[1::2], strict=True))
    return b"\x03" + bytes([len(packed)]) + packed + b"\0"


def png(size: tuple[int, int], *frames: Drawn, default: Drawn | None = None) -> bytes:
    """An animated PNG; `default` is what a viewer shows that knows none."""
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", *size, 8, 6, 0, 0, 0))
    data += chunk(b"acTL", struct.pack(">II", len(frames), 0))
    data += chunk(b"IDAT", pixels(default)) if default else b""
    number = 0
    for frame in frames:
        last = (1, 10, frame.disposal, frame.over)
        data += chunk(b"fcTL", struct.pack(">5I2H2B", number, *frame.size, *frame.at, *last))
        if number or default:
            number += 1
            data += chunk(b"fdAT", struct.pack(">I", number) + pixels(frame))
        else:
            data += chunk(b"IDAT", pixels(frame))
        number += 1
    return data + chunk(b"IEND", b"")


def pixels(frame: Drawn) -> bytes:
    data = encoded(frame.image)
    at = data.index(b"IDAT")
    return data[at + 4 : at + 4 + struct.unpack(">I", data[at - 4 : at])[0]]


def webp(size: tuple[int, int], *frames: Drawn, alpha: bool = True) -> bytes:
    """`alpha` is the flag in the header; frames have what they have."""

    def block(name: bytes, content: bytes) -> bytes:
        return name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)

    def three(*numbers: int) -> bytes:
        return b"".join(number.to_bytes(3, "little") for number in numbers)

    body = block(b"VP8X", bytes([0x02 | 0x10 * alpha, 0, 0, 0]) + three(size[0] - 1, size[1] - 1))
    body += block(b"ANIM", struct.pack("<IH", 0xFF00FF00, 0))
    for frame in frames:
        image = encoded(frame.image, "WEBP", lossless=True, exact=True)
        own = image[image.index(b"VP8L") :]
        place = three(frame.at[0] // 2, frame.at[1] // 2, frame.size[0] - 1, frame.size[1] - 1, 100)
        body += block(b"ANMF", place + bytes([(not frame.over) << 1 | (frame.disposal == CLEAR)]) + own)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


SIZE = (4, 4)
RED, TOP = "rrrr rrrr rrrr rrrr", "rrrr rrrr .... ...."


def everywhere(*frames: Drawn) -> dict[str, bytes]:
    """In each format that knows of such frames."""
    files = {}
    if all(frame.over for frame in frames):
        files["GIF"] = gif(SIZE, *frames)
    if frames[0].size == SIZE:
        files["PNG"] = png(SIZE, *frames)
    if all(frame.disposal != RESTORE for frame in frames):
        files["WebP"] = webp(SIZE, *frames)
        files["WebP that tells of no alpha"] = webp(SIZE, *frames, alpha=False)
    return files


SMALL = Drawn("bb bb", (2, 2))
ANIMATIONS: dict[str, tuple[dict[str, bytes], list[str]]] = {
    name: (everywhere(*frames), shown)
    for name, frames, shown in [
        ("kept", [Drawn(RED), SMALL, Drawn("g")], [RED, "rrrr rrrr rrbb rrbb", "grrr rrrr rrbb rrbb"]),
        (
            "a cleared patch of an opaque picture",
            [Drawn(RED), SMALL._replace(disposal=CLEAR), Drawn("g")],
            [RED, "rrrr rrrr rrbb rrbb", "grrr rrrr rr.. rr.."],
        ),
        ("a cleared first frame", [Drawn(RED, disposal=CLEAR), SMALL], [RED, ".... .... ..bb ..bb"]),
        (
            "restored",
            [Drawn(RED), SMALL._replace(disposal=RESTORE), Drawn("g")],
            [RED, "rrrr rrrr rrbb rrbb", "grrr rrrr rrrr rrrr"],
        ),
        ("a restored first frame", [Drawn(TOP, disposal=RESTORE), SMALL], [TOP, ".... .... ..bb ..bb"]),
        (
            "restored twice",
            [Drawn(RED), SMALL._replace(disposal=RESTORE), Drawn("g", disposal=RESTORE), Drawn("b", (2, 0))],
            [RED, "rrrr rrrr rrbb rrbb", "grrr rrrr rrrr rrrr", "rrbr rrrr rrrr rrrr"],
        ),
        ("a small first frame", [SMALL, Drawn("g")], [".... .... ..bb ..bb", "g... .... ..bb ..bb"]),
        ("gaps over the frame before", [Drawn(RED), Drawn("g.g. .... .... bbbb")], [RED, "grgr rrrr rrrr bbbb"]),
        ("gaps in place of it", [Drawn(RED), Drawn("g.g. ....", over=False)], [RED, "g.g. .... rrrr rrrr"]),
    ]
}
ANIMATIONS |= {
    "a GIF's unknown disposals": (
        {f"GIF {method}": gif(SIZE, Drawn(RED), SMALL._replace(disposal=method), Drawn("g")) for method in (5, 6, 7)},
        [RED, "rrrr rrrr rrbb rrbb", "grrr rrrr rrbb rrbb"],
    ),
    "a GIF's fourth disposal": (
        {"GIF": gif(SIZE, Drawn(RED), SMALL._replace(disposal=4), Drawn("g"))},
        [RED, "rrrr rrrr rrbb rrbb", "grrr rrrr rrrr rrrr"],
    ),
    "a first frame larger than a GIF's canvas": (
        {"GIF": gif((2, 2), Drawn(RED), SMALL)},
        [RED, "rrrr rrrr rrbb rrbb"],
    ),
}
"""Name -> the files, and rows of letters for each frame as Chromium shows it."""
