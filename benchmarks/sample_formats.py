"""Files by as many writers as there are, and whether the pictures in them look as they do in a browser.

    python benchmarks/sample_formats.py [--family HEIC …] [--keep FOLDER] [--out benchmarks/results]

One drawn picture is written about forty times in each format: by Pillow, pillow-heif, OpenCV, simplejpeg, ImageMagick,
libvips, FFmpeg, avifenc, heif-enc, cjxl and Chromium's canvas, in sizes from 1 to 3,001 pixels, all orientations, bit
depths, subsamplings, colour profiles, with alpha, interlaced, progressive and tiled. A tool that is not installed is
named in the result. Needs selenium, Chromium and its driver.

A frame is right if it has the size that headless Chromium shows, and 95 of 100 values of its pixels are within 3 levels
of what Chromium shows on white. HEIC, TIFF and JPEG XL, which Chromium does not show, are first made a PNG by another
decoder (heif-convert, libvips, djxl), and Chromium shows that. A page of a PDF is compared with Ghostscript's, both
reduced to a sixteenth.
"""

import argparse
import base64
import io
import json
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cv2
import numpy as np
import pillow_heif
import simplejpeg
from hardware import hardware
from PIL import Image, ImageCms, ImageDraw

from kidsnanny.errors import InputError
from kidsnanny.media.colour_profiles import _matrix
from kidsnanny.media.loader import open_picture

LEVELS = 3
SIZE = (161, 120)
SIZES = [(1, 1), (1, 40), (37, 1), (65, 67), (640, 480), (3001, 1999)]
UNDO = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
"""EXIF orientation -> the transposition that undoes it."""
P3 = _matrix((0.3127, 0.329, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06), np.linspace(0, 1, 1024) ** 2.2)[0].data
WIDE = _matrix((0.3127, 0.329, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06), np.linspace(0, 1, 1024) ** 2.199)[0].data
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
PROFILES = {"sRGB": SRGB, "Display P3": P3, "Adobe-like": WIDE}
Write = Callable[[Path], None]
SHOW = """
const [encoded, type, done] = arguments;
(async () => {
  const image = new Image();
  image.src = `data:${type};base64,${encoded}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  const context = canvas.getContext("2d");
  context.fillStyle = "white";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(image, 0, 0);
  done(canvas.toDataURL("image/png"));
})().catch(error => done(String(error)));
"""
WRITE = """
const [encoded, type, quality, done] = arguments;
(async () => {
  const image = new Image();
  image.src = `data:image/png;base64,${encoded}`;
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  canvas.getContext("2d").drawImage(image, 0, 0);
  done(canvas.toDataURL(type, quality));
})().catch(error => done(String(error)));
"""


def drawn(size: tuple[int, int] = SIZE, mode: str = "RGB") -> Image.Image:
    """Colours in every corner and shapes that show which side is up."""
    corners = np.array(
        [[[230, 40, 30], [250, 220, 40], [30, 160, 60]], [[40, 60, 220], [128, 128, 128], [235, 130, 200]]]
    )
    image = Image.fromarray(corners.astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)
    draw = ImageDraw.Draw(image)
    wide, high = size
    if min(size) > 30:
        draw.ellipse((wide * 0.1, high * 0.1, wide * 0.4, high * 0.5), fill=(255, 255, 255))
        draw.rectangle((wide * 0.5, high * 0.15, wide * 0.9, high * 0.3), fill=(20, 20, 20))
        draw.polygon([(wide * 0.6, high * 0.9), (wide * 0.9, high * 0.9), (wide * 0.9, high * 0.5)], fill=(255, 90, 0))
    if mode in ("RGBA", "LA"):
        image.putalpha(Image.linear_gradient("L").resize(size))
    return image if image.mode == mode else image.convert(mode)


def exif(orientation: int) -> Image.Exif:
    found = Image.Exif()
    found[0x0112] = orientation
    return found


def turned(orientation: int) -> Image.Image:
    """The picture as it is stored to be upright when turned."""
    return drawn().transpose(Image.Transpose(UNDO[orientation])) if orientation > 1 else drawn()


