"""What in a folder counts as something to look at: by content, and by the promise of a name."""

import io
import os
import struct
from pathlib import Path

import pytest
from conftest import encoded, gradient
from picture_files import FILES

from kidsnanny.errors import InputError, UnsupportedFormatError
from kidsnanny.media.loader import open_picture
from kidsnanny.media.signatures import by_content, media_kind
from kidsnanny.media.walk import is_media, walk


def box(kind: bytes, *brands: bytes) -> bytes:
    return struct.pack(">I", 8 + 4 * len(brands)) + kind + b"".join(brands)


def tiff(*tags: tuple[int, int]) -> bytes:
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(600)


CONTENT = {
    "film": [
        box(b"ftyp", b"isom", b"\0\0\2\0"),
        box(b"ftyp", b"qt  "),
        box(b"ftyp", b"3gp5"),
        box(b"ftyp", b"M4V "),
        box(b"moov") + bytes(30),
        struct.pack(">I", 1) + b"mdat" + bytes(30),
        b"RIFF\0\0\1\0AVI LIST",
        b"\x1aE\xdf\xa3\x01\0\0\0",
        b"\0\0\1\xba\x44",
        b"\0\0\1\xb3\x16",
        (b"G" + bytes(187)) * 5,
        (bytes(4) + b"G" + bytes(187)) * 5,
        b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9",
        b"FLV\1\5",
        b"OggS\0\2" + bytes(22) + b"\1\x2a\x80theora",
        b".RMF\0\0\0\x12",
        b"CWS\x0a",
    ],
    "raw photo": [
        b"II*\0\x10\0\0\0CR\2\0",
        box(b"ftyp", b"crx ", b"\0\0\0\1"),
        b"IIRO\x08\0\0\0",
        b"MMOR\0\0\0\x08",
        b"IIU\0\x18\0\0\0",
        b"FUJIFILMCCD-RAW 0201",
        b"FOVb\0\0\2\0",
        b"\0MRM\0\0\0\0",
        b"II\x1a\0\0\0HEAPCCDR",
        tiff((254, 1), (50706, 1)),
        tiff((254, 1), (330, 8)),
    ],
    "picture": [
        *FILES.values(),
        b"\xff\xd8\xff\xe0 and no more",
        b"\x89PNG\r\n\x1a\n",
        b"\xff\x0a\xfa\x1f",
        b"\0\0\0\x0cJXL \r\n\x87\n",
        box(b"ftyp", b"heic", b"\0\0\0\0"),
        box(b"ftyp", b"mif1"),
        box(b"ftyp", b"avis"),
        b"\0\0\0\x0cjP  \r\n\x87\n",
        b"8BPS\0\1",
        b"gimp xcf v011",
        b'<?xml version="1.0"?>\n<!-- a drawing -->\n<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN">\n<svg width="1">',
        b'\xef\xbb\xbf<svg xmlns="http://www.w3.org/2000/svg">',
        b"P6\n# made by hand\n4 4\n255\n",
        b"v/1\1\2\0\0\0",
        b"#?RADIANCE\n",
        b"DDS |\0\0\0",
        b"\0\0\1\0\1\0\x10\x10",
        b"\x0a\5\1\x08\0\0\0\0",
        b"\1\0\0\0" + bytes(36) + b" EMF",
        b"FLIF\x44",
        b"BPG\xfb",
        b"qoif\0\0\0\1",
        b"%!PS-Adobe-3.0 EPSF-3.0",
    ],
    "pdf": [b"%PDF-1.7\n", b"\n\n%PDF-1.4\n"],
    "archive": [
        b"PK\3\4\x14\0",
        b"Rar!\x1a\7\1\0",
        b"7z\xbc\xaf\x27\x1c\0\4",
        b"photo.jpg" + bytes(248) + b"ustar\0",
    ],
}


@pytest.mark.parametrize(
    ("kind", "head"), [(kind, head) for kind, heads in CONTENT.items() for head in heads], ids=lambda x: repr(x)[:24]
)
def test_content_tells_under_any_name(tmp_path: Path, kind: str, head: bytes) -> None:
    assert by_content(head) == kind
    for name in ("holiday.txt", "clip", "notes.md", "data.db"):
        (tmp_path / name).write_bytes(head)
        assert is_media(tmp_path / name), name


OTHER = {
    "notes.txt": b"We drove to the sea, duty free, and saw RIFF raff. " * 80,
    "moved.txt": b"I'm moov'ing",
    "P3 plan.txt": b"P3 meeting at 10 45",
    "page.html": b"<!DOCTYPE html><html><body><svg></svg>",
    "feed.xml": b'<?xml version="1.0"?><rss><svg/></rss>',
    "app.ts": b"export const answer = 42;\n",
    "module.mts": b"export default 1;\n",
    "go.mod": b"module example.org/x\n",
    "script.py": b"print('hello')\n",
    "album.db": b"SQLite format 3\0" + bytes(100),
    "table.xlsx": b"PK\3\4\x14\0",
    "game.jar": b"PK\3\4\x14\0",
    "song.mp3": b"ID3\4\0\0\0\0\0\0",
    "song.m4a": box(b"ftyp", b"M4A ", b"\0\0\0\0"),
    "song.ogg": b"OggS\0\2" + bytes(22) + b"\1\x1e\1vorbis",
    "song.wav": b"RIFF\0\0\1\0WAVEfmt ",
    "tool": b"\x7fELF\2\1\1" + bytes(60),
    "tool.exe": b"MZ\x90\0\3\0",
    "empty.txt": b"",
    "log.gz": b"\x1f\x8b\x08\0",
    "IMG_1.AAE": b'<?xml version="1.0"?><plist></plist>',
}


