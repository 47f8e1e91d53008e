"""Hostile pictures: small files that mean much work. Each maker takes a random generator and a magnitude in 0..1, at
which 1 is as bad as the loader's default limits allow, and gives the bytes of a file.
"""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator

import numpy as np
from PIL import Image, ImageCms, ImageDraw, ImageFont

Maker = Callable[[np.random.Generator, float], bytes]
PIXELS = 89_000_000
"""Just under the loader's default limit of one frame."""
THREAT = "i will kill you and burn your house down tonight"
WORDS = "the quick brown fox jumps over a lazy dog while seven wizards box with quartz".split()


def save(image: Image.Image, kind: str, **options: object) -> bytes:
    """The bytes of the picture in that format."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def small(rng: np.random.Generator, width: int = 96, height: int = 64) -> Image.Image:
    """Smooth colours."""
    corners = rng.integers(0, 256, (3, 3, 3), dtype=np.uint8)
    return Image.fromarray(corners).resize((width, height), Image.Resampling.BICUBIC)


def sides(magnitude: float, longest: int = 30_000) -> tuple[int, int]:
    """Width and height of about `magnitude` times the pixel limit."""
    width = min(longest, max(1, int((PIXELS * magnitude) ** 0.5)))
    return width, max(1, int(PIXELS * magnitude) // width)


# ------------------------------------------------------------------ JPEG


def segment(marker: int, payload: bytes) -> bytes:
    """One JPEG segment with a length."""
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def huffman(table: int, symbol: int) -> bytes:
    """A Huffman table in which the bit 0 means the one symbol."""
    return segment(0xC4, bytes([table, 1, *[0] * 15, symbol]))


def progressive(scans: int, width: int, height: int, start: int = 0xC2) -> bytes:
    """A gray JPEG of many scans, each of a few bytes, that all say "nothing in any block"."""
    blocks = -(-width // 8) * -(-height // 8)
    quantisers = segment(0xDB, bytes([0, *[1] * 64]))
    frame = segment(start, struct.pack(">BHHBBBB", 8, height, width, 1, 1, 0x11, 0))
    first = segment(0xDA, bytes([1, 1, 0x00, 0, 0, 0])) + bytes(-(-blocks // 8))
    run = bits("0" + "1" * 14, -(-blocks // 32_767))
    bands = ((band, low) for low in range(13, -1, -1) for band in range(1, 64))
    body = [first]
    for _ in range(scans - 1):
        band, low = next(bands, (1, 0))
        body.append(segment(0xDA, bytes([1, 1, 0x00, band, band, (0 if low == 13 else (low + 1) << 4) | low])) + run)
    return b"\xff\xd8" + quantisers + frame + huffman(0, 0) + huffman(0x10, 0xE0) + b"".join(body) + b"\xff\xd9"


def bits(code: str, times: int) -> bytes:
    """The code repeated, padded with ones, with a zero after each 0xFF."""
    text = code * times
    text += "1" * (-len(text) % 8)
    return bytes(int(text[at : at + 8], 2) for at in range(0, len(text), 8)).replace(b"\xff", b"\xff\x00")


def behind_start(data: bytes, more: bytes) -> bytes:
    """A JPEG with more segments after its first two bytes."""
    return data[:2] + more + data[2:]


def jpeg_scans(rng: np.random.Generator, magnitude: float) -> bytes:
    """Progressive, of up to 10,000 scans over 16 megapixels."""
    side = int(rng.integers(1_000, 4_000))
    return progressive(max(20, int(10_000 * magnitude)), side, side)


def jpeg_scans_few_and_huge(_: np.random.Generator, magnitude: float) -> bytes:
    """Progressive, of 300 scans at the pixel limit."""
    return progressive(max(5, int(300 * magnitude)), *sides(1))


def jpeg_sequential_scans(_: np.random.Generator, magnitude: float) -> bytes:
    """Not progressive, but its one component comes again and again in scans of its own."""
    width, height = sides(0.1)
    whole = progressive(1, width, height, 0xC0)
    at = whole.index(b"\xff\xda")
    scan = segment(0xDA, bytes([1, 1, 0x00, 0, 63, 0])) + bytes(-(-width // 8) * -(-height // 8) // 4 + 8)
    return whole[:at] + scan * max(5, int(500 * magnitude)) + b"\xff\xd9"


def jpeg_comments(rng: np.random.Generator, magnitude: float) -> bytes:
    """Millions of empty comments before the picture."""
    return behind_start(save(small(rng), "JPEG"), segment(0xFE, b"") * int(12_000_000 * magnitude))


def jpeg_tables(rng: np.random.Generator, magnitude: float) -> bytes:
    """Hundred thousands of Huffman tables before the picture."""
    return behind_start(save(small(rng), "JPEG"), huffman(0, 0) * int(2_000_000 * magnitude))


def jpeg_application_segments(rng: np.random.Generator, magnitude: float) -> bytes:
    """Hundred thousands of APP segments that look like EXIF, XMP, Photoshop and a colour profile in turn."""
    kinds = (b"Exif\0\0II*\0", b"http://ns.adobe.com/xap/1.0/\0", b"Photoshop 3.0\0", b"ICC_PROFILE\0\1\1", b"MPF\0")
    markers = (0xE1, 0xE1, 0xED, 0xE2, 0xE2)
    block = b"".join(map(segment, markers, kinds))
    return behind_start(save(small(rng), "JPEG"), block * int(400_000 * magnitude))


def jpeg_huge_and_empty(_: np.random.Generator, magnitude: float) -> bytes:
    """A header that promises up to 65,500 x 65,500 pixels and nothing behind it."""
    side = int(65_500 * magnitude)
    return progressive(1, side, side, 0xC0)[:300]


def jpeg_pixels(rng: np.random.Generator, magnitude: float) -> bytes:
    """A whole picture at the pixel limit, turned by its EXIF orientation, progressive half of the time."""
    exif = Image.Exif()
    exif[0x0112] = int(rng.integers(1, 9))
    image = Image.new("RGB", sides(magnitude), tuple(map(int, rng.integers(0, 256, 3))))
    return save(image, "JPEG", exif=exif, progressive=bool(rng.integers(2)), quality=50)


def jpeg_cmyk_pixels(rng: np.random.Generator, magnitude: float) -> bytes:
    """Four inks at the pixel limit."""
    return save(Image.new("CMYK", sides(magnitude), (9, 9, 90, 0)), "JPEG", progressive=bool(rng.integers(2)))


def jpeg_arithmetic(_: np.random.Generator, magnitude: float) -> bytes:
    """Arithmetic coding, at the pixel limit."""
    return progressive(1, *sides(magnitude), 0xC9)


def jpeg_hierarchical(rng: np.random.Generator, magnitude: float) -> bytes:
    """A frame of differences after the first: no decoder at hand knows these."""
    data = save(small(rng), "JPEG")
    return data[:-2] + (b"\xff\xdf\x00\x03\x11" + data[2:-2]) * max(1, int(1_000 * magnitude)) + b"\xff\xd9"


def jpeg_restarts(rng: np.random.Generator, magnitude: float) -> bytes:
    """A restart marker after each block."""
    return save(small(rng, *sides(magnitude / 8)), "JPEG", restart_marker_blocks=1, quality=10)


def jpeg_exif_loop(rng: np.random.Generator, magnitude: float) -> bytes:
    """EXIF whose directories point at themselves and at each other, with as many entries as fit."""
    count = max(1, int(5_000 * magnitude))
    entries = b"".join(
        struct.pack("<HHII", tag, 4, 1, 8) for tag in [0x8769, 0x8825, 0xA005, 0x014A] * (-(-count // 4))
    )[: 12 * count]
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", count) + entries + struct.pack("<I", 8)
    return behind_start(save(small(rng), "JPEG"), segment(0xE1, exif[:65_000]))


def jpeg_profile(rng: np.random.Generator, magnitude: float) -> bytes:
    """A colour profile that has to be applied to every pixel."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, blue = profile.index(b"rXYZ", 128), profile.index(b"bXYZ", 128)
    profile[red : red + 4], profile[blue : blue + 4] = b"bXYZ", b"rXYZ"
    image = Image.new("RGB", sides(magnitude), tuple(map(int, rng.integers(0, 256, 3))))
    return save(image, "JPEG", icc_profile=bytes(profile), quality=50)