def by_pillow(image: Image.Image, kind: str, /, **options: Any) -> Write:
    return lambda path: image.save(path, kind, **options)


def by_heif(image: Image.Image, /, **options: Any) -> Write:
    def write(path: Path) -> None:
        file = pillow_heif.from_pillow(image)
        file.save(path, **options)

    return write


def by_tool(*command: str, image: Image.Image | None = None, **saved: Any) -> Write:
    """`IN` and `OUT` stand for the paths of a PNG of the picture and of the file."""

    def write(path: Path) -> None:
        source = path.with_name(f"{path.stem}.source.{saved.get('source', 'png')}")
        kind = {"png": "PNG", "jpg": "JPEG", "ppm": "PPM"}[saved.get("source", "png")]
        options = {name: value for name, value in saved.items() if name != "source"}
        (image or drawn()).save(source, kind, **options)
        words = [str(source) if word == "IN" else word.replace("OUT", str(path)) for word in command]
        subprocess.run(words, check=True, capture_output=True, timeout=300)

    return write


def sized(writer: Callable[..., Write], *words: Any, **options: Any) -> Iterator[tuple[str, Write]]:
    for size in SIZES:
        yield f"{size[0]}x{size[1]}", writer(drawn(size), *words, **options)


def oriented(kind: str, **options: Any) -> Iterator[tuple[str, Write]]:
    for number in range(1, 9):
        yield f"orientation {number}", by_pillow(turned(number), kind, exif=exif(number), **options)


def coloured(kind: str, **options: Any) -> Iterator[tuple[str, Write]]:
    for name, profile in PROFILES.items():
        yield name, by_pillow(drawn(), kind, icc_profile=profile, **options)


def ffmpeg(*options: str, image: Image.Image | None = None) -> Write:
    return by_tool("ffmpeg", "-y", "-i", "IN", *options, "-frames:v", "1", "OUT", image=image)


def canvas(browser: Any, kind: str, quality: float, image: Image.Image | None = None) -> Write:
    def write(path: Path) -> None:
        file = io.BytesIO()
        (image or drawn()).save(file, "PNG")
        answer = browser.execute_async_script(WRITE, base64.b64encode(file.getvalue()).decode(), kind, quality)
        path.write_bytes(base64.b64decode(answer.partition(",")[2]))

    return write


def jpegs(browser: Any) -> dict[str, Write]:
    found: dict[str, Write] = {f"Pillow {name}": write for name, write in sized(by_pillow, "JPEG")}
    found |= {f"Pillow {name}": write for name, write in oriented("JPEG", quality=90)}
    found |= {f"Pillow {name}": write for name, write in coloured("JPEG", quality=90)}
    for subsampling in ("4:4:4", "4:2:2", "4:2:0"):
        for progressive in (False, True):
            told = f"Pillow {subsampling}{' progressive' * progressive}"
            found[told] = by_pillow(drawn(), "JPEG", subsampling=subsampling, progressive=progressive, quality=85)
    found |= {f"Pillow {mode}": by_pillow(drawn(mode=mode), "JPEG") for mode in ("L", "CMYK")}
    for sampling in ("4x4,1x1,1x1", "2x2", "1x2", "4x1"):
        found[f"ImageMagick {sampling}"] = by_tool("convert", "IN", "-sampling-factor", sampling, "jpeg:OUT")
    found["ImageMagick gray"] = by_tool("convert", "IN", "-colorspace", "Gray", "jpeg:OUT")
    found["ImageMagick CMYK"] = by_tool("convert", "IN", "-colorspace", "CMYK", "jpeg:OUT")
    found["ImageMagick low quality"] = by_tool("convert", "IN", "-quality", "5", "jpeg:OUT")
    for option in ("Q=60", "interlace=true", "subsample-mode=off", "optimize-coding=true,trellis-quant=true"):
        found[f"libvips {option}"] = by_tool("vips", "copy", "IN", f"OUT[{option}]")
    for form in ("yuvj420p", "yuvj422p", "yuvj444p"):
        found[f"FFmpeg {form}"] = ffmpeg("-pix_fmt", form, "-f", "mjpeg")
    found |= {f"canvas {q}": canvas(browser, "image/jpeg", q) for q in (0.4, 0.92, 1.0)}
    rgb = np.asarray(drawn())
    found["OpenCV"] = lambda path: path.write_bytes(cv2.imencode(".jpg", rgb[..., ::-1])[1].tobytes())
    found["simplejpeg"] = lambda path: path.write_bytes(
        simplejpeg.encode_jpeg(np.ascontiguousarray(rgb), 85, "RGB", "411")
    )
    return found


