"""What a file holds besides its frames: looked at where it is a picture of its own, named where it is none."""

import io
import struct
import zipfile

import numpy as np
import pytest
from conftest import encoded, gradient, page, scripted
from picture_files import DARK, FILES, dark, frames, moving
from PIL import Image

from kidsnanny.media.embedded import same
from kidsnanny.media.loader import Limits, open_picture

BAD = Image.new("RGB", (40, 30), "red")  # what the scripted eye reports


def segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def behind_start(jpeg: bytes, more: bytes) -> bytes:
    return jpeg[:2] + more + jpeg[2:]


def exif_thumbnail(thumbnail: bytes) -> bytes:
    """A segment of EXIF whose second directory points at a JPEG."""
    head = b"II*\0" + struct.pack("<IHIH", 8, 0, 14, 2)
    places = struct.pack("<HHIIHHIII", 0x0201, 4, 1, 44, 0x0202, 4, 1, len(thumbnail), 0)
    return segment(0xE1, b"Exif\0\0" + head + places + thumbnail)


def uncompressed_thumbnail(image: Image.Image) -> bytes:
    """A segment of EXIF whose second directory holds RGB."""
    values = {256: image.width, 257: image.height, 259: 1, 262: 2, 273: 200, 277: 3, 278: image.height}
    tags = [(tag, 4, 1, value) for tag, value in (values | {279: image.width * image.height * 3}).items()]
    entries = b"".join(struct.pack("<HHII", *tag) for tag in sorted([*tags, (258, 3, 3, 190)]))
    head = b"II*\0" + struct.pack("<IHIH", 8, 0, 14, len(tags) + 1) + entries + bytes(4)
    return segment(0xE1, b"Exif\0\0" + head.ljust(190, b"\0") + b"\x08\0" * 3 + bytes(4) + image.tobytes())


def photoshop(thumbnail: bytes) -> bytes:
    size = 28 + len(thumbnail)
    resource = b"8BIM" + struct.pack(">HHI", 1036, 0, size) + bytes(28) + thumbnail
    return segment(0xED, b"Photoshop 3.0\0" + resource)


def chunked(kind: bytes, data: bytes) -> bytes:
    """A PNG with one more chunk."""
    import zlib

    chunk = struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    return FILES["PNG"][:33] + chunk + FILES["PNG"][33:]


def tiff_with_a_sub_directory() -> bytes:
    """A dark page that points at a red one."""
    pages = moving("TIFF", dark(), BAD)
    first = struct.unpack_from("<I", pages, 4)[0]
    (count,) = struct.unpack_from("<H", pages, first)
    (second,) = struct.unpack_from("<I", pages, first + 2 + 12 * count)
    tags = pages[first + 2 : first + 2 + 12 * count] + struct.pack("<HHII", 330, 4, 1, second)
    alone = struct.pack("<H", count + 1) + tags + struct.pack("<I", 0)
    return pages[:4] + struct.pack("<I", len(pages)) + pages[8:] + alone