def jpeg_pictures_behind(rng: np.random.Generator, magnitude: float) -> bytes:
    """Ten thousands of pictures behind the end, each with another text."""
    one = save(small(rng, 16, 16), "JPEG")
    return one * max(2, int(60_000 * magnitude))


def jpeg_beginnings_behind(rng: np.random.Generator, magnitude: float) -> bytes:
    """Millions of beginnings of pictures behind the end, and no picture."""
    return save(small(rng), "JPEG") + b"\xff\xd8\xff\xe0\x89PNG\r\n\x1a\nGIF89a" * int(3_000_000 * magnitude)


def jpeg_bomb_as_thumbnail(_: np.random.Generator, magnitude: float) -> bytes:
    """A thumbnail of many megapixels and many scans."""
    bomb = progressive(max(2, int(200 * magnitude)), *sides(1))[:60_000]
    head = b"II*\0" + struct.pack("<IHIH", 8, 0, 14, 2)
    places = struct.pack("<HHIIHHIII", 0x0201, 4, 1, 44, 0x0202, 4, 1, len(bomb), 0)
    exif = segment(0xE1, b"Exif\0\0" + head + places + bomb)
    return behind_start(save(Image.new("RGB", (64, 48)), "JPEG"), exif)


def jpeg_bomb_behind(_: np.random.Generator, magnitude: float) -> bytes:
    """A second picture behind the end that is the bomb."""
    return save(Image.new("RGB", (64, 48)), "JPEG") + progressive(max(2, int(1_000 * magnitude)), 4_000, 4_000)


