"""What the loader makes of a picture's colours: what a browser shows is there, and what other viewers show besides.

The numbers are Chromium's; `test_browser.py` asks it again.
"""

import numpy as np
import pytest
from coloured_files import (
    CHUNKS,
    COMB,
    ICC,
    LINEAR,
    PLAIN,
    Triple,
    coded,
    embedded,
    gamma,
    gray_files,
    ramps,
    with_chunks,
)
from conftest import encoded, gradient, page
from hypothesis import given
from hypothesis import strategies as st
from picture_files import frames
from PIL import Image

from kidsnanny.errors import CorruptPictureError
from kidsnanny.media.colour_profiles import colour_profiles
from kidsnanny.media.colours import rendered

SAVED = {
    "PNG": {},
    "JPEG": {"quality": 100, "subsampling": 0},
    "WEBP": {"lossless": True},
    "TIFF": {},
    "AVIF": {"quality": 100, "subsampling": "4:4:4", "speed": 10},
}


def shows(seen: list[np.ndarray], place: tuple[int, int], colour: object) -> bool:
    return any(np.abs(view[place].astype(int) - colour).max() <= 3 for view in seen)


@pytest.mark.parametrize(("chunks", "dark", "middle", "red"), CHUNKS.values(), ids=CHUNKS)
def test_a_pngs_chunks_say_what_its_colours_are(chunks: tuple, dark: int, middle: int, red: Triple) -> None:
    seen = frames(with_chunks(PLAIN, *chunks))
    for place, colour in (((0, 32), dark), ((0, 128), middle), ((1, 128), red)):
        assert shows(seen, place, colour), place


@pytest.mark.parametrize("kind", SAVED)
@pytest.mark.parametrize(("profile", "dark", "middle"), ICC.values(), ids=ICC)
def test_colours_go_through_an_icc_profile_in_every_format(profile: bytes, dark: int, middle: int, kind: str) -> None:
    seen = frames(encoded(ramps(), kind, icc_profile=profile, **SAVED[kind]))
    for place, colour in (((0, 32), dark), ((0, 128), middle)):
        near = [np.abs(view[place].astype(int) - colour).max() for view in seen]
        assert min(near) <= 6, (place, near)


@pytest.mark.parametrize(("data", "middle"), gray_files().values(), ids=gray_files())
def test_gray_goes_through_what_is_said_about_it(data: bytes, middle: int) -> None:
    assert shows(frames(data), (0, 128), middle)


@pytest.mark.parametrize("named", [[gamma(1)], [coded(1, 8)], [embedded(LINEAR)]], ids=["gAMA", "cICP", "iCCP"])
@pytest.mark.parametrize("before", [b"IDAT", b"IEND"])
def test_every_frame_of_an_animation_and_a_late_chunk_count(named: list, before: bytes) -> None:
    first, second = Image.new("RGB", (8, 8), (128, 0, 0)), Image.new("RGB", (8, 8), (0, 128, 0))
    data = encoded(first, save_all=True, append_images=[second])
    seen = frames(with_chunks(data, *named, before=before))
    for colour in ((188, 0, 0), (0, 188, 0)):
        assert shows(seen, (0, 0), colour)


WORDS = page("I will kill you", size=(320, 96)).convert("L")
HIDDEN = {
    "visible without the profile alone": (encoded(Image.eval(WORDS, lambda v: v // 16), icc_profile=None), gamma(0.1)),
    "visible with the profile alone": (encoded(Image.eval(WORDS, lambda v: v // 64)), gamma(5)),
}


@pytest.mark.parametrize(("data", "named"), HIDDEN.values(), ids=HIDDEN)
def test_what_one_kind_of_viewer_shows_is_among_the_readings(data: bytes, named: tuple) -> None:
    contrasts = [int(np.ptp(view)) for view in frames(with_chunks(data, named))]
    assert max(contrasts) >= 10


def test_text_beyond_the_gamut_of_srgb_is_seen() -> None:
    """On a screen of a wide gamut a browser shows reds that are one red in sRGB."""
    red = Image.new("RGB", WORDS.size, (255, 0, 0))
    red.paste((255, 24, 12), mask=Image.eval(WORDS, lambda v: 255 - v))
    seen = frames(with_chunks(encoded(red), coded(12, 13)))
    assert max(int(np.ptp(view[..., 1])) for view in seen) >= 20


ORDINARY = {
    "plain": encoded(gradient()),
    "sRGB profile": encoded(gradient(), "JPEG", icc_profile=ICC["sRGB"][0]),
    "gAMA of sRGB": with_chunks(encoded(gradient()), gamma(0.45455)),
    "16-bit gray": encoded(Image.fromarray((np.asarray(gradient().convert("L")).astype(np.uint16)) * 257)),
    "P3": with_chunks(encoded(Image.eval(gradient(200, 150), lambda v: 40 + v // 2)), coded(12, 13)),
}


@pytest.mark.parametrize("data", ORDINARY.values(), ids=ORDINARY)
def test_an_ordinary_picture_is_looked_at_once(data: bytes) -> None:
    assert len(frames(data)) == 1


def test_a_comb_that_spares_six_levels_is_no_srgb() -> None:
    seen = frames(encoded(ramps(), icc_profile=COMB))[0]
    assert np.abs(seen[0].astype(int) - np.asarray(ramps())[0]).max() > 200


@pytest.mark.parametrize("kind", [np.float32, np.int32, np.uint16])
def test_one_bright_pixel_hides_nothing_of_a_picture_of_numbers(kind: type) -> None:
    """A viewer may clip where another stretches: letters in 0..1 beside a pixel of 60,000."""
    letters = np.asarray(WORDS).astype(float) / 255 * (1 if kind == np.float32 else 255)
    letters[0, 0] = 60_000
    seen = frames(encoded(Image.fromarray(letters.astype(kind)), "TIFF"))
    assert any(np.ptp(view[10:]) > 100 for view in seen)


@given(data=st.binary(max_size=300), head=st.sampled_from([b"", b"\x89PNG\r\n\x1a\n", LINEAR[:132]]))
def test_no_bytes_break_the_reading_of_profiles(data: bytes, head: bytes) -> None:
    image = Image.new("RGB", (2, 2), (9, 9, 9))
    image.info["icc_profile"] = head + data
    assert colour_profiles(image, data=head + data) is not None
    assert rendered(image, with_chunks(encoded(image), (b"iCCP", data), (b"cICP", data[:4]), (b"gAMA", data[:4])))


def test_a_profile_that_decompresses_to_gigabytes_is_refused() -> None:
    with pytest.raises(CorruptPictureError, match="too large"):
        frames(with_chunks(PLAIN, embedded(bytes(50_000_000))))


@pytest.mark.parametrize("kind", ["JPEG", "AVIF", "PNG", "WEBP", "TIFF"])
def test_both_ways_up_are_seen_where_viewers_differ(kind: str) -> None:
    upright = gradient(60, 40)
    exif = Image.Exif()
    exif[0x0112] = 6
    seen = [view.shape[:2] for view in frames(encoded(upright, kind, exif=exif))]
    both = {"PNG": [(60, 40), (40, 60)], "WEBP": [(40, 60), (60, 40)]}
    assert seen == both.get(kind, [(60, 40)])
