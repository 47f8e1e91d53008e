"""What a file's first bytes and its name promise: a picture, a film, a raw photo, or a collection of pictures.

The table is our own because it is short and must not guess: a library for all kinds of file knows neither which TIFF
is a raw photo nor which Ogg file has no pictures.
"""

import codecs
import os
import re
import struct
from typing import Literal, cast

from kidsnanny.errors import Cause, UnsupportedFormatError

Media = Literal["picture", "film", "raw photo", "pdf", "document", "archive"]
HEAD = 4096
"""Bytes that are enough to tell what a file is."""

_SIGNATURES: dict[Media, bytes] = {
    "raw photo": (rb"(?:II\*\0.{4}CR|IIRO|IIRS|MMOR|IIU\0|FUJIFILMCCD-RAW|FOVb|\0MRM|II.{4}HEAPCCDR|.{4}ftypcrx )"),
    "picture": (
        rb"(?:\xff\xd8\xff|\x89PNG\r\n|\x8aMNG\r\n|\x8bJNG\r\n|GIF8[79]a|RIFF.{4}(?:WEBP|ACON)|(?:MM|II)[\0*+][\0*+]"
        rb"|BM.{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\0\0\0|.{4}ftyp(?:avi[fs]|mif[12]|msf1|he[a-z][a-z])|\xff\x0a"
        rb"|\0\0\0\x0c(?:JXL |jP  )\r\n\x87\n|\xffO\xffQ|8BPS|gimp xcf|v/1\x01|#\?(?:RADIANCE|RGBE)|DDS \|"
        rb"|P[1-6]\s(?:#[^\n]*\n|\s)*+\d++\s++\d++\s|P7\nWIDTH|P[Ff]\n-?\d|FLIF[\x30-\x6f]|BPG\xfb|qoif|icns\0"
        rb"|\0\0[\x01\x02]\0[\x01-\x40]\0|\x0a[\0-\x05]\x01[\x01-\x18]\0|\xd7\xcd\xc6\x9a|\x01\0\0\0.{36} EMF"
        rb"|II\xbc\x01|Y\xa6j\x95|\x01\xda[\0\x01][\x01\x02]|/\* XPM \*/|AT&TFORM|.{128}DICM|SIMPLE  =|%!PS"
        rb"|\xc5\xd0\xd3\xc6|(?:\xef\xbb\xbf)?"
        rb"(?:\s|<\?xml[^>]*>|<!--(?>.*?-->)|<!DOCTYPE\s+svg(?>[^>\[]*(?:\[[^\]]*\])?[^>]*>))*+<(?:svg:)?svg[\s>])"
    ),
    "film": (
        rb"(?:.{4}ftyp(?!M4[ABP] )|[\0-\x08].{3}(?:moov|mdat|wide|free|skip|pnot)|RIF[FX].{4}(?:AVI |CDXA)"
        rb"|\x1aE\xdf\xa3|\0\0\x01[\xba\xb3]|\0\0\0\x01[\x27\x40\x67]|G(?:.{187}G){3}|.{4}G(?:.{191}G){3}"
        rb"|\x30\x26\xb2\x75\x8e\x66\xcf\x11|FLV\x01|OggS.{0,1000}(?:\x80theora|\x01video|fishead|BBCD)|\.RMF"
        rb"|[FCZ]WS[\x01-\x32]|.{4}[\x11\x12]\xaf.{6}\x08\0)"
    ),
    "pdf": rb".{0,1000}?%PDF-\d",
    "archive": (
        rb"(?:PK\x03\x04|PK\x05\x06|Rar!\x1a\x07|7z\xbc\xaf\x27\x1c|.{257}ustar|\x1f\x8b\x08|\xfd7zXZ\0"
        rb"|BZh[1-9]1AY&SY|\x28\xb5\x2f\xfd)"
    ),
}
_PATTERNS = {kind: re.compile(pattern, re.DOTALL) for kind, pattern in _SIGNATURES.items()}

