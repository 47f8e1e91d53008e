"""The colour spaces that a picture's file names, as ICC profiles.

Readers disagree about which of them counts, so all are returned; the first is the one that Chromium goes by.
"""

import contextlib
import re
import struct
import zlib
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

Floats = npt.NDArray[np.float64]
D50 = (0.9642, 1.0, 0.8249)
SRGB_PRIMARIES = (0.3127, 0.329, 0.64, 0.33, 0.3, 0.6, 0.15, 0.06)
"""x and y of white, red, green, blue."""
PRIMARIES = {
    1: SRGB_PRIMARIES,
    4: (0.31, 0.316, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (0.3127, 0.329, 0.64, 0.33, 0.29, 0.6, 0.15, 0.06),
    6: (0.3127, 0.329, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
    7: (0.3127, 0.329, 0.63, 0.34, 0.31, 0.595, 0.155, 0.07),
    8: (0.31, 0.316, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049),
    9: (0.3127, 0.329, 0.708, 0.292, 0.17, 0.797, 0.131, 0.046),
    10: (1 / 3, 1 / 3, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0),
    11: (0.314, 0.351, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
    12: (0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06),
    22: (0.3127, 0.329, 0.63, 0.34, 0.295, 0.605, 0.155, 0.077),
}
"""By their number in ITU-T H.273."""
MAX_PROFILE = 4 * 2**20
LEVELS = np.linspace(0, 1, 1024)
NAMED = 16
"""Colour spaces of an AVIF or a HEIC that are looked at."""
_NUMBERED = re.compile(rb"colrnclx(\0.\0.)", re.DOTALL)


class ColourProfile(NamedTuple):
    """An ICC profile and the rendering intent to read it with."""

    data: bytes
    intent: int = 0

    @property
    def space(self) -> bytes:
        """Its device colours: `RGB `, `GRAY`, `CMYK`."""
        return self.data[16:20]

    @property
    def only_curves_and_a_matrix(self) -> bool:
        return not any(tag[:3] in (b"A2B", b"D2B") for tag, _ in tags(self.data))


def colour_profiles(image: Image.Image, data: bytes) -> tuple[ColourProfile, ...]:
    """Every colour space that a picture names, each once.

    Args:
        image: the picture, opened.
        data: its file; empty if there is none, and what Pillow keeps of a PNG's chunks has to do.
    """
    found = _png(data) if data.startswith(b"\x89PNG") else _pillow(image.info)
    return tuple(dict.fromkeys([*found, *(_boxes(data) if data[4:8] == b"ftyp" else ())]))


def _pillow(info: dict[Any, Any]) -> Iterator[ColourProfile]:
    if icc := info.get("icc_profile"):
        yield from _icc(icc)
    if exponent := info.get("gamma"):
        yield from _gamma(exponent, info.get("chromaticity", SRGB_PRIMARIES))


def _boxes(data: bytes) -> Iterator[ColourProfile]:
    """Those that an AVIF or a HEIC names by numbers. The curves of cameras count as sRGB's, as they do for Chromium."""
    for code in dict.fromkeys(found[1] for found in islice(_NUMBERED.finditer(data), NAMED)):
        yield from _coded(code[1], 13 if code[3] in (1, 6, 14, 15) else code[3])


def _png(data: bytes) -> Iterator[ColourProfile]:
    """By precedence. Of chunks that come twice some readers take the first and some the last."""
    found: dict[bytes, list[bytes]] = {name: [] for name in (b"cICP", b"iCCP", b"gAMA", b"cHRM")}
    at = 8
    while at + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        if name in found:
            found[name] = [*found[name][:1], data[at + 8 : at + 8 + length]]
        at += 12 + length
    for code in found[b"cICP"]:
        yield from _coded(*code[:2]) if len(code) == 4 else ()
    for named in found[b"iCCP"]:
        with contextlib.suppress(zlib.error):
            yield from _icc(zlib.decompressobj().decompress(named.partition(b"\0")[2][1:], MAX_PROFILE))
    primaries = [np.divide(struct.unpack(">8I", chunk), 1e5) for chunk in found[b"cHRM"] if len(chunk) == 32]
    for exponent in (struct.unpack(">I", chunk)[0] / 1e5 for chunk in found[b"gAMA"] if len(chunk) == 4):
        for corners in primaries or [SRGB_PRIMARIES]:
            yield from _gamma(exponent, corners)


def tags(profile: bytes) -> list[tuple[bytes, bytes]]:
    """Names and contents of the tags of an ICC profile."""
    (count,) = struct.unpack_from(">I", profile.ljust(132, b"\0"), 128)
    entries = (
        struct.unpack_from(">4sII", profile, 132 + 12 * n) for n in range(min(count, (len(profile) - 132) // 12))
    )
    return [(name, profile[at : at + length]) for name, at, length in entries]


def _icc(data: bytes) -> Iterator[ColourProfile]:
    """The readings of an ICC profile: by its coded tag, perceptual, relative to white."""
    if not data[16:20].strip(b"\0"):
        return
    named = dict(tags(data))
    if data[16:20] == b"RGB " and len(code := named.get(b"cicp", b"")) >= 10:
        yield from _coded(code[8], code[9])
    # Chromium converts from profiles of every class and knows none of the D2B tags.
    usual = data[:12] + b"mntr" + data[16:]
    for number in range(4):
        usual = usual.replace(b"D2B%d" % number, b"skip", 1) if b"D2B%d" % number in named else usual
    if b"A2B0" in named or b"A2B1" not in named:
        yield ColourProfile(usual)
    if b"A2B1" in named:
        yield ColourProfile(usual, 1)


def _gamma(exponent: float, primaries: Sequence[float] | Floats) -> Iterator[ColourProfile]:
    """A PNG's gAMA and cHRM; nothing for those of sRGB, which most PNGs have that have any."""
    usual = np.allclose(primaries, SRGB_PRIMARIES, atol=0.005)
    if exponent > 0 and not (usual and abs(exponent - 1 / 2.2) < 0.01):
        yield from _matrix(primaries, LEVELS ** (1 / exponent)) or _matrix(SRGB_PRIMARIES, LEVELS ** (1 / exponent))


def _coded(primaries: int, transfer: int) -> Iterator[ColourProfile]:
    """A colour space by its numbers in ITU-T H.273; nothing if they are those of sRGB, or unknown."""
    curve = _curve(transfer)
    if curve is not None and primaries in PRIMARIES and (primaries, transfer) != (1, 13):
        yield from _matrix(PRIMARIES[primaries], curve)


def _curve(transfer: int) -> Floats | None:
    """Light at each of `LEVELS`."""
    x = LEVELS
    match transfer:
        case 1 | 6 | 11 | 14 | 15:  # as a screen shows it, not the inverse of the camera's curve
            return x**2.4
        case 4:
            return x**2.2
        case 5:
            return x**2.8
        case 7:
            return np.where(x < 0.0913, x / 4, ((x + 0.1115) / 1.1115) ** (1 / 0.45))
        case 8:
            return x
        case 13:
            return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)
        case 16:  # PQ
            power = x ** (1 / 78.84375)
            return (
                (np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)) ** (1 / 0.1593017578125)
                * 10000
                / 414
            )
        case 17:
            return x**2.6 * 52.37 / 48
        case 18:  # HLG
            return (
                np.where(x <= 0.5, x * x / 3, (np.exp((x - 0.55991073) / 0.17883277) + 0.28466892) / 12) ** 1.2
                * 500
                / 203
            )
    return None


def _matrix(primaries: Sequence[float] | Floats, curve: Floats) -> list[ColourProfile]:
    """A profile of one curve and three primaries; none if they span no space."""
    x, y = np.asarray(primaries, float).reshape(4, 2).T
    if (y <= 0).any():
        return []
    white, *corners = np.stack([x / y, np.ones(4), (1 - x - y) / y], -1)
    columns = np.stack(corners, -1)
    if abs(np.linalg.det(columns)) < 1e-6:
        return []
    columns = columns * np.linalg.solve(columns, white)
    bradford = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
    scale = np.diag(bradford @ D50 / (bradford @ white))
    columns = np.linalg.inv(bradford) @ scale @ bradford @ columns
    points = (np.clip(curve, 0, 1) * 65535).round().astype(">u2").tobytes()
    shape = b"curv\0\0\0\0" + struct.pack(">I", len(curve)) + points
    named = {b"wtpt": D50, **dict(zip((b"rXYZ", b"gXYZ", b"bXYZ"), columns.T, strict=True))}
    contents = {name: b"XYZ \0\0\0\0" + _fixed(*place) for name, place in named.items()}
    return [ColourProfile(_written({**contents, b"rTRC": shape, b"gTRC": shape, b"bTRC": shape}))]


def _fixed(*numbers: float) -> bytes:
    return struct.pack(f">{len(numbers)}i", *(round(max(-32768, min(32767, number)) * 65536) for number in numbers))


def _written(contents: dict[bytes, bytes]) -> bytes:
    """An ICC profile (version 2.4) of these tags."""
    at, table, body = 132 + 12 * len(contents), b"", b""
    for name, content in contents.items():
        table += struct.pack(">4sII", name, at + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    head = struct.pack(">I4xI4s4s4s12x4s28x", at + len(body), 0x02400000, b"mntr", b"RGB ", b"XYZ ", b"acsp")
    return (head + _fixed(*D50)).ljust(128, b"\0") + struct.pack(">I", len(contents)) + table + body