def pngs(browser: Any) -> dict[str, Write]:
    found: dict[str, Write] = {f"Pillow {name}": write for name, write in sized(by_pillow, "PNG")}
    found |= {f"Pillow {name}": write for name, write in oriented("PNG")}
    found |= {f"Pillow {name}": write for name, write in coloured("PNG")}
    found |= {f"Pillow {mode}": by_pillow(drawn(mode=mode), "PNG") for mode in ("1", "L", "LA", "P", "RGBA")}
    found["Pillow palette with a gap"] = by_pillow(drawn(mode="P"), "PNG", transparency=5)
    found["Pillow RGB with a gap"] = by_pillow(drawn(), "PNG", transparency=(255, 255, 255))
    deep = np.asarray(drawn(mode="L")).astype(np.uint16) * 257
    found["Pillow 16 bit gray"] = by_pillow(Image.fromarray(deep), "PNG")
    for depth in ("1", "4", "16"):
        found[f"ImageMagick {depth} bit"] = by_tool("convert", "IN", "-depth", depth, "png:OUT")
    found["ImageMagick 16 bit alpha"] = by_tool("convert", "IN", "-depth", "16", "png64:OUT", image=drawn(mode="RGBA"))
    found["ImageMagick interlaced"] = by_tool("convert", "IN", "-interlace", "PNG", "png:OUT")
    for colours in ("2", "7", "256"):
        found[f"ImageMagick {colours} colours"] = by_tool("convert", "IN", "-colors", colours, "png8:OUT")
    for option in ("compression=9", "interlace=true", "palette=true", "palette=true,bitdepth=4", "bitdepth=16"):
        found[f"libvips {option}"] = by_tool("vips", "copy", "IN", f"OUT[{option}]")
    for form in ("rgb24", "rgba", "rgb48be", "rgba64be", "gray", "gray16be", "ya8", "ya16be", "pal8", "monob"):
        found[f"FFmpeg {form}"] = ffmpeg("-pix_fmt", form, "-c:v", "png", "-f", "image2", image=drawn(mode="RGBA"))
    found["canvas"] = canvas(browser, "image/png", 1.0)
    found["canvas alpha"] = canvas(browser, "image/png", 1.0, drawn(mode="RGBA"))
    deep3 = np.asarray(drawn())[..., ::-1].astype(np.uint16) * 257
    found["OpenCV 16 bit"] = lambda path: path.write_bytes(cv2.imencode(".png", deep3)[1].tobytes())
    return found


def webps(browser: Any) -> dict[str, Write]:
    found: dict[str, Write] = {f"Pillow {name}": write for name, write in sized(by_pillow, "WEBP")}
    found |= {f"Pillow {name}": write for name, write in oriented("WEBP")}
    found |= {f"Pillow {name}": write for name, write in coloured("WEBP")}
    found |= {
        f"Pillow lossless {mode}": by_pillow(drawn(mode=mode), "WEBP", lossless=True) for mode in ("RGB", "RGBA", "L")
    }
    found |= {f"Pillow quality {q}": by_pillow(drawn(), "WEBP", quality=q) for q in (1, 50, 100)}
    found["Pillow alpha"] = by_pillow(drawn(mode="RGBA"), "WEBP")
    found["Pillow moving"] = by_pillow(drawn(), "WEBP", save_all=True, append_images=[drawn().rotate(90)])
    for option in ("Q=30", "lossless=true", "near-lossless=true", "smart-subsample=true", "alpha-q=10"):
        found[f"libvips {option}"] = by_tool("vips", "copy", "IN", f"OUT[{option}]", image=drawn(mode="RGBA"))
    for option in ("lossless=true", "method=6", "auto-filter=true", "use-sharp-yuv=1"):
        found[f"ImageMagick {option}"] = by_tool("convert", "IN", "-define", f"webp:{option}", "webp:OUT")
    for form in ("yuv420p", "yuva420p", "bgra"):
        found[f"FFmpeg {form}"] = ffmpeg("-pix_fmt", form, "-c:v", "libwebp", "-f", "webp", image=drawn(mode="RGBA"))
    found |= {f"canvas {q}": canvas(browser, "image/webp", q, drawn(mode="RGBA")) for q in (0.3, 0.8, 1.0)}
    return found