def jpeg_archive_behind(rng: np.random.Generator, magnitude: float) -> bytes:
    """A ZIP behind the end."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for n in range(max(1, int(2_000 * magnitude))):
            file.writestr(f"{n}.jpg", bytes(1_000_000 if n < 20 else 10))
    return save(small(rng), "JPEG") + archive.getvalue()


def mpo(rng: np.random.Generator, magnitude: float) -> bytes:
    """A multi-picture file of hundreds of pictures."""
    first, *rest = (small(rng, 64, 48) for _ in range(max(2, int(3_000 * magnitude))))
    return save(first, "MPO", save_all=True, append_images=rest)


# ------------------------------------------------------------------ PNG


def chunk(kind: bytes, data: bytes = b"") -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def deflated(size: int, value: int = 0) -> bytes:
    """So many equal bytes, compressed."""
    packer, block = zlib.compressobj(1), bytes([value]) * 1_000_000
    parts = [packer.compress(block[: min(len(block), size - at)]) for at in range(0, size, len(block))]
    return b"".join([*parts, packer.flush()])


def png(width: int, height: int, colour: int, bits_each: int = 8, *, before: bytes = b"", interlaced: int = 0) -> bytes:
    """A PNG of one colour: 0 gray, 2 RGB, 3 palette, 4 gray with alpha, 6 RGBA."""
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour]
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits_each, colour, 0, 0, interlaced))
    rows = height * (1 + -(-width * channels * bits_each // 8))
    return b"\x89PNG\r\n\x1a\n" + head + before + chunk(b"IDAT", deflated(rows)) + chunk(b"IEND")


def png_chunks(_: np.random.Generator, magnitude: float) -> bytes:
    """Millions of empty chunks."""
    return png(16, 16, 2, before=chunk(b"tEXt") * int(5_000_000 * magnitude))


def png_chunks_behind_the_data(rng: np.random.Generator, magnitude: float) -> bytes:
    """Millions of empty data chunks."""
    whole = save(small(rng), "PNG")
    return whole[:-12] + chunk(b"IDAT") * int(5_000_000 * magnitude) + whole[-12:]


def png_rgba(_: np.random.Generator, magnitude: float) -> bytes:
    """Transparent, at the pixel limit."""
    return png(*sides(magnitude), 6)


def png_rgb(_: np.random.Generator, magnitude: float) -> bytes:
    """Opaque, at the pixel limit."""
    return png(*sides(magnitude), 2)


def png_deep(rng: np.random.Generator, magnitude: float) -> bytes:
    """16 bits a channel, at the pixel limit."""
    return png(*sides(magnitude), int(rng.choice([0, 2, 4, 6])), 16)


def png_gray_alpha(_: np.random.Generator, magnitude: float) -> bytes:
    """Gray with alpha, at the pixel limit."""
    return png(*sides(magnitude), 4)


def png_palette(_: np.random.Generator, magnitude: float) -> bytes:
    """A transparent palette, at the pixel limit."""
    return png(*sides(magnitude), 3, before=chunk(b"PLTE", bytes(range(6))) + chunk(b"tRNS", b"\x80\xff"))


def png_bits(_: np.random.Generator, magnitude: float) -> bytes:
    """One bit a pixel, at the pixel limit."""
    return png(*sides(magnitude), 0, 1)


def png_text_bombs(rng: np.random.Generator, magnitude: float) -> bytes:
    """Compressed texts that unpack to gigabytes."""
    text = deflated(int(1_000_000 * rng.choice([0.9, 10, 100])), 65)
    bombs = chunk(b"zTXt", b"a\0\0" + text) + chunk(b"iTXt", b"a\0\1\0\0\0" + text)
    return png(16, 16, 2, before=bombs * max(1, int(300 * magnitude)))


def png_profile_bomb(_: np.random.Generator, magnitude: float) -> bytes:
    """A compressed colour profile that unpacks to a gigabyte."""
    return png(16, 16, 2, before=chunk(b"iCCP", b"a\0\0" + deflated(int(1_000_000_000 * magnitude))))


def png_transparent_profile(_: np.random.Generator, magnitude: float) -> bytes:
    """Transparent, turned by its EXIF, with gamma, at the pixel limit."""
    exif = b"II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0"
    return png(*sides(magnitude), 6, before=chunk(b"gAMA", struct.pack(">I", 22_727)) + chunk(b"eXIf", exif))


def apng(rng: np.random.Generator, magnitude: float) -> bytes:
    """A hundred thousand frames of one pixel."""
    side = int(rng.choice([1, 64, 800]))
    first, second = (save(Image.new("RGB", (side, side), colour), "PNG") for colour in ("black", "gray"))
    pixels = [data[data.index(b"IDAT") + 4 : data.index(b"IEND") - 8] for data in (first, second)]
    count = max(2, int(200_000 * magnitude))
    parts = [first[:33], chunk(b"acTL", struct.pack(">II", count, 0))]
    for n in range(count):
        control = struct.pack(">IIIIIHHBB", max(0, 2 * n - 1), side, side, 0, 0, 1, 10, 0, 0)
        data = pixels[n % 2]
        body = chunk(b"fdAT", struct.pack(">I", 2 * n) + data) if n else chunk(b"IDAT", data)
        parts += [chunk(b"fcTL", control), body]
    return b"".join([*parts, first[-12:]])


def png_behind(rng: np.random.Generator, magnitude: float) -> bytes:
    """A PNG with thousands of PNGs behind its end."""
    return save(small(rng), "PNG") * max(2, int(5_000 * magnitude))


# ------------------------------------------------------------------ TIFF


def ifd(tags: dict[int, tuple[int, int, int]], following: int) -> bytes:
    """A directory: tag -> type, count, value or offset; and the offset of the next one."""
    entries = (struct.pack("<HHII", tag, *value) for tag, value in sorted(tags.items()))
    return struct.pack("<H", len(tags)) + b"".join(entries) + struct.pack("<I", following)


def page(
    width: int, height: int, at: int, size: int, compression: int = 1, **more: int
) -> dict[int, tuple[int, int, int]]:
    """The tags of a gray page whose one strip lies at that offset."""
    tags = {256: width, 257: height, 258: 8, 259: compression, 262: 1, 273: at, 277: 1, 278: height, 279: size}
    tags |= {int(tag[1:]): value for tag, value in more.items()}
    return {tag: (4, 1, value) for tag, value in tags.items()}


def tiff_pages(_: np.random.Generator, magnitude: float) -> bytes:
    """Up to 400,000 pages."""
    size = len(ifd(page(1, 1, 8, 1), 0))
    count = max(2, int(400_000 * magnitude))
    pages = (ifd(page(1, 1, 4, 1), 8 + size * (n + 1) if n < count - 1 else 0) for n in range(count))
    return b"II*\0\x08\0\0\0" + b"".join(pages)


def tiff_loop(rng: np.random.Generator, magnitude: float) -> bytes:
    """Directories in a ring."""
    size, count = len(ifd(page(1, 1, 8, 1), 0)), max(1, int(1_000 * magnitude))
    back = 8 + size * int(rng.integers(count))
    pages = (ifd(page(1, 1, 4, 1), 8 + size * (n + 1) if n < count - 1 else back) for n in range(count))
    return b"II*\0\x08\0\0\0" + b"".join(pages)


def tiff_tags(_: np.random.Generator, magnitude: float) -> bytes:
    """65,535 tags, each of which says that its value is the whole file."""
    count = max(20, int(60_000 * magnitude))
    tags = {5_000 + n: (3, 10_000_000, 8) for n in range(count)} | page(1, 1, 4, 1)
    return (b"II*\0\x08\0\0\0" + ifd(tags, 0)).ljust(20_000_100, b"\0")


def tiff_strips(rng: np.random.Generator, magnitude: float) -> bytes:
    """Millions of strips or tiles."""
    count = max(10, int(10_000_000 * magnitude))
    tags = page(20_000, 4_000, 8, 1, t278=1) | {273: (4, count, 1_000), 279: (4, count, 1_000)}
    if rng.integers(2):
        tags |= {322: (4, 1, 16), 323: (4, 1, 16), 324: (4, count, 1_000), 325: (4, count, 1_000)}
        tags = {tag: value for tag, value in tags.items() if tag not in (273, 278, 279)}
    return (b"II*\0\x08\0\0\0" + ifd(tags, 0)).ljust(1_000 + 4 * count, b"\1")


def tiff_compressed(rng: np.random.Generator, magnitude: float) -> bytes:
    """One value over the whole pixel limit, in one of libtiff's compressions."""
    kinds = ["tiff_adobe_deflate", "tiff_lzw", "packbits", "zstd", "lzma"]
    kind = str(rng.choice(kinds))
    return save(Image.new(str(rng.choice(["RGB", "RGBA", "CMYK"])), sides(magnitude)), "TIFF", compression=kind)


