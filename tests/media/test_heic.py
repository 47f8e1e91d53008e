"""HEIC and AVIF: what telephones write, and what may be wrong with it."""

import io
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from conftest import encoded, gradient, scripted
from picture_files import DARK, FILES, dark, frames, heic
from PIL import Image

from kidsnanny.errors import InputError
from kidsnanny.media.colour_profiles import PRIMARIES, _curve, _matrix
from kidsnanny.media.heic import boxes, damage, is_heic
from kidsnanny.media.loader import Limits, open_picture

BAD = Image.new("RGB", (40, 30), "red")  # what the scripted eye reports
EXACT = {"quality": -1, "chroma": "444"}
P3 = _matrix(PRIMARIES[12], _curve(13))[0].data


def patched(data: bytes, *changes: tuple[bytes, bytes]) -> bytes:
    """The file with bytes replaced by as many others."""
    for before, after in changes:
        assert len(before) == len(after)
        assert before in data
        data = data.replace(before, after)
    return data


def as_exif(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


def near(found: np.ndarray, expected: Image.Image, levels: int = 4) -> bool:
    wanted = np.asarray(expected.convert("RGB")).astype(int)
    return found.shape == wanted.shape and np.abs(found - wanted).mean() < levels


PICTURES: dict[str, tuple[Image.Image, dict]] = {
    "one pixel": (Image.new("RGB", (1, 1), (200, 30, 40)), {}),
    "odd sizes": (gradient(65, 33), {}),
    "4:2:0": (gradient(), {"chroma": "420"}),
    "4:2:2": (gradient(), {"chroma": "422"}),
    "tiles": (gradient(200, 150), {"tile_size": 64}),
    "gray": (gradient().convert("L"), {}),
    "twelve bits": (Image.fromarray(np.asarray(gradient().convert("L")).astype(np.uint16) * 257), {}),
}


@pytest.mark.parametrize(("image", "options"), PICTURES.values(), ids=PICTURES)
def test_a_picture_comes_out_as_it_was(image: Image.Image, options: dict) -> None:
    picture = open_picture(heic(image, **{"quality": 95} | options))
    (found,) = [frame.rgb for frame in picture.frames()]
    shown = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8)) if image.mode.startswith("I") else image
    assert near(found, shown)
    assert (picture.image.format, picture.skipped, picture.remarks) == ("HEIC", [], [])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_containers_orientation_counts_once_whatever_exif_says(orientation: int) -> None:
    """As a telephone writes it: turned in the container, and the same in EXIF."""
    undo = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    upright = gradient(60, 40)
    stored = upright.transpose(Image.Transpose(undo[orientation])) if orientation > 1 else upright
    (found,) = frames(heic(stored, exif=as_exif(orientation), **EXACT))
    assert near(found, upright)


def test_an_orientation_that_only_exif_names_is_looked_at_both_ways() -> None:
    """The standard says it does not count, and some viewers go by it."""
    stored = gradient(60, 40)
    first, second = frames(patched(heic(stored, exif=as_exif(1), **EXACT), (as_exif(1)[6:], as_exif(6)[6:])))
    assert near(first, stored)
    assert near(second, stored.transpose(Image.Transpose.ROTATE_270))


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_what_shines_through_is_seen_on_white_and_on_black(mode: str) -> None:
    image = Image.new("RGBA", (64, 64), (255, 255, 255, 0)).convert(mode)
    on_white, on_black = frames(heic(image, **EXACT))
    assert on_white.min() > 250
    assert on_black.max() < 5


def numbered(data: bytes, primaries: int, transfer: int) -> bytes:
    at = data.index(b"colrnclx") + 8
    return data[:at] + struct.pack(">HH", primaries, transfer) + data[at + 4 :]


