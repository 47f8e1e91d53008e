import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from conftest import encoded, gradient, page
from PIL import Image

from kidsnanny.errors import (
    CorruptPictureError,
    InputError,
    PictureTooLargeError,
    UnreadableFileError,
    UnsupportedFormatError,
    UnsupportedSourceError,
)
from kidsnanny.media.loader import Limits, open_picture

RED = (200, 30, 40)


def pixels(source: object, **limits: int) -> np.ndarray:
    (frame, *_) = open_picture(source, Limits(**limits)).frames()
    return frame.rgb


def bomb(width: int, height: int) -> bytes:
    """A PNG whose header promises many pixels and whose body is tiny."""
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 10)), (b"IEND", b"")]
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("name", ["plain.png", "田中.png", "Фото с моря.png", "a b'c\".png", "no_suffix"])
def test_every_way_in_gives_the_same_pixels(tmp_path: Path, name: str) -> None:
    image = gradient()
    path = tmp_path / name
    path.write_bytes(encoded(image))
    data = path.read_bytes()
    ways = [str(path), path, data, bytearray(data), memoryview(data), io.BytesIO(data), image, np.asarray(image)]
    for way in ways:
        assert np.array_equal(pixels(way), np.asarray(image)), type(way)
    with path.open("rb") as file:
        assert np.array_equal(pixels(file), np.asarray(image))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_formats_on_the_allow_list(kind: str) -> None:
    image = gradient()
    difference = np.abs(pixels(encoded(image, kind)).astype(int) - np.asarray(image))
    assert difference.mean() < 8


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "L", "LA", "CMYK", "1", "I", "F", "YCbCr", "HSV"])
def test_modes_look_the_same(mode: str) -> None:
    """A gray picture in any mode: the same gray comes out."""
    gray = Image.new("L", (8, 8), 255)
    image = gray.convert("RGB").convert(mode) if mode in ("YCbCr", "HSV", "CMYK", "RGBA") else gray.convert(mode)
    assert (pixels(image) == 255).all()


@pytest.mark.parametrize("order", ["<u2", ">u2"])
def test_sixteen_bit_gray_is_scaled_not_clipped(order: str) -> None:
    ramp = np.linspace(0, 255, 64).round().astype(np.uint8)
    wide = (ramp.astype(np.uint16) * 257)[None].repeat(4, 0).astype(order)
    assert np.array_equal(pixels(encoded(Image.fromarray(wide.astype(np.uint16))))[0, :, 0], ramp)


def test_cmyk_jpeg_keeps_its_colour() -> None:
    data = encoded(Image.new("RGB", (32, 32), RED).convert("CMYK"), "JPEG", quality=95)
    assert np.abs(pixels(data).reshape(-1, 3).mean(0) - RED).max() < 12


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_seen_on_white_and_on_black(mode: str) -> None:
    """White letters on nothing are invisible on white and legible on black: the loader gives both views."""
    image = Image.new("RGBA", (8, 8), (255, 255, 255, 0))
    image.putpixel((3, 3), (255, 255, 255, 255))
    views = list(open_picture(encoded(image.convert(mode))).frames())
    assert [(frame.index, frame.view) for frame in views] == [(0, 0), (0, 1)]
    assert (views[0].rgb == 255).all()
    assert views[1].rgb.sum() == 3 * 255


def test_opaque_alpha_is_one_view() -> None:
    assert len(list(open_picture(encoded(gradient().convert("RGBA"))).frames())) == 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied_once(orientation: int) -> None:
    upright = gradient(60, 40)
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # orientation -> the transposition that undoes it
    stored = upright.transpose(Image.Transpose(undo[orientation])) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert np.array_equal(pixels(encoded(stored, exif=exif)), np.asarray(upright))


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_every_frame_of_an_animation_comes_through(kind: str) -> None:
    images = [Image.new("RGB", (32, 24), (60 * n, 0, 255 - 60 * n)) for n in range(4)]
    data = encoded(
        images[0], kind, save_all=True, append_images=images[1:], **({"lossless": True} if kind == "WEBP" else {})
    )
    frames = list(open_picture(data).frames())
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    assert [int(frame.rgb[0, 0, 0]) for frame in frames] == [0, 60, 120, 180]