def tiff_fax(rng: np.random.Generator, magnitude: float) -> bytes:
    """One bit a pixel, as a fax."""
    return save(Image.new("1", sides(magnitude)), "TIFF", compression=str(rng.choice(["group3", "group4"])))


def tiff_floats(rng: np.random.Generator, magnitude: float) -> bytes:
    """Floating-point or 32-bit or 16-bit gray, at the pixel limit."""
    mode = str(rng.choice(["F", "I", "I;16"]))
    return save(Image.new(mode, sides(magnitude)), "TIFF", compression="tiff_adobe_deflate")


def tiff_jpeg(_: np.random.Generator, magnitude: float) -> bytes:
    """A strip that is a JPEG of many scans."""
    strip = progressive(max(2, int(2_000 * magnitude)), 4_000, 4_000)
    tags = page(4_000, 4_000, 0, len(strip), 7)
    head = len(ifd(tags, 0)) + 8
    return b"II*\0\x08\0\0\0" + ifd(tags | {273: (4, 1, head)}, 0) + strip


def tiff_big(_: np.random.Generator, magnitude: float) -> bytes:
    """A BigTIFF that counts 2**40 tags, or pages in a ring."""
    return b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, int(2**40 * magnitude)).ljust(100_000, b"\1")


def tiff_subdirectories(_: np.random.Generator, magnitude: float) -> bytes:
    """Hundred thousands of sub-directories."""
    count = max(2, int(1_000_000 * magnitude))
    head = page(1, 1, 4, 1) | {330: (4, count, 1_000)}
    return (b"II*\0\x08\0\0\0" + ifd(head, 0)).ljust(1_000, b"\0") + struct.pack("<I", 8) * count