def gifs(browser: Any) -> dict[str, Write]:
    del browser
    found: dict[str, Write] = {f"Pillow {name}": write for name, write in sized(by_pillow, "GIF")}
    found |= {f"Pillow {mode}": by_pillow(drawn(mode=mode), "GIF") for mode in ("1", "L", "P", "RGBA")}
    found |= {f"Pillow interlace {n}": by_pillow(drawn(), "GIF", interlace=n) for n in (0, 1)}
    for count in (2, 3, 16, 17, 255):
        found[f"Pillow {count} colours"] = by_pillow(drawn().quantize(count), "GIF")
        found[f"ImageMagick {count} colours"] = by_tool("convert", "IN", "-colors", str(count), "gif:OUT")
    for disposal in (0, 1, 2, 3):
        options = {"save_all": True, "append_images": [drawn().rotate(90)], "disposal": disposal}
        found[f"Pillow moving, disposal {disposal}"] = by_pillow(drawn(), "GIF", **options)
    for option in ("None", "GIF", "Line"):
        found[f"ImageMagick interlace {option}"] = by_tool("convert", "IN", "-interlace", option, "gif:OUT")
    found["ImageMagick gap"] = by_tool("convert", "IN", "gif:OUT", image=drawn(mode="RGBA"))
    found["ImageMagick GIF87"] = by_tool("convert", "IN", "gif87:OUT")
    for option in ("dither=0", "bitdepth=2", "effort=10", "interlace=true", "interframe-maxerror=8"):
        found[f"libvips {option}"] = by_tool("vips", "copy", "IN", f"OUT[{option}]")
    for form in ("rgb8", "bgr8", "gray", "pal8"):
        found[f"FFmpeg {form}"] = ffmpeg("-pix_fmt", form, "-f", "gif")
    return found


def tiffs(browser: Any) -> dict[str, Write]:
    del browser
    found: dict[str, Write] = {f"Pillow {name}": write for name, write in sized(by_pillow, "TIFF")}
    found |= {f"Pillow {name}": write for name, write in oriented("TIFF")}
    found |= {f"Pillow {name}": write for name, write in coloured("TIFF")}
    for kind in ("raw", "tiff_lzw", "tiff_deflate", "packbits", "jpeg", "zstd", "lzma"):
        found[f"Pillow {kind}"] = by_pillow(drawn(), "TIFF", compression=kind)
    found |= {f"Pillow {mode}": by_pillow(drawn(mode=mode), "TIFF") for mode in ("1", "L", "LA", "P", "RGBA", "CMYK")}
    found["Pillow fax"] = by_pillow(drawn(mode="1"), "TIFF", compression="group4")
    found["Pillow pages"] = by_pillow(drawn(), "TIFF", save_all=True, append_images=[drawn().rotate(90)])
    for option in ("tile=true", "tile=true,tile-width=64,tile-height=32", "pyramid=true,tile=true", "bigtiff=true"):
        found[f"libvips {option}"] = by_tool("vips", "copy", "IN", f"OUT[{option}]")
    for option in ("compression=jpeg,Q=80", "compression=lzw,predictor=horizontal", "bitdepth=1", "compression=webp"):
        found[f"libvips {option}"] = by_tool("vips", "copy", "IN", f"OUT[{option}]")
    for word in (["-endian", "MSB"], ["-interlace", "plane"], ["-depth", "16"], ["-compress", "Zip"]):
        found[f"ImageMagick {' '.join(word)}"] = by_tool("convert", "IN", *word, "tiff:OUT")
    for form in ("rgb24", "rgba", "gray", "gray16le", "rgb48le", "pal8", "yuv444p"):
        found[f"FFmpeg {form}"] = ffmpeg("-pix_fmt", form, "-c:v", "tiff", "-f", "image2", image=drawn())
    return found