RED = encoded(BAD, "JPEG")
PICTURES = {
    "JPEG behind a JPEG": FILES["JPEG"] + RED,
    "PNG behind a JPEG": FILES["JPEG"] + encoded(BAD),
    "JPEG behind zeros behind a JPEG": FILES["JPEG"] + bytes(4096) + RED,
    "JPEG behind a video behind a JPEG": FILES["JPEG"] + b"\0\0\0\x18ftypmp42" + bytes(999) + RED,
    "second JPEG behind a JPEG": FILES["JPEG"] + FILES["JPEG progressive"] + RED,
    "BMP behind a JPEG": FILES["JPEG"] + encoded(BAD, "BMP"),
    "TIFF behind zeros behind a PNG": FILES["PNG"] + bytes(99) + encoded(BAD, "TIFF"),
    "GIF behind a PNG": FILES["PNG"] + encoded(BAD, "GIF"),
    "WebP behind a PNG": FILES["PNG"] + encoded(BAD, "WEBP"),
    "AVIF behind a JPEG": FILES["JPEG"] + encoded(BAD, "AVIF", speed=10),
    "JPEG behind a GIF": FILES["GIF moving"] + RED,
    "JPEG behind a WebP": FILES["WebP"] + RED,
    "JPEG behind a BMP": FILES["BMP"] + RED,
    "JPEG behind an AVIF": FILES["AVIF"] + RED,
    "JPEG behind a TIFF": FILES["TIFF"] + RED,
    "last frame of a GIF behind a JPEG": FILES["JPEG"] + moving("GIF", *DARK, BAD),
    "EXIF thumbnail": behind_start(FILES["JPEG"], exif_thumbnail(RED)),
    "EXIF thumbnail without compression": behind_start(FILES["JPEG"], uncompressed_thumbnail(BAD)),
    "EXIF thumbnail of a PNG": chunked(b"eXIf", exif_thumbnail(RED)[10:]),
    "Photoshop thumbnail": behind_start(FILES["JPEG"], photoshop(RED)),
    "JFXX thumbnail": behind_start(FILES["JPEG"], segment(0xE0, b"JFXX\0\x10" + RED)),
    "JPEG in a chunk of a PNG": chunked(b"prVW", RED),
    "second picture of an MPO": moving("MPO", dark(), BAD),
    "sub-directory of a TIFF": tiff_with_a_sub_directory(),
}


@pytest.mark.parametrize("data", PICTURES.values(), ids=PICTURES)
def test_a_further_picture_is_looked_at(data: bytes) -> None:
    verdict = scripted()(data)
    assert verdict.label == "unsafe"
    assert verdict.reasons[0].frame > 0


def test_a_further_picture_has_a_name_in_the_verdict() -> None:
    verdict = scripted()(PICTURES["EXIF thumbnail"])
    assert verdict.remarks == ("frame 1 is its EXIF thumbnail",)
    assert "Also: frame 1 is its EXIF thumbnail." in str(verdict)
    assert "frame 1 is its EXIF thumbnail" in verdict.model_dump_json()


def archive() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.txt", "a")
    return file.getvalue()


MP4 = b"\0\0\0\x18ftypmp42" + bytes(50) + b"moov" + bytes(900)
ORDINARY = {
    "video": (FILES["JPEG"] + MP4, "a video (MP4) behind its end, 966 bytes"),
    "Samsung's video": (FILES["JPEG"] + b"\0\0\x30\x0a\x10\0\0\0MotionPhoto_Data" + MP4, "a video (MP4)"),
    "archive": (FILES["JPEG"] + archive(), "an archive (ZIP)"),
    "unknown": (FILES["JPEG"] + b"SEFH" + b"k" * 96, "100 bytes behind its end, of no known kind"),
    "text behind a PNG": (FILES["PNG"] + b"hello", "5 bytes"),
    "frames behind the end of a GIF": (FILES["GIF"] + FILES["GIF moving"][400:], "of no known kind"),
    "unknown behind a WebP": (FILES["WebP"] + b"hello", "5 bytes"),
    "gain map": (FILES["JPEG"] + encoded(dark().convert("L").resize((20, 15)), "JPEG"), "a picture behind its end"),
    "two pictures of one scene": (moving("MPO", dark(), dark()), None),
}


@pytest.mark.parametrize(("data", "says"), ORDINARY.values(), ids=ORDINARY)
def test_what_an_ordinary_file_carries_is_named_and_changes_no_label(data: bytes, says: str | None) -> None:
    verdict = scripted()(data)
    assert (verdict.label, verdict.not_inspected) == ("safe", ())
    assert says in " ".join(verdict.remarks) if says else verdict.remarks == ()