# ------------------------------------------------------------------ GIF, WebP, AVIF, BMP


def gif(width: int, height: int, body: bytes) -> bytes:
    """A GIF of two colours with these blocks."""
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    return head + body + b";"


DOT = b"\x2c" + struct.pack("<HHHHB", 0, 0, 1, 1, 0) + b"\2\2\x44\1\0"
"""A frame of one pixel."""


def gif_frames(rng: np.random.Generator, magnitude: float) -> bytes:
    """Millions of frames of one pixel, on a small or a large screen."""
    side = int(rng.choice([1, 500, 9_000]))
    return gif(side, side, (b"!\xf9\4\0\2\0\0\0" + DOT) * max(2, int(2_000_000 * magnitude)))


def gif_comments(_: np.random.Generator, magnitude: float) -> bytes:
    """Comments in millions of blocks of one byte, or millions of comments."""
    return gif(1, 1, (b"!\xfe" + b"\1a" * 100_000 + b"\0") * int(300 * magnitude) + DOT)


def gif_extensions(_: np.random.Generator, magnitude: float) -> bytes:
    """Millions of empty extensions."""
    return gif(1, 1, b"!\xfe\0" * int(20_000_000 * magnitude) + DOT)


def gif_huge(_: np.random.Generator, magnitude: float) -> bytes:
    """A frame at the pixel limit."""
    return save(Image.new("P", sides(magnitude)), "GIF", transparency=0)


