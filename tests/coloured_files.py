"""One picture of ramps, saved with every way to say what its colours mean, and what Chromium shows of it."""

import struct
import zlib
from collections.abc import Callable

import numpy as np
from conftest import encoded
from PIL import Image

Triple = tuple[int, int, int]
LEVELS = np.arange(256, dtype=np.uint8)
X = np.linspace(0, 1, 256)
LIGHT = np.where(X <= 0.04045, X / 12.92, ((X + 0.055) / 1.055) ** 2.4)
"""Of each level of sRGB."""


def ramps() -> Image.Image:
    """256 by 4: gray, red, green, blue, each from 0 to 255."""
    pixels = np.zeros((4, 256, 3), np.uint8)
    pixels[0] = LEVELS[:, None]
    for channel in range(3):
        pixels[1 + channel, :, channel] = LEVELS
    return Image.fromarray(pixels)


# ------------------------------------------------------------------ PNG chunks


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def with_chunks(data: bytes, *extra: tuple[bytes, bytes], before: bytes = b"IDAT") -> bytes:
    """A PNG with more chunks in front of its first one of that kind."""
    at = data.index(before) - 4
    return data[:at] + b"".join(chunk(*one) for one in extra) + data[at:]


def gamma(exponent: float) -> tuple[bytes, bytes]:
    return b"gAMA", struct.pack(">I", round(exponent * 1e5))


def corners(*places: float) -> tuple[bytes, bytes]:
    return b"cHRM", struct.pack(">8I", *(round(place * 1e5) for place in places))


def coded(primaries: int, transfer: int) -> tuple[bytes, bytes]:
    return b"cICP", bytes([primaries, transfer, 0, 1])


def embedded(profile: bytes) -> tuple[bytes, bytes]:
    return b"iCCP", b"x\0\0" + zlib.compress(profile)


SRGB = (b"sRGB", b"\0")
SRGB_CORNERS = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
SWAPPED_CORNERS = (0.3127, 0.329, 0.15, 0.06, 0.3, 0.6, 0.64, 0.33)

# ------------------------------------------------------------------ ICC profiles


def xyz(*place: float) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(one * 65536) for one in place))


def curve(light: np.ndarray) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">I", len(light)) + (light * 65535).round().astype(">u2").tobytes()


RED, GREEN, BLUE = xyz(0.43607, 0.22249, 0.01392), xyz(0.38515, 0.71687, 0.09708), xyz(0.14307, 0.06061, 0.71410)


def matrix(light: np.ndarray = LIGHT, **other: bytes) -> dict[str, bytes]:
    same = curve(light)
    return {"rXYZ": RED, "gXYZ": GREEN, "bXYZ": BLUE, "rTRC": same, "gTRC": same, "bTRC": same, **other}


def table(light_of: Callable[[np.ndarray], np.ndarray], channels: int = 3, points: int = 9) -> bytes:
    """A `lut8Type` tag: device colours, 0..1, to Lab by way of the light of sRGB's three channels."""
    grid = np.stack(np.meshgrid(*[np.linspace(0, 1, points)] * channels, indexing="ij"), -1).reshape(-1, channels)
    light = np.interp(light_of(grid), X, LIGHT)
    place = light @ np.array([[0.43607, 0.22249, 0.01392], [0.38515, 0.71687, 0.09708], [0.14307, 0.06061, 0.71410]])
    place /= (0.9642, 1, 0.8249)
    root = np.where(place > 216 / 24389, np.cbrt(place), (24389 / 27 * place + 16) / 116)
    lab = np.stack(
        [
            (116 * root[:, 1] - 16) * 2.55,
            500 * (root[:, 0] - root[:, 1]) + 128,
            200 * (root[:, 1] - root[:, 2]) + 128,
        ],
        -1,
    )
    head = b"mft1\0\0\0\0" + bytes([channels, 3, points, 0])
    head += struct.pack(">9i", *(65536 * one for one in (1, 0, 0, 0, 1, 0, 0, 0, 1)))
    return head + bytes(LEVELS) * channels + lab.clip(0, 255).round().astype(np.uint8).tobytes() + bytes(LEVELS) * 3