def avifs(browser: Any) -> dict[str, Write]:
    del browser
    avif = partial(by_pillow, speed=9)
    found: dict[str, Write] = {f"Pillow {name}": write for name, write in sized(avif, "AVIF")}
    found |= {f"Pillow {name}": write for name, write in oriented("AVIF", speed=9)}
    found |= {f"Pillow {name}": write for name, write in coloured("AVIF", speed=9)}
    found |= {f"Pillow {s}": avif(drawn(), "AVIF", subsampling=s) for s in ("4:4:4", "4:2:2", "4:2:0", "4:0:0")}
    found |= {f"Pillow {mode}": avif(drawn(mode=mode), "AVIF") for mode in ("L", "RGBA", "LA")}
    found["Pillow limited range"] = avif(drawn(), "AVIF", range="limited")
    enc = partial(by_tool, "avifenc", "-s", "9", "--min", "0", "--max", "20")
    for depth in ("8", "10", "12"):
        for form in ("444", "420", "400"):
            found[f"avifenc {depth} bit {form}"] = enc("-d", depth, "-y", form, "IN", "OUT")
    found["avifenc 10 bit alpha"] = enc("-d", "10", "IN", "OUT", image=drawn(mode="RGBA"))
    found["avifenc premultiplied"] = enc("-p", "IN", "OUT", image=drawn(mode="RGBA"))
    found["avifenc grid"] = enc("--grid", "2x2", "IN", "OUT", image=drawn((256, 192)))
    found |= {f"avifenc irot {n}": enc("--irot", str(n), "IN", "OUT") for n in (1, 2, 3)}
    found |= {f"avifenc imir {n}": enc("--imir", str(n), "IN", "OUT") for n in (0, 1)}
    found["avifenc irot 1 imir 0"] = enc("--irot", "1", "--imir", "0", "IN", "OUT")
    for code in ("1/13/1", "12/13/6", "1/1/6", "9/13/9", "9/16/9", "9/18/9", "1/8/6", "2/2/0"):
        found[f"avifenc {code}"] = enc("-d", "10", "--cicp", code, "-y", "444", "IN", "OUT")
    found["avifenc P3 profile"] = enc("IN", "OUT", icc_profile=P3)
    found["heif-enc"] = by_tool("heif-enc", "-A", "IN", "-o", "OUT")
    found["heif-enc alpha"] = by_tool("heif-enc", "-A", "IN", "-o", "OUT", image=drawn(mode="RGBA"))
    found["FFmpeg 10 bit"] = ffmpeg("-c:v", "libaom-av1", "-cpu-used", "8", "-pix_fmt", "yuv420p10le", "-f", "avif")
    found["FFmpeg BT.709"] = ffmpeg(
        "-c:v", "libaom-av1", "-cpu-used", "8", "-colorspace", "bt709", "-color_trc", "bt709", "-f", "avif"
    )
    found["ImageMagick"] = by_tool("convert", "IN", "avif:OUT")
    found["libvips"] = by_tool("vips", "heifsave", "IN", "OUT", "--compression", "av1", "--effort", "0")
    return found