def riff(kind: bytes, data: bytes) -> bytes:
    """A RIFF chunk."""
    return kind + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def webp_file(body: bytes) -> bytes:
    """A WebP of these chunks."""
    return riff(b"RIFF", b"WEBP" + body)


def webp_chunks(rng: np.random.Generator, magnitude: float) -> bytes:
    """Millions of empty chunks."""
    image = save(small(rng), "WEBP", lossless=True)[12:]
    extended = riff(b"VP8X", b"\0\0\0\0" + struct.pack("<HBHB", 95, 0, 63, 0))
    junk = riff(b"JUNK", b"") * int(7_000_000 * magnitude)
    return webp_file(extended + (junk + image if rng.integers(2) else image + junk))


def webp_frames(rng: np.random.Generator, magnitude: float) -> bytes:
    """Hundred thousands of frames."""
    side = int(rng.choice([1, 500, 8_000]))
    dot = save(Image.new("RGB", (1, 1)), "WEBP", lossless=True)[12:]
    frame = riff(b"ANMF", bytes(12) + b"\x0a\0\0\0" + dot)
    size = struct.pack("<HBHB", side - 1, 0, side - 1, 0)
    head = riff(b"VP8X", b"\x12\0\0\0" + size) + riff(b"ANIM", bytes(6))
    return webp_file(head + frame * max(2, int(1_000_000 * magnitude)))


