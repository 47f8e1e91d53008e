"""JPEG XL, with the extra and without it."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from conftest import gradient, scripted

from kidsnanny.errors import InputError, UnsupportedFormatError
from kidsnanny.media.loader import Limits, open_picture


def jxl(pixels: np.ndarray) -> bytes:
    return pytest.importorskip("pylibjxl").encode(np.ascontiguousarray(pixels))


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_a_picture_comes_out_as_it_was(mode: str) -> None:
    picture = open_picture(jxl(np.asarray(gradient().convert(mode))))
    (frame,) = picture.frames()
    assert np.abs(frame.rgb.astype(int) - np.asarray(gradient())).mean() < 4
    assert (picture.image.format, picture.skipped) == ("JXL", [])


def test_it_is_measured_before_it_is_decoded() -> None:
    data = jxl(np.asarray(gradient(400, 300)))
    with pytest.raises(InputError, match="it is 400x300, more than 1,000 pixels"):
        open_picture(data, Limits(pixels=1_000))


def test_a_file_cut_short_anywhere_is_never_safe() -> None:
    data, pipeline = jxl(np.asarray(gradient().point(lambda value: value // 8))), scripted()
    assert pipeline(data).label == "safe"
    for cut in range(1, len(data), 7):
        assert pipeline(data[:cut]).label == "review", cut


def test_without_the_extra_the_message_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    path = tmp_path / "a.jxl"
    path.write_bytes(b"\xff\x0a\xfa\x1f")
    with pytest.raises(
        UnsupportedFormatError, match=r"a\.jxl: it is a JPEG XL.*kidsnanny\[jxl\].*or save it as PNG\.$"
    ):
        open_picture(path)