COLOURS: dict[str, tuple[Callable[[Image.Image], bytes], bool]] = {
    "HEIC without a profile": (lambda image: heic(image, **EXACT), False),
    "HEIC with a profile": (lambda image: heic(image, icc_profile=P3, **EXACT), True),
    "HEIC with numbers": (lambda image: numbered(heic(image, **EXACT), 12, 13), True),
    "HEIC with a camera's curve": (lambda image: numbered(heic(image, **EXACT), 1, 1), False),
    "AVIF with a profile": (lambda image: encoded(image, "AVIF", quality=100, icc_profile=P3), True),
    "AVIF with numbers": (lambda image: numbered(encoded(image, "AVIF", quality=100), 12, 13), True),
}


@pytest.mark.parametrize(("save", "wide"), COLOURS.values(), ids=COLOURS)
def test_display_p3_is_shown_as_a_browser_shows_it(save: Callable[[Image.Image], bytes], wide: bool) -> None:
    (found, *_) = frames(save(Image.new("RGB", (64, 64), (180, 90, 60))))
    expected = (195, 86, 53) if wide else (180, 90, 60)
    assert np.abs(found.reshape(-1, 3).mean(0) - expected).max() < 6


# ------------------------------------------------------------------ several pictures in a file


def test_every_picture_is_a_frame_the_main_one_first() -> None:
    images = [Image.new("RGB", (64, 64), (60 * n, 0, 0)) for n in range(4)]
    data = heic(*images, primary_index=2, **EXACT)
    assert [round(float(one[..., 0].mean()) / 60) for one in frames(data)] == [2, 0, 1, 3]


def test_pictures_past_the_cap_are_named() -> None:
    picture = open_picture(FILES["HEIC pictures"], Limits(frames=2))
    assert len(list(picture.frames())) == 2
    assert "2 of 4 frames" in picture.skipped[0].reason


def with_box(data: bytes, kind: bytes, content: bytes) -> bytes:
    return data + struct.pack(">I4s", 8 + len(content), kind) + content


def with_other_thumbnail() -> bytes:
    """The thumbnail of a red picture in a dark one's file: what refers to the pictures is exchanged."""
    file, written = pillow_heif.HeifFile(), io.BytesIO()
    for number, image in enumerate((dark(width=160, height=120), BAD.resize((160, 120)))):
        file.add_from_pillow(image)
        file[number].info["thumbnails"] = [64]
    file.save(written)
    data = written.getvalue()
    at = data.index(b"thmb") + 4
    (thumbnail,) = struct.unpack_from(">H", data, at)
    other = data.index(b"thmb", at) + 4
    (second,) = struct.unpack_from(">H", data, other)
    swapped = bytearray(data)
    swapped[at : at + 2], swapped[other : other + 2] = struct.pack(">H", second), struct.pack(">H", thumbnail)
    return bytes(swapped)


HIDDEN = {
    "second picture": heic(dark(), BAD),
    "HEIC behind a JPEG": FILES["JPEG"] + heic(BAD),
    "JPEG behind a HEIC": FILES["HEIC"] + encoded(BAD, "JPEG"),
    "last picture of an AVIF": encoded(dark(), "AVIF", save_all=True, append_images=[BAD], speed=10),
}


@pytest.mark.parametrize("data", HIDDEN.values(), ids=HIDDEN)
def test_wherever_a_bad_picture_hides_it_is_seen(data: bytes) -> None:
    assert scripted()(data).label == "unsafe"


def test_a_thumbnail_that_shows_something_else_is_a_frame() -> None:
    picture = open_picture(with_other_thumbnail())
    found = list(picture.frames())
    assert "frame 2 is its thumbnail" in picture.remarks
    assert found[2].rgb[..., 0].mean() > 200
    assert found[0].rgb[..., 0].max() < 50


def test_a_thumbnail_of_the_same_is_no_frame() -> None:
    assert len(frames(heic(gradient(640, 480), thumbnails=[160, 320]))) == 1


def test_the_film_of_a_live_photo_is_named_and_changes_no_label() -> None:
    film = b"\0\0\0\x18ftypmp42" + bytes(50) + b"moov" + bytes(900)
    verdict = scripted()(with_box(FILES["HEIC"], b"mpvd", film))
    assert (verdict.label, verdict.not_inspected) == ("safe", ())
    assert "a video (MP4) behind its end" in verdict.remarks[0]