def webp_huge(rng: np.random.Generator, magnitude: float) -> bytes:
    """At the pixel limit, transparent, lossless half of the time."""
    image = Image.new("RGBA", sides(magnitude, 16_383), (250, 100, 0, 128))
    return save(image, "WEBP", lossless=bool(rng.integers(2)), method=0, quality=0)


def avif_huge(rng: np.random.Generator, magnitude: float) -> bytes:
    """Many pixels, transparent half of the time, in any subsampling."""
    image = Image.new(str(rng.choice(["RGB", "RGBA"])), sides(magnitude), 99)
    return save(image, "AVIF", speed=10, quality=10, subsampling=str(rng.choice(["4:4:4", "4:2:0"])))


def avif_frames(rng: np.random.Generator, magnitude: float) -> bytes:
    """A sequence of hundreds of frames."""
    frames = [small(rng, 64, 64) for _ in range(max(2, int(600 * magnitude)))]
    return save(frames[0], "AVIF", speed=10, save_all=True, append_images=frames[1:])


def avif_boxes(rng: np.random.Generator, magnitude: float) -> bytes:
    """Millions of empty boxes."""
    whole = save(small(rng), "AVIF", speed=10)
    (size,) = struct.unpack_from(">I", whole)
    return whole[:size] + struct.pack(">I4s", 8, b"free") * int(7_000_000 * magnitude) + whole[size:]


def bmp(width: int, height: int, bits_each: int, compression: int, pixels: bytes) -> bytes:
    """A BMP with a gray palette."""
    palette = b"".join(bytes([n, n, n, 0]) for n in range(256))
    head = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits_each, compression, len(pixels), 0, 0, 256, 0)
    return b"BM" + struct.pack("<IHHI", 54 + 1024 + len(pixels), 0, 0, 54 + 1024) + head + palette + pixels


def bmp_runs(_: np.random.Generator, magnitude: float) -> bytes:
    """Run-length codes of one pixel each, by the million."""
    return bmp(*sides(1), 8, 1, b"\1\1" * int(30_000_000 * magnitude))


def bmp_empty_lines(_: np.random.Generator, magnitude: float) -> bytes:
    """Moves and ends of lines by the million."""
    return bmp(*sides(1), 8, 1, b"\0\2\0\0\0\2\1\0" * int(7_000_000 * magnitude))