def heics(browser: Any) -> dict[str, Write]:
    del browser
    found: dict[str, Write] = {f"pillow-heif {name}": write for name, write in sized(by_heif)}
    for number in range(1, 9):
        found[f"pillow-heif orientation {number}"] = by_pillow(turned(number), "HEIF", exif=exif(number))
    for name, profile in PROFILES.items():
        image = drawn()
        image.info["icc_profile"] = profile
        found[f"pillow-heif {name}"] = by_heif(image, quality=90)
    found |= {f"pillow-heif {c}": by_heif(drawn(), quality=90, chroma=c) for c in ("444", "422", "420")}
    found |= {f"pillow-heif {mode}": by_heif(drawn(mode=mode), quality=90) for mode in ("L", "LA", "RGBA")}
    found |= {f"pillow-heif tiles of {n}": by_heif(drawn((640, 481)), tile_size=n) for n in (64, 256, 512)}
    found["pillow-heif thumbnail"] = by_heif(drawn((640, 481)), thumbnails=[160])
    found["pillow-heif two pictures"] = by_pillow(drawn(), "HEIF", save_all=True, append_images=[drawn((64, 64))])
    deep = by_tool("convert", "IN", "-depth", "16", "OUT")
    for bits in ("8", "10", "12"):
        found[f"heif-enc {bits} bit"] = partial(_deep_heic, deep, bits)
    enc = partial(by_tool, "heif-enc")
    found |= {f"heif-enc quality {q}": enc("-q", q, "IN", "-o", "OUT") for q in ("20", "50", "95")}
    found |= {f"heif-enc {c}": enc("-p", f"chroma={c}", "IN", "-o", "OUT") for c in ("420", "422", "444")}
    found["heif-enc lossless"] = enc("-L", "-p", "chroma=444", "--matrix_coefficients=0", "IN", "-o", "OUT")
    found["heif-enc alpha"] = enc("IN", "-o", "OUT", image=drawn(mode="RGBA"))
    found["heif-enc limited range"] = enc("--full_range_flag=0", "IN", "-o", "OUT")
    found["heif-enc P3 profile"] = enc("IN", "-o", "OUT", icc_profile=P3)
    found["heif-enc two colr boxes"] = enc("--enable-two-colr-boxes", "IN", "-o", "OUT", icc_profile=P3)
    found["heif-enc thumbnail"] = enc("-t", "64", "IN", "-o", "OUT")
    for number in (3, 6, 8):
        words = ("IN", "-o", "OUT")
        found[f"heif-enc orientation {number}"] = enc(*words, image=turned(number), source="jpg", exif=exif(number))
    for option in ("Q=50", "lossless=true", "subsample-mode=off", "bitdepth=10"):
        found[f"libvips {option}"] = by_tool("vips", "copy", "IN", f"OUT[{option}]")
    found["ImageMagick"] = by_tool("convert", "IN", "heic:OUT")
    found["ImageMagick alpha"] = by_tool("convert", "IN", "heic:OUT", image=drawn(mode="RGBA"))
    return found


def _deep_heic(deep: Write, bits: str, path: Path) -> None:
    source = path.with_suffix(".deep.png")
    deep(source)
    subprocess.run(["heif-enc", "-b", bits, source, "-o", path], check=True, capture_output=True)


def jxls(browser: Any) -> dict[str, Write]:
    del browser
    enc = partial(by_tool, "cjxl", "IN", "OUT", "-e", "3")
    found = {f"cjxl {size[0]}x{size[1]}": enc(image=drawn(size)) for size in SIZES}
    found |= {f"cjxl distance {d}": enc("-d", d) for d in ("0", "1", "4")}
    found |= {f"cjxl {mode}": enc(image=drawn(mode=mode)) for mode in ("L", "LA", "RGBA")}
    found["cjxl progressive"] = enc("-p")
    found["cjxl container"] = enc("--container=1")
    found["cjxl of a JPEG"] = enc(source="jpg")
    for number in range(1, 9):
        found[f"cjxl orientation {number}"] = enc(image=turned(number), source="jpg", exif=exif(number))
    found["cjxl effort 9"] = enc("-e", "9")
    found["cjxl modular"] = enc("-m")
    for name in ("gaborish", "epf", "dots", "patches", "noise"):
        found[f"cjxl {name}"] = enc(f"--{name}=1")
    for form in ("gray", "rgb24", "rgba", "rgb48le", "rgba64le", "ya8", "gray16le"):
        found[f"FFmpeg {form}"] = ffmpeg("-pix_fmt", form, "-c:v", "libjxl", "-f", "image2", image=drawn(mode="RGBA"))
    for option in ("Q=50", "lossless=true", "tier=3"):
        found[f"libvips {option}"] = by_tool("vips", "copy", "IN", f"OUT[{option}]")
    found |= {f"cjxl {name}": enc(icc_profile=profile) for name, profile in PROFILES.items()}
    found["FFmpeg"] = ffmpeg("-c:v", "libjxl", "-f", "image2")
    return found