RAW = frozenset(
    ".3fr .ari .arw .bay .cap .cr2 .cr3 .crw .dcr .dcs .dng .erf .fff .gpr .iiq .k25 .kdc .mdc .mef .mos .mrw .nef "
    ".nrw .orf .ori .pef .ptx .pxn .r3d .raf .raw .rw2 .rwl .rwz .sr2 .srf .srw .x3f".split()
)
_NAMES: dict[Media, frozenset[str]] = {
    "raw photo": RAW,
    "picture": frozenset(
        ".jpg .jpeg .jpe .jfif .png .apng .gif .webp .bmp .dib .tif .tiff .avif .avifs .heic .heics .heif .heifs .hif "
        ".jxl .jp2 .j2k .j2c .jpc .jpf .jpx .jxr .wdp .hdp .psd .psb .svg .svgz .eps .ps .ai .xcf .ico .cur .ani "
        ".icns .tga .pcx .ppm .pgm .pbm .pnm .pam .pfm .exr .hdr .dds .wmf .emf .flif .bpg .qoi .mng .jng .mpo .jps "
        ".pns .fli .flc .xpm .xbm .sgi .ras .djvu .dcm .insp .icloud".split()
    ),
    "film": frozenset(
        ".mp4 .m4v .mov .qt .3gp .3g2 .avi .divx .mkv .mk3d .webm .mpg .mpeg .mpe .m1v .m2v .mpv .mp2v .m2t .m2ts .ts "
        ".mts .tod .mod .wmv .asf .flv .f4v .ogv .ogm .vob .rm .rmvb .swf .dv .mxf .amv .insv .lrv .h264 .h265 .hevc "
        ".ivf".split()
    ),
    "pdf": frozenset({".pdf"}),
    "document": frozenset(
        ".xps .oxps .ppt .pptx .pps .ppsx .odp .docx .docm .dotx .odt .ott .odg .epub .cbz .cbr .cb7 .cbt".split()
    ),
    "archive": frozenset(".zip .zipx .rar .7z .tar .tgz .tbz2 .txz".split()),
}
_BY_SUFFIX = {suffix: kind for kind, suffixes in _NAMES.items() for suffix in suffixes}
_ALSO_TEXT = frozenset({".ts", ".mts", ".mod", ".raw", ".ps", ".ai", ".cur", ".cap", ".hdr", ".dcs", ".ras", ".icloud"})
"""Suffixes that programs, settings and tables have as well: such a file counts unless it is text."""
_OTHER_ZIPS = frozenset(
    ".xlsx .xlsm .ods .jar .apk .aab .ipa .whl .egg .nupkg .xpi .crx .npz .pt "
    ".pth .keras .kra .sketch .vsdx .kmz .aar .war .mcworld .mcpack .sb3".split()
)
"""ZIP files that are no archive to whoever uses them: tables, programs, models."""
_COMPRESSED = re.compile(rb"\x1f\x8b|\xfd7zXZ|BZh|\x28\xb5\x2f\xfd")
"""One file, compressed, which a log or a table may be as well as a picture."""
NOT_LOOKED_AT: dict[Media | None, str] = {
    "film": "a film, and films are not looked at; watch it yourself",
    "raw photo": "a raw photo, and these are not looked at; export it as JPEG",
    "document": "a document, and the pictures in it are not looked at; export its pages as PNG",
    "archive": "an archive, and the pictures in it are not looked at; unpack it and give the folder",
}
"""Why it is not looked at, and what to do."""
_SUFFIX = re.compile(r"(?:\.tar\.[a-z0-9]+|\.[a-z0-9]+)$")


def by_content(head: bytes) -> Media | None:
    """What the first bytes, HEAD or all there are, say that a file is; None if it is none of these."""
    found = next((kind for kind, pattern in _PATTERNS.items() if pattern.match(head)), None)
    return "raw photo" if found == "picture" and _raw_tiff(head) else found


def by_name(name: str | os.PathLike[str]) -> Media | None:
    """What a file's name promises."""
    suffix = _suffix(name)
    return "archive" if suffix.startswith(".tar") else _BY_SUFFIX.get(suffix)


def media_kind(name: str | os.PathLike[str], head: bytes) -> Media | None:
    """What a file is by its first bytes, and otherwise by its name; None if it has nothing to look at, such as text."""
    found, promised = by_content(head), by_name(name)
    if promised == "raw photo" and head[:2] in (b"II", b"MM"):
        return promised  # a TIFF to its first bytes, of which a reader of TIFF finds the thumbnail
    if found == "archive" and _COMPRESSED.match(head):
        inside = os.path.splitext(name)[0]
        return promised or (found if by_name(inside) else None)
    if found == "archive" and (promised or _suffix(name) in _OTHER_ZIPS):
        return promised
    if found or promised is None:
        return found
    return None if _suffix(name) in _ALSO_TEXT and head and not _binary(head) else promised


def check_kind(name: str, kind: Media | None) -> None:
    """Nothing for a picture, and for what may be one.

    Raises:
        UnsupportedFormatError: a file of this kind is not looked at.
    """
    if why := NOT_LOOKED_AT.get(kind):
        raise UnsupportedFormatError(f"it is {why}.", name=name, cause=cast("Cause", kind))


def is_text(head: bytes) -> bool:
    """Whether the first bytes of a file, which may end within a character, can be text in UTF-8."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return not _binary(head)


def _suffix(name: str | os.PathLike[str]) -> str:
    found = _SUFFIX.search(os.path.basename(os.fsdecode(name)).lower())
    return found[0] if found else ""


def _binary(head: bytes) -> bool:
    return b"\0" in head


def _raw_tiff(head: bytes) -> bool:
    """Whether a TIFF is a raw photo: it says it is a DNG, or its first picture is a small copy of one in another
    folder of the file."""
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None:
        return False
    tags: dict[int, int] = {}
    try:
        (at,) = struct.unpack_from(f"{order}I", head, 4)
        (count,) = struct.unpack_from(f"{order}H", head, at)
        for place in range(at + 2, at + 2 + 12 * count, 12):
            tag, kind = struct.unpack_from(f"{order}HH", head, place)
            tags[tag] = struct.unpack_from(f"{order}{'H' if kind == 3 else 'I'}", head, place + 8)[0]
    except struct.error:
        pass  # the folder is further on, or torn
    return 50706 in tags or (330 in tags and tags.get(254) == 1)
