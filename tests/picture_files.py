"""Small pictures in every format, whole and damaged."""

import io

import numpy as np
import pillow_heif
from conftest import encoded, gradient
from PIL import Image

from kidsnanny.media.loader import open_picture


def frames(source: object) -> list[np.ndarray]:
    return [frame.rgb for frame in open_picture(source).frames()]


def moving(kind: str, *images: Image.Image, **options: object) -> bytes:
    first, *rest = (image.copy() for image in images)  # saving leaves its traces in an image
    return encoded(first, kind, save_all=True, append_images=rest, **options)


def heic(*images: Image.Image, exif: bytes = b"", **options: object) -> bytes:
    """The pictures as a HEIC, turned in the container as EXIF says; pillow-heif is not registered with Pillow."""
    file, written = pillow_heif.HeifFile(), io.BytesIO()
    for number, image in enumerate(images):
        file.add_from_pillow(image)
        file[number].info["exif"] = exif or None
    file.save(written, **options)
    return written.getvalue()


def dark(seed: int = 0, width: int = 40, height: int = 30) -> Image.Image:
    """A picture in which the scripted eye sees nothing."""
    image = gradient(width, height, seed).point(lambda value: value // 8)
    return image.convert("RGB")


DARK = [dark(seed) for seed in range(4)]


FILES = {
    "JPEG": encoded(dark(), "JPEG"),
    "JPEG progressive": encoded(dark(), "JPEG", progressive=True),
    "JPEG restarts": encoded(dark(), "JPEG", restart_marker_rows=1),
    "JPEG CMYK": encoded(dark().convert("CMYK"), "JPEG"),
    "PNG": encoded(dark()),
    "PNG palette": encoded(dark().convert("P")),
    "PNG moving": moving("PNG", *DARK),
    "PNG with a default image": moving("PNG", *DARK, default_image=True),
    "GIF": encoded(dark(), "GIF"),
    "GIF moving": moving("GIF", *DARK),
    "WebP": encoded(dark(), "WEBP"),
    "WebP moving": moving("WEBP", *DARK),
    "WebP lossless moving": moving("WEBP", *DARK, lossless=True),
    "TIFF": encoded(dark(), "TIFF"),
    "TIFF pages": moving("TIFF", *DARK),
    "TIFF deflate pages": moving("TIFF", *DARK, compression="tiff_deflate"),
    "BMP": encoded(dark(), "BMP"),
    "AVIF": encoded(dark(), "AVIF", speed=10),
    "AVIF moving": moving("AVIF", *DARK, speed=10),
    "HEIC": heic(dark()),
    "HEIC in tiles": heic(dark(width=160, height=120), tile_size=64),
    "HEIC pictures": heic(*DARK),
}


def without_the_last_scan_lines(data: bytes) -> bytes:
    """The second half of the entropy-coded data taken out, the end marker left."""
    start = data.index(b"\xff\xda") + 14
    return data[: (start + len(data)) // 2].rstrip(b"\xff") + b"\xff\xd9"