def test_frames_past_the_cap_are_named() -> None:
    images = [Image.new("L", (4, 4), n) for n in range(9)]
    data = encoded(images[0], "GIF", save_all=True, append_images=images[1:])
    picture = open_picture(data, Limits(frames=5))
    assert len(list(picture.frames())) == 5
    (skipped,) = picture.skipped
    assert skipped.part == "frames"
    assert skipped.frame == 5
    assert "4 of 9 frames" in skipped.reason


def test_pixels_past_the_cap_are_named() -> None:
    images = [Image.new("L", (10, 10), n) for n in range(5)]
    picture = open_picture(encoded(images[0], "GIF", save_all=True, append_images=images[1:]), Limits(total_pixels=250))
    assert len(list(picture.frames())) == 2
    assert "3 of 5 frames" in picture.skipped[0].reason


def test_a_broken_later_frame_is_named_not_lost() -> None:
    images = [gradient(64, 64, seed) for seed in range(4)]
    data = encoded(images[0], "TIFF", save_all=True, append_images=images[1:], compression="tiff_deflate")
    broken = bytearray(data)
    broken[len(data) // 2 : len(data) // 2 + 4000] = b"\xff" * 4000
    picture = open_picture(bytes(broken))
    assert 1 <= len(list(picture.frames())) < 4
    assert picture.skipped


JPEG = encoded(gradient(400, 300), "JPEG")
REFUSALS = [
    ("https://example.com/a.png", UnsupportedSourceError, "never fetched"),
    ("file:///etc/hostname", UnsupportedSourceError, "never fetched"),
    ("data:image/png;base64,AAAA", UnsupportedSourceError, "never fetched"),
    (42, UnsupportedSourceError, "int is no picture"),
    (None, UnsupportedSourceError, "NoneType is no picture"),
    (io.StringIO("text"), UnsupportedSourceError, "binary mode"),
    (np.zeros((4, 4), np.uint8), UnsupportedSourceError, "(H, W, 3) uint8"),
    (np.zeros((4, 4, 3), np.float32), UnsupportedSourceError, "float32"),
    (np.zeros((0, 4, 3), np.uint8), UnsupportedSourceError, "(0, 4, 3)"),
    ("no/such/file.png", UnreadableFileError, "No such file"),
    ("nul\0byte.png", UnreadableFileError, "null byte"),
    (os.curdir, UnreadableFileError, "a folder"),
    ("/dev/null", UnreadableFileError, "not a regular file"),
    (b"", CorruptPictureError, "it is empty"),
    (b"hello, this is text", UnsupportedFormatError, "none of JPEG"),
    (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n", UnsupportedFormatError, "none of JPEG"),
    (encoded(gradient(), "PPM"), UnsupportedFormatError, "none of JPEG"),
    (bomb(20_000, 20_000), PictureTooLargeError, "scale it down"),
    (bomb(12_000, 12_000), PictureTooLargeError, "scale it down"),
    (bomb(1_000_000, 1), PictureTooLargeError, "1000000x1"),
    (b"\xff" * (64 * 2**20 + 1), PictureTooLargeError, "bytes"),
    (JPEG[: len(JPEG) // 2], CorruptPictureError, "truncated"),
    (bomb(10, 10), CorruptPictureError, "does not decode"),
]


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize(("source", "error", "says"), REFUSALS, ids=[f"{n}-{r[2]}" for n, r in enumerate(REFUSALS)])
def test_refusals_are_typed_and_say_why(source: object, error: type[InputError], says: str) -> None:
    with pytest.raises(error) as caught:
        list(open_picture(source).frames())
    assert says in str(caught.value)


def test_a_picture_under_a_false_name_is_judged_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "really_a_gif.jpg"
    path.write_bytes(encoded(gradient(), "GIF"))
    assert pixels(path).shape == (48, 64, 3)


def test_the_callers_image_is_left_alone() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.open(io.BytesIO(encoded(page("text"), exif=exif)))
    before = image.size, image.mode
    pixels(image)
    assert (image.size, image.mode) == before