def profile(
    tags: dict[str, bytes], space: bytes = b"RGB ", pcs: bytes = b"XYZ ", version: int = 0x0430, kind: bytes = b"mntr"
) -> bytes:
    """An ICC profile of these tags."""
    name = "test".encode("utf-16-be")
    words = b"mluc\0\0\0\0" + struct.pack(">II4sII", 1, 12, b"enUS", len(name), 28) + name
    tags = {"desc": words, "cprt": words, "wtpt": xyz(0.9642, 1, 0.8249), **tags}
    at, index, body = 132 + 12 * len(tags), b"", b""
    for tag, content in tags.items():
        index += struct.pack(">4sII", tag.encode(), at + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    head = struct.pack(">I4xHxx4s4s4s12x4s28x", at + len(body), version, kind, space, pcs, b"acsp")
    head += xyz(0.9642, 1, 0.8249)[8:]
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + index + body


def inverted(device: np.ndarray) -> np.ndarray:
    return 1 - device


LINEAR = profile(matrix(X))
COMB = profile(matrix(np.where(np.arange(256) % 51 < 10, LIGHT, LIGHT[::-1])))
INVERTED = table(inverted)
ICC = {
    "sRGB": (profile(matrix()), 32, 128),
    "linear": (LINEAR, 99, 188),
    "between six levels": (COMB, 223, 127),
    "version 2": (profile(matrix(X), version=0x0210), 99, 188),
    "of a printer": (profile(matrix(X), kind=b"prtr"), 99, 188),
    "of a link": (profile(matrix(X), kind=b"link"), 99, 188),
    "of an abstraction": (profile(matrix(X), kind=b"abst"), 99, 188),
    "perceptual table": (profile({"A2B0": INVERTED}, pcs=b"Lab ", version=0x0210), 223, 127),
    "table over matrix": (profile(matrix(A2B0=INVERTED), pcs=b"Lab "), 223, 127),
    "relative table alone": (profile({"A2B1": INVERTED}, pcs=b"Lab "), 223, 127),
    "relative table over matrix": (profile(matrix(A2B1=INVERTED), pcs=b"Lab "), 223, 127),
    "saturation table under matrix": (profile(matrix(A2B2=INVERTED), pcs=b"Lab "), 32, 128),
    "coded over matrix": (profile(matrix(cicp=b"cicp\0\0\0\0\1\x08\0\1")), 99, 188),
    "of gray, for colours": (profile({"kTRC": curve(X)}, space=b"GRAY"), 32, 128),
    "of CMYK, for RGB": (profile({"A2B0": table(lambda d: 1 - d[:, :3], 4, 3)}, space=b"CMYK", pcs=b"Lab "), 32, 128),
    "without a curve": (profile({k: v for k, v in matrix(X).items() if k != "rTRC"}), 32, 128),
    "without its signature": (LINEAR.replace(b"acsp", b"acsx"), 32, 128),
    "cut": (LINEAR[:-40], 32, 128),
}
"""ICC profiles, and what a browser shows for gray 32 and 128."""

PLAIN = encoded(ramps())
CHUNKS: dict[str, tuple[tuple[tuple[bytes, bytes], ...], int, int, Triple]] = {
    "none": ((), 32, 128, (128, 0, 0)),
    "gAMA of sRGB": ((gamma(0.45455),), 32, 128, (128, 0, 0)),
    "gAMA 1": ((gamma(1),), 99, 188, (188, 0, 0)),
    "gAMA .2": ((gamma(0.2),), 0, 50, (50, 0, 0)),
    "gAMA 5": ((gamma(5),), 212, 240, (240, 0, 0)),
    "gAMA 0": ((gamma(0),), 32, 128, (128, 0, 0)),
    "sRGB over gAMA": ((gamma(1), SRGB), 32, 128, (128, 0, 0)),
    "cHRM alone": ((corners(*SWAPPED_CORNERS),), 32, 128, (128, 0, 0)),
    "cHRM with gAMA": ((gamma(0.45455), corners(*SWAPPED_CORNERS)), 26, 129, (0, 0, 129)),
    "cHRM of sRGB with gAMA 1": ((gamma(1), corners(*SRGB_CORNERS)), 99, 188, (188, 0, 0)),
    "iCCP over gAMA": ((embedded(profile(matrix())), gamma(1)), 32, 128, (128, 0, 0)),
    "broken iCCP, gAMA": ((embedded(b"no profile" * 20), gamma(1)), 99, 188, (188, 0, 0)),
    "gAMA twice": ((gamma(1), gamma(0.45455)), 99, 188, (188, 0, 0)),
    "iCCP twice": ((embedded(LINEAR), embedded(profile(matrix()))), 99, 188, (188, 0, 0)),
    "cICP of sRGB": ((coded(1, 13),), 32, 128, (128, 0, 0)),
    "cICP of sRGB over gAMA": ((coded(1, 13), gamma(1)), 32, 128, (128, 0, 0)),
    "cICP linear": ((coded(1, 8),), 99, 188, (188, 0, 0)),
    "cICP over iCCP": ((coded(1, 8), embedded(profile(matrix()))), 99, 188, (188, 0, 0)),
    "cICP of BT.709": ((coded(1, 1),), 20, 121, (121, 0, 0)),
    "cICP of P3": ((coded(12, 13),), 32, 128, (141, 0, 0)),
    "cICP of BT.2020": ((coded(9, 13),), 32, 128, (161, 0, 0)),
    "unknown cICP, gAMA": ((coded(99, 99), gamma(1)), 99, 188, (188, 0, 0)),
    "cICP of HDR (PQ)": ((coded(1, 16),), 5, 132, (132, 0, 0)),
}
"""A PNG's chunks, and what a browser shows for gray 32, gray 128 and red 128."""


def gray_files() -> dict[str, tuple[bytes, int]]:
    """Gray ramps, and what a browser shows for gray 128."""
    gray = Image.fromarray(LEVELS[None].repeat(4, 0))
    wide = Image.fromarray(LEVELS[None].repeat(4, 0).astype(np.uint16) * 257)
    of_gray = profile({"kTRC": curve(LIGHT[::-1])}, space=b"GRAY")
    files = {}
    for name, data in {
        "gray": encoded(gray),
        "gray with alpha": encoded(gray.convert("LA")),
        "palette": encoded(gray.convert("P")),
        "16 bits": encoded(wide),
    }.items():
        before = b"PLTE" if name == "palette" else b"IDAT"
        files[f"{name}, gAMA"] = with_chunks(data, gamma(1), before=before), 188
        files[f"{name}, cICP"] = with_chunks(data, coded(1, 8), before=before), 188
        files[f"{name}, RGB profile"] = with_chunks(data, embedded(LINEAR), before=before), 188
        shown = 128 if name == "palette" else 127
        files[f"{name}, gray profile"] = with_chunks(data, embedded(of_gray), before=before), shown
    files["JPEG, RGB profile"] = encoded(gray, "JPEG", quality=100, icc_profile=LINEAR), 188
    files["JPEG, gray profile"] = encoded(gray, "JPEG", quality=100, icc_profile=of_gray), 127
    return files