def test_a_sequence_beside_the_picture_is_not_safe() -> None:
    verdict = scripted()(with_box(FILES["HEIC"], b"moov", bytes(40)))
    assert verdict.label == "review"
    assert "image sequence" in verdict.not_inspected[0].reason


def test_a_sequence_without_a_picture_says_what_to_do() -> None:
    data = b"\0\0\0\x18ftyphevc\0\0\0\0hevcmsf1" + struct.pack(">I4s", 48, b"moov") + bytes(40)
    with pytest.raises(InputError, match=r"image sequence, and these are not looked at; save its pictures as PNG\.$"):
        open_picture(data)


# ------------------------------------------------------------------ broken and hostile files


def test_tiles_that_are_missing_are_named() -> None:
    """libheif shows black for them and says nothing."""
    verdict = scripted()(FILES["HEIC in tiles"][:-30])
    assert verdict.label == "review"
    assert "the file ends before the picture does" in verdict.not_inspected[0].reason


def test_a_hole_in_the_data_is_named() -> None:
    """libde265 makes up what it cannot read."""
    data = heic(gradient(400, 300), quality=95)
    at = len(data) // 2
    picture = open_picture(data[:at] + bytes(64) + data[at + 64 :])
    assert len(list(picture.frames())) == 1
    assert "its data are damaged" in picture.skipped[0].reason


def sized(data: bytes, width: int, height: int) -> bytes:
    at = data.index(b"ispe") + 8
    return patched(data, (data[at : at + 8], struct.pack(">II", width, height)))


BOMBS = {
    "many pixels": (sized(heic(gradient(64, 64)), 20_000, 20_000), "scale it down"),
    "a long side": (sized(heic(gradient(64, 64)), 40_000, 8), "40000x8"),
    "smaller than its data": (sized(heic(gradient(900, 900)), 64, 48), "does not decode"),
    "larger than its data": (sized(FILES["HEIC"], 200, 200), "does not decode"),
}


@pytest.mark.parametrize(("data", "says"), BOMBS.values(), ids=BOMBS)
def test_a_size_that_is_not_the_pictures_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(InputError, match=says):
        list(open_picture(data).frames())


def test_the_brand_decides_who_reads_it() -> None:
    assert is_heic(FILES["HEIC"])
    assert not is_heic(FILES["AVIF"])
    assert is_heic(patched(FILES["HEIC"], (b"ftypheic", b"ftypmif1")))
    assert not is_heic(patched(FILES["AVIF"], (b"ftypavif", b"ftypmif1")))


def test_the_table_of_contents_is_walked_within_the_file() -> None:
    for data in (FILES["HEIC"], FILES["HEIC in tiles"], FILES["AVIF"]):
        assert damage(data) is None
        for cut in range(0, len(data), 7):
            damage(data[:cut])
    assert [kind for kind, _, _ in boxes(FILES["HEIC"], 0, len(FILES["HEIC"]))] == [b"ftyp", b"meta", b"mdat"]


def test_pillow_knows_no_more_formats_for_it(tmp_path: Path) -> None:
    """An application that imports kidsnanny keeps the Pillow that it had."""
    (tmp_path / "a.heic").write_bytes(FILES["HEIC"])
    script = """
import sys
from PIL import Image, UnidentifiedImageError
from kidsnanny.media.loader import open_picture
assert len(list(open_picture(sys.argv[1]).frames())) == 1
try:
    Image.open(sys.argv[1])
except UnidentifiedImageError:
    sys.exit(42)
"""  # in a process of its own: other packages, as imageio, teach Pillow the format for the whole process
    ended = subprocess.run([sys.executable, "-c", script, str(tmp_path / "a.heic")], check=False)
    assert ended.returncode == 42


def test_each_picture_of_a_burst_is_decoded_by_itself() -> None:
    picture = open_picture(heic(*DARK))
    assert (picture.image.n_frames, picture.image.is_animated) == (4, True)
    with pytest.raises(EOFError):
        picture.image.seek(4)