def photograph(width: int = 640, height: int = 480) -> Image.Image:
    rng = np.random.default_rng(0)
    rough = Image.fromarray(rng.integers(0, 256, (height // 8, width // 8), dtype=np.uint8)).convert("RGB")
    return Image.blend(gradient(width, height), rough.resize((width, height), Image.Resampling.BICUBIC), 0.3)


def barred(image: Image.Image) -> Image.Image:
    small = Image.new("RGB", (160, 120))
    small.paste(image.resize((160, 90)), (0, 15))
    return small


THUMBNAILS = {
    "scaled": lambda image: image.resize((160, 120)),
    "sampled by another filter": lambda image: image.resize((160, 120), Image.Resampling.BILINEAR),
    "coarse": lambda image: image.reduce(4),
}


@pytest.mark.parametrize("scale", THUMBNAILS.values(), ids=THUMBNAILS)
@pytest.mark.parametrize("quality", [60, 75, 95])
def test_a_thumbnail_that_shows_the_same_is_no_frame(scale, quality: int) -> None:
    image = photograph()
    data = behind_start(encoded(image, "JPEG"), exif_thumbnail(encoded(scale(image), "JPEG", quality=quality)))
    picture = open_picture(data)
    assert [frame.index for frame in picture.frames()] == [0]
    assert not picture.remarks


def test_a_thumbnail_between_bars_is_no_frame() -> None:
    image = photograph(640, 360)
    data = behind_start(encoded(image, "JPEG"), exif_thumbnail(encoded(barred(image), "JPEG", quality=90)))
    assert len(frames(data)) == 1


def test_a_thumbnail_is_turned_with_its_picture() -> None:
    image, exif = photograph(), Image.Exif()
    exif[0x0112] = 6
    thumbnail = encoded(image.resize((160, 120)), "JPEG", quality=90)
    data = encoded(image, "JPEG", exif=exif)
    data = behind_start(data, photoshop(thumbnail))
    assert len(frames(data)) == 1


@pytest.mark.parametrize("contrast", [14, 40, 200])
def test_text_that_only_the_thumbnail_has_makes_it_a_frame(contrast: int) -> None:
    small = page(size=(160, 120))
    text = np.asarray(page("i will kill you", size=(160, 120), letters=16)).astype(int)
    written = Image.fromarray((255 - (255 - text) * contrast // 255).astype(np.uint8))
    assert same(np.asarray(page(size=(640, 480))), np.asarray(small))
    data = behind_start(encoded(page(), "JPEG"), exif_thumbnail(encoded(written, "JPEG", quality=90)))
    assert len(frames(data)) == 2


def test_a_busy_picture_hides_no_other_thumbnail() -> None:
    rows, columns = np.mgrid[:120, :160]
    for cell in (1, 2, 3, 4):
        board = ((rows // cell + columns // cell) % 2 * 255).astype(np.uint8)
        main = np.repeat(board[..., None], 3, axis=2)
        assert same(main, main)
        assert not same(main, np.asarray(page("i will kill you", size=(160, 120), letters=16)))
        assert not same(main, np.asarray(page("i will kill you", size=(160, 120), letters=16).point(lambda v: v // 2)))


def test_more_pictures_than_are_looked_at_are_named() -> None:
    data = b"".join(encoded(dark(seed, 16, 16), "JPEG") for seed in range(40))
    picture = open_picture(data)
    assert len(list(picture.frames())) == 17
    assert "more further pictures" in picture.skipped[0].reason


def test_a_further_picture_past_a_limit_is_not_safe() -> None:
    picture = open_picture(FILES["JPEG"] + encoded(gradient(80, 80), "JPEG"), Limits(pixels=40 * 30))
    assert len(list(picture.frames())) == 1
    assert "a picture behind its end" in picture.skipped[0].reason


def test_a_picture_in_a_picture_in_a_picture_is_found_once() -> None:
    nested = behind_start(encoded(gradient(200, 100), "JPEG"), exif_thumbnail(RED))
    assert len(frames(FILES["JPEG"] + nested)) == 2
