"""Zeros in place of a part of a file, as an interrupted download leaves them, are named: decoders pass over them."""

import io

import pytest
from conftest import encoded, page
from PIL import Image

from kidsnanny.media.loader import open_picture

NOISE = Image.effect_noise((640, 480), 60).convert("RGB")


def pdf(picture: Image.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PDF")
    return buffer.getvalue()


def skipped(data: bytes) -> int:
    picture = open_picture(data)
    list(picture.frames())
    return len(picture.skipped)


FILES = {"avif": encoded(NOISE, "AVIF"), "pdf": pdf(NOISE), "drawn pdf": pdf(page("hello", "see you at five"))}


@pytest.mark.parametrize("name", FILES)
def test_a_whole_file_is_whole(name: str) -> None:
    assert skipped(FILES[name]) == 0


@pytest.mark.parametrize("flat", ["white", "black", "red"])
def test_flat_pictures_are_whole(flat: str) -> None:
    image = Image.new("RGB", (640, 480), flat)
    assert skipped(encoded(image, "AVIF")) == skipped(pdf(image)) == 0


@pytest.mark.parametrize("at", [0.4, 0.5, 0.7])
@pytest.mark.parametrize("name", ["avif", "pdf"])
def test_a_hole_is_named(name: str, at: float) -> None:
    data = bytearray(FILES[name])
    start = int(len(data) * at)
    data[start : start + 2_000] = bytes(2_000)
    assert skipped(bytes(data)) == 1