@pytest.mark.parametrize("name", OTHER)
def test_truly_other_files_are_passed_over(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(OTHER[name])
    assert not is_media(tmp_path / name)


NAMES = (
    "a.mp4 a.MOV a.m4v a.3gp a.avi a.mkv a.webm a.mpg a.mpeg a.wmv a.asf a.flv a.ogv a.vob a.rm a.cr2 a.cr3 a.nef "
    "a.nrw a.arw a.srf a.sr2 a.orf a.rw2 a.raf a.pef a.dng a.x3f a.3fr a.kdc a.erf a.mrw a.pdf a.zip a.rar a.7z a.tar "
    "a.tgz a.tar.gz a.tar.zst a.cbz a.cbr a.jxl a.heic a.HEIF a.avif a.svg a.svgz a.psd a.xcf a.ico a.tga a.pcx a.ppm "
    "a.exr a.hdr a.dds a.jp2 a.wmf a.emf a.apng a.flif a.bpg a.jpeg a.tif a.pptx"
).split()


@pytest.mark.parametrize("content", [b"", b"\0\1\2\3 nothing known"])
@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_promises_media_is_believed(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert is_media(tmp_path / name)


def test_a_damaged_film_under_a_name_that_programs_have_as_well(tmp_path: Path) -> None:
    (tmp_path / "00001.mts").write_bytes(b"\1\0broken")
    assert is_media(tmp_path / "00001.mts")


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("a.mp4", CONTENT["film"][0], "it is a film, and films are not looked at; watch it yourself."),
        ("holiday.jpg", CONTENT["film"][0], "it is a film"),
        ("big.mov", CONTENT["film"][1] + bytes(2**21), "it is a film"),
        ("a.cr2", CONTENT["raw photo"][0], "it is a raw photo, and these are not looked at; export it as JPEG."),
        ("a.nef", encoded(gradient(), "TIFF"), "it is a raw photo"),
        ("a.tif", CONTENT["raw photo"][-1], "it is a raw photo"),
        ("a.zip", CONTENT["archive"][0], "it is an archive, and the pictures in it are not looked at; unpack it"),
        ("a.tar.gz", b"\x1f\x8b\x08\0", "it is an archive"),
        ("a.jpg.gz", b"\x1f\x8b\x08\0", "it is an archive"),
        ("letter.docx", b"PK\3\4\x14\0", "it is a document, and the pictures in it are not looked at"),
        ("a.gif", b"GIF89a", "it does not decode"),
        ("a.pdf", CONTENT["pdf"][0], "it is a PDF that cannot be opened"),
        ("a.mp4", b"\0garbage", "its content is none of JPEG, "),
    ],
)
def test_what_is_not_looked_at_is_named(tmp_path: Path, name: str, data: bytes, why: str) -> None:
    (tmp_path / name).write_bytes(data)
    assert is_media(tmp_path / name)
    with pytest.raises(InputError) as raised:
        open_picture(tmp_path / name)
    assert str(raised.value).startswith(f"{tmp_path / name}: {why}")
    assert not str(raised.value).endswith("..")


@pytest.mark.parametrize(
    ("data", "hints"),
    [
        ("Grüße\n".encode(), True),
        ("é".encode() * 4096, True),  # the first bytes end within a character
        ("Grüße\n".encode("latin-1"), False),
        (b"\0\1", False),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", False),
    ],
)
def test_a_text_is_not_a_picture_and_the_reason_says_what_to_do(data: bytes, hints: bool) -> None:
    with pytest.raises(InputError, match="its content is none of JPEG") as raised:
        open_picture(data)
    assert str(raised.value).endswith("or check text with --text.") is hints


@pytest.mark.parametrize("kind", ["film", "raw photo", "archive"])
def test_what_is_not_looked_at_is_named_without_a_name_too(kind: str) -> None:
    for data in CONTENT[kind]:
        with pytest.raises(UnsupportedFormatError, match=f"^sha256:[0-9a-f]{{64}}: it is an? {kind}, and"):
            open_picture(io.BytesIO(data))


@pytest.mark.parametrize("kind", FILES)
@pytest.mark.parametrize("name", ["a.jpg", "a.mp4", "a.txt", "a.zip", "a"])
def test_a_picture_is_looked_at_under_any_name(tmp_path: Path, kind: str, name: str) -> None:
    (tmp_path / name).write_bytes(FILES[kind])
    assert media_kind(name, FILES[kind]) == "picture"
    assert open_picture(tmp_path / name).data == FILES[kind]


def test_a_folder_that_cannot_be_opened_is_said_to_be_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)

    real = os.scandir

    def scandir(path: str | os.PathLike[str]) -> object:
        if Path(path) == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    files, unwalked = walk(tmp_path)
    assert files == []
    assert {path.name for path in unwalked} == {"closed", "link"}
    for path, why in (
        (closed, "it is a folder that cannot be opened (Permission denied), so nothing in it was looked at"),
        (tmp_path / "link", "it is a link to a folder, which is not followed; give the path of the folder itself."),
        (tmp_path, "it is a folder; give the path of a picture file."),
    ):
        with pytest.raises(InputError) as raised:
            open_picture(path)
        assert str(raised.value).startswith(f"{path}: {why}")