def pdfs(browser: Any) -> dict[str, Write]:
    sizes = [(65, 67), (640, 480), (1240, 1754)]
    found: dict[str, Write] = {f"Pillow {size[0]}x{size[1]}": by_pillow(drawn(size), "PDF") for size in sizes}
    found |= {f"Pillow {mode}": by_pillow(drawn((640, 480), mode), "PDF") for mode in ("L", "P", "CMYK")}
    found |= {f"Pillow {dots} dpi": by_pillow(drawn((640, 480)), "PDF", resolution=dots) for dots in (36, 100, 300)}
    for landscape in (False, True):
        for sheet in ((8.27, 11.69), (5.83, 8.27), (3, 20)):
            name = f"Chromium {sheet[0]}x{sheet[1]} inches{', landscape' * landscape}"
            found[name] = partial(printed, browser, sheet, landscape)
    return found


def printed(browser: Any, sheet: tuple[float, float], landscape: bool, path: Path) -> None:
    """A page with the picture and words, printed by Chromium."""
    file = io.BytesIO()
    drawn((640, 480)).save(file, "PNG")
    source = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
    text = "<h1>A day at the sea</h1><p style='columns:2'>" + "The boats came back before the rain. " * 30
    browser.get("data:text/html;charset=utf-8," + quote(f"<!doctype html><body><img src='{source}' width=300>{text}"))
    told = {"paperWidth": sheet[0], "paperHeight": sheet[1], "landscape": landscape, "printBackground": True}
    path.write_bytes(base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", told)["data"]))
    browser.get("about:blank")


FAMILIES: dict[str, tuple[str, Callable[[Any], dict[str, Write]]]] = {
    "JPEG": ("jpg", jpegs),
    "PNG": ("png", pngs),
    "WebP": ("webp", webps),
    "GIF": ("gif", gifs),
    "TIFF": ("tif", tiffs),
    "AVIF": ("avif", avifs),
    "HEIC": ("heic", heics),
    "JPEG XL": ("jxl", jxls),
    "PDF": ("pdf", pdfs),
}
OTHERS = {"HEIC": "heif-convert", "TIFF": "libvips", "JPEG XL": "djxl", "PDF": "Ghostscript"}
GHOSTSCRIPT = "-dSAFER -dBATCH -dNOPAUSE -sDEVICE=png16m -r150 -dTextAlphaBits=4 -dGraphicsAlphaBits=4".split()


def other(family: str, path: Path) -> Path:
    """The file as a PNG by another decoder, upright."""
    target = path.with_suffix(".other.png")
    commands = {
        "HEIC": [["heif-convert", path, target]],
        "TIFF": [["vips", "autorot", path, target]],
        "JPEG XL": [["djxl", path, target]],
        "PDF": [["gs", "-q", *GHOSTSCRIPT, f"-sOutputFile={target}", path]],
    }
    for command in commands[family]:
        subprocess.run(command, check=True, capture_output=True, timeout=120)
    for numbered in path.parent.glob(f"{target.stem}-1.png"):  # heif-convert's, where there are several pictures
        numbered.rename(target)
    if family == "HEIC":  # it is upright, and heif-convert leaves the EXIF that says how the telephone was held
        with Image.open(target) as image:
            image.save(target, exif=b"", icc_profile=image.info.get("icc_profile"))
    return target


def shown(browser: Any, family: str, path: Path) -> np.ndarray:
    if family in OTHERS:
        path = other(family, path)
    kind = {"jpg": "jpeg"}.get(path.suffix[1:], path.suffix[1:])
    answer = browser.execute_async_script(SHOW, base64.b64encode(path.read_bytes()).decode(), f"image/{kind}")
    if not answer.startswith("data:"):
        raise ValueError(answer)
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(answer.partition(",")[2]))).convert("RGB"))