def bmp_huge(_: np.random.Generator, magnitude: float) -> bytes:
    """A run-length picture at the pixel limit."""
    width, height = sides(magnitude)
    line = b"\xff\7" * (width // 255) + bytes([width % 255, 7] if width % 255 else []) + b"\0\0"
    return bmp(width, height, 8, 1, line * height + b"\0\1")


# ------------------------------------------------------------------ text


def font(size: int) -> ImageFont.FreeTypeFont:
    """Pillow's own font."""
    return ImageFont.load_default(size)


def words(rng: np.random.Generator, count: int) -> str:
    """Harmless words."""
    return " ".join(rng.choice(WORDS, count))


def written(rng: np.random.Generator, width: int, height: int, size: int) -> Image.Image:
    """A page full of words."""
    image = Image.new("L", (width, height), 255)
    draw = ImageDraw.Draw(image)
    for top in range(4, height - size, int(size * 1.5)):
        draw.text((4, top), words(rng, width // (3 * size)), 0, font(size))
    return image


def text_line(rng: np.random.Generator, magnitude: float) -> bytes:
    """One line of up to 30,000 pixels."""
    return text_lines(rng, magnitude, 1)


def text_lines(rng: np.random.Generator, magnitude: float, count: int = 8) -> bytes:
    """Eight lines of up to 30,000 pixels, with a threat at the end of the last."""
    image = Image.new("L", (max(600, int(30_000 * magnitude)), 48 * count), 255)
    draw = ImageDraw.Draw(image)
    for row in range(count):
        draw.text((8, 48 * row + 8), words(rng, image.width // 60), 0, font(28))
    draw.rectangle((image.width - 590, 48 * count - 48, image.width, 48 * count), 255)
    draw.text((image.width - 580, 48 * count - 40), THREAT, 0, font(24))
    return save(image, "PNG")


def text_column(rng: np.random.Generator, magnitude: float) -> bytes:
    """A strip of up to 30,000 pixels in height, with a line every 20."""
    return save(written(rng, 400, max(600, int(30_000 * magnitude)), 14), "PNG")


def text_words(rng: np.random.Generator, magnitude: float) -> bytes:
    """About a thousand words at 1920 x 1080."""
    image = Image.new("L", (1920, 1080), 255)
    draw = ImageDraw.Draw(image)
    for n in range(max(20, int(1_000 * magnitude))):
        draw.text((8 + 76 * (n % 25), 4 + 26 * (n // 25 % 41)), str(rng.choice(WORDS)), 0, font(16))
    return save(image, "PNG")


def text_tiny(rng: np.random.Generator, magnitude: float) -> bytes:
    """A page of tiny text of many megapixels."""
    return save(written(rng, *sides(0.2 * magnitude), 12), "PNG")


def text_frames(rng: np.random.Generator, magnitude: float) -> bytes:
    """An animation of wordy frames."""
    pages = [written(rng, 640, 480, 14) for _ in range(max(2, int(200 * magnitude)))]
    return save(pages[0], "GIF", save_all=True, append_images=pages[1:])


def text_fonts(rng: np.random.Generator, magnitude: float) -> bytes:
    """Letters of all sizes in all directions, one over the other."""
    image = Image.new("RGB", (2_000, 2_000), "white")
    for _ in range(max(10, int(400 * magnitude))):
        size = int(rng.integers(8, 200))
        word = Image.new("L", (size * 6, size * 2))
        ImageDraw.Draw(word).text((size, 0), str(rng.choice(WORDS)), 255, font(size))
        word = word.rotate(float(rng.integers(360)), expand=True)
        image.paste(tuple(map(int, rng.integers(0, 256, 3))), tuple(map(int, rng.integers(0, 1_800, 2))), word)
    return save(image, "PNG")


def text_noise(rng: np.random.Generator, magnitude: float) -> bytes:
    """Dashes and dots that look like text and are none."""
    image = np.full((1_500, 2_000), 255, np.uint8)
    for _ in range(max(100, int(20_000 * magnitude))):
        y, x = rng.integers(0, 1_490), rng.integers(0, 1_960)
        image[y : y + rng.integers(1, 10), x : x + rng.integers(1, 40)] = 0
    return save(Image.fromarray(image), "PNG")


def text_hashes(rng: np.random.Generator, magnitude: float) -> bytes:
    """Rows of one sign, on which searches for patterns may grow with the square."""
    image = Image.new("L", (1_600, 1_200), 255)
    draw = ImageDraw.Draw(image)
    sign = str(rng.choice(list("#@=-_.|/")))
    for top in range(4, int(40 + 1_100 * magnitude), 30):
        draw.text((4, top), sign * 80, 0, font(22))
    return save(image, "PNG")


def _makers() -> Iterator[tuple[str, Maker]]:
    prefixes = ("jpeg", "mpo", "png", "apng", "tiff", "gif", "webp", "avif", "bmp", "text")
    helpers = (png, gif, bmp)
    for name, value in globals().items():
        if name.split("_")[0] in prefixes and callable(value) and value not in helpers and name != "webp_file":
            yield name, value


KINDS: dict[str, Maker] = dict(_makers())
MAGNITUDES = (1.0, 0.3, 0.7, 0.1, 0.03)


def hostile(count: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """So many files, the kinds in turn: a name, which begins with the kind, and the bytes."""
    for n in range(count):
        kind, turn = list(KINDS)[n % len(KINDS)], n // len(KINDS)
        rng = np.random.default_rng([seed, n])
        yield f"{kind}-{turn}", KINDS[kind](rng, MAGNITUDES[turn % len(MAGNITUDES)])