def compared(browser: Any, family: str, path: Path) -> dict[str, Any]:
    """What is wrong with our frame, and how far it is off."""
    try:
        theirs = shown(browser, family, path)
    except (subprocess.CalledProcessError, ValueError, OSError) as error:
        return {"found": "not comparable", "why": f"the reference fails: {str(error)[:200]}"}
    try:
        picture = open_picture(path)
        frames = list(picture.frames())
    except InputError as error:
        return {"found": "not read", "why": str(error).replace(str(path.parent), "")}
    if family == "PDF":
        size = min(theirs.shape[1], frames[0].rgb.shape[1]), min(theirs.shape[0], frames[0].rgb.shape[0])
        if max(abs(a - b) for a, b in zip(theirs.shape, frames[0].rgb.shape, strict=True)) > 1:
            return {"found": "size", "why": f"{frames[0].rgb.shape} and {theirs.shape}"}
        theirs, ours = (np.asarray(Image.fromarray(one).resize(size).reduce(16)) for one in (theirs, frames[0].rgb))
        views = [ours]
    else:
        views = [frame.rgb for frame in frames if frame.index == 0]
        ours = views[0]
    if ours.shape != theirs.shape:
        return {"found": "size", "why": f"{ours.shape[1]}x{ours.shape[0]} and {theirs.shape[1]}x{theirs.shape[0]}"}
    off = np.abs(ours.astype(int) - theirs)
    said = {"median": float(np.median(off)), "p95": float(np.percentile(off, 95)), "most": int(off.max())}
    if picture.skipped:
        return {"found": "held back", "why": picture.skipped[0].reason.replace(str(path.parent), ""), **said}
    if said["p95"] > LEVELS and any(np.percentile(np.abs(view - theirs.astype(int)), 95) <= LEVELS for view in views):
        return {"found": "same in a second view", **said}
    return {"found": "same" if said["p95"] <= LEVELS else "colours", **said}


def browser_in(folder: Path) -> Any:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    for flag in ("headless", "no-sandbox", "disable-gpu", "force-color-profile=srgb", f"user-data-dir={folder}"):
        options.add_argument(f"--{flag}")
    return webdriver.Chrome(service=Service(shutil.which("chromedriver")), options=options)


def sampled(browser: Any, family: str, folder: Path) -> dict[str, dict[str, Any]]:
    suffix, makers = FAMILIES[family]
    results = {}
    for number, (name, write) in enumerate(makers(browser).items()):
        path = folder / f"{family.replace(' ', '')}{number:03}.{suffix}"
        try:
            write(path)
            if not path.stat().st_size:
                raise ValueError("an empty file")
        except FileNotFoundError as error:
            results[name] = {"found": "not written", "why": f"{error.filename or error} is not there"}
            continue
        except Exception as error:
            said = getattr(error, "stderr", b"") or str(error).encode()
            results[name] = {
                "found": "not written",
                "why": said.decode("utf-8", "replace")[-200:].replace(str(folder), ""),
            }
            continue
        results[name] = compared(browser, family, path)
        if results[name]["found"] != "same":
            print(f"{family} {name}: {results[name]}", flush=True)
    return results


def main() -> None:
    pillow_heif.register_heif_opener()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", nargs="*", choices=FAMILIES, default=[*FAMILIES])
    parser.add_argument("--keep", type=Path, help="a folder for the files; else they are deleted")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.keep or Path(scratch) / "files"
        folder.mkdir(parents=True, exist_ok=True)
        browser = browser_in(Path(scratch) / "chromium")
        try:
            browser.set_script_timeout(60)
            results = {family: sampled(browser, family, folder) for family in arguments.family}
        finally:
            browser.quit()
    summary = {}
    for family, found in results.items():
        kinds = [one["found"] for one in found.values()]
        summary[family] = {
            "compared with": f"{OTHERS[family]}, then Chromium" if family in OTHERS else "Chromium",
            "files": len(kinds) - kinds.count("not written"),
            **{kind: kinds.count(kind) for kind in dict.fromkeys(["same", *sorted(kinds)])},
        }
        print(family, summary[family])
    target = arguments.out / f"sample_formats-{hardware()}.json"
    different = {
        family: {name: one for name, one in found.items() if one["found"] != "same"}
        for family, found in results.items()
    }
    text = json.dumps({"levels": LEVELS, "families": summary, "not the same": different}, indent=1)
    target.write_text(f"{text}\n", "utf-8")
    print(target)


if __name__ == "__main__":
    main()
