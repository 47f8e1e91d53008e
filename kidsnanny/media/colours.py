"""From a decoded frame to what is looked at: 8-bit sRGB, upright, in each reading in which a viewer may show it.

What a current browser shows comes first. Other readings (without the colour profile, on black instead of white) are
there only where they would show something that the ones before do not.
"""

import io
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageCms, ImageOps

from kidsnanny.media.colour_profiles import ColourProfile, colour_profiles
from kidsnanny.media.heic import is_heic

RGB = npt.NDArray[np.uint8]
"""(height, width, 3) uint8, sRGB."""
Gray = npt.NDArray[np.uint8]
VISIBLE = 10
"""Levels of contrast that the OCR can read."""


def rendered(image: Image.Image, data: bytes = b"") -> tuple[RGB, ...]:
    """The current frame's readings; each twice, on white and on black, when anything shines through it.

    Viewers differ on the orientation that a PNG or a WebP names: such a picture is there both ways.

    Args:
        image: the picture, at the frame.
        data: its file, if there is one: Pillow does not keep all that a PNG says about its colours.
    """
    named = colour_profiles(image, data)
    turned = ImageOps.exif_transpose(image)
    return tuple(v for o in orientations(image, data) for v in _views(image if o == 1 else turned, named))


def orientations(image: Image.Image, data: bytes = b"") -> tuple[int, ...]:
    """How viewers turn the picture, as EXIF orientations: 1 is as it is stored.

    Chromium ignores the orientation of a WebP, other viewers that of a PNG, and most that of a HEIC, which libheif has
    turned if its container says so; a JPEG's, an AVIF's or a TIFF's counts for all.
    """
    orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    if orientation == 1:
        return (1,)
    if data[8:12] == b"WEBP" or is_heic(data):
        return (1, orientation)
    return (orientation, 1) if data.startswith(b"\x89PNG") else (orientation,)


def _views(image: Image.Image, named: tuple[ColourProfile, ...]) -> tuple[RGB, ...]:
    alpha = image.convert("RGBA").getchannel("A") if image.has_transparency_data else None
    if alpha and alpha.getextrema() == (255, 255):
        alpha = None
    seen: list[RGB] = []
    for reading in _readings(image, named):
        pixels = np.asarray(reading)
        if not seen or _adds(pixels, seen):
            seen.append(pixels)
    if not alpha:
        return tuple(seen)
    grounds = (Image.new("RGB", image.size, ground) for ground in ("white", "black"))
    colours = [Image.fromarray(pixels) for pixels in seen]
    return tuple(np.asarray(Image.composite(colour, ground, alpha)) for ground in grounds for colour in colours)


def _readings(image: Image.Image, named: tuple[ColourProfile, ...]) -> Iterator[Image.Image]:
    """The colours as sRGB, alpha dropped: through each profile that fits, then without."""
    image, *stretched = map(_opaque, eight_bits(image))
    if image.mode == "LAB":
        yield _converted(image, ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")))
        return
    for profile in named:
        if profile.space == b"GRAY" and image.mode in ("1", "L"):
            origin = image.convert("L")
        elif profile.space == b"RGB " and image.mode != "CMYK":
            origin = image.convert("RGB")
        elif profile.space == b"CMYK" and image.mode == "CMYK":
            origin = image
        else:
            continue  # no viewer applies it
        if _is_srgb(profile, origin.mode):
            continue
        try:
            yield _converted(origin, _parsed(profile), profile.intent)
        except (ImageCms.PyCMSError, OSError):
            continue  # a broken profile: every viewer ignores it
    yield image.convert("RGB")
    yield from (other.convert("RGB") for other in stretched)


def _opaque(image: Image.Image) -> Image.Image:
    if image.mode in ("P", "PA", "RGBA", "RGBa"):
        return image.convert("RGBA").convert("RGB")
    return image.convert("LA").convert("L") if image.mode in ("LA", "La") else image


def _parsed(profile: ColourProfile) -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(io.BytesIO(profile.data))


def _converted(image: Image.Image, origin: ImageCms.ImageCmsProfile, intent: int = 0) -> Image.Image:
    target = ImageCms.createProfile("sRGB")
    transform = ImageCms.buildTransform(origin, target, image.mode, "RGB", ImageCms.Intent(intent))
    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None  # it is, unless done in place
    return converted


@lru_cache(maxsize=64)
def _is_srgb(profile: ColourProfile, mode: str) -> bool:
    """Whether a profile changes no colour, so that its conversion, which takes time, may be left out.

    Its name may lie. 256 levels are all there is to a gray profile, and 256 of each channel and of gray to one
    that consists of curves and a matrix; one with a table can do anything to the colours between.
    """
    if mode == "CMYK" or (mode == "RGB" and not profile.only_curves_and_a_matrix):
        return False
    ramp = np.arange(256, dtype=np.uint8)
    colours = np.multiply.outer(np.concatenate([np.eye(3, dtype=np.uint8), [[1, 1, 1]]]), ramp).astype(np.uint8)
    colours = np.ascontiguousarray(colours.transpose(0, 2, 1)) if mode == "RGB" else ramp[None]
    try:
        seen = np.asarray(_converted(Image.fromarray(colours), _parsed(profile), profile.intent)).astype(int)
    except (ImageCms.PyCMSError, OSError):
        return True  # it is ignored
    return bool(np.abs(seen - (colours if mode == "RGB" else colours[..., None])).max() <= 2)


def _adds(new: RGB, known: list[RGB]) -> bool:
    """Whether a reading shows what the known ones do not: an edge where they have none, or other colours."""
    return any(_other_colours(new, one) for one in known) or _new_edges(new, known)


def _other_colours(new: RGB, known: RGB) -> bool:
    """More than a hundredth of the picture is a quarter of the range off."""
    off = np.maximum(new, known) - np.minimum(new, known) >= 64
    return int(np.count_nonzero(off)) > off.size / 300


def _new_edges(new: RGB, known: list[RGB]) -> bool:
    """Whether edges that can be read in `new`, and in none of the known readings, lie as close together as in letters.

    Single ones are noise, which every conversion changes. Blurred edges show at a quarter of the size.
    """
    scale = max(1, round((new.shape[0] * new.shape[1] / 2e6) ** 0.5))  # letters grow with the picture
    found = 0
    for factor in (scale, 4 * scale):
        pixels, *others = (np.asarray(Image.fromarray(one).reduce(factor)) for one in (new, *known))
        found += sum(_crowded(pixels, others, axis) for axis in (0, 1))
    return found >= 3


def _crowded(new: RGB, known: list[RGB], axis: int) -> int:
    """The number of 16x16 blocks of which a twelfth are edges in `new` alone."""
    edges = _steps(new, axis)
    lost = (edges >= VISIBLE) & np.logical_and.reduce([_steps(one, axis) <= edges // 2 for one in known])
    if not lost.any():
        return 0
    return int(np.count_nonzero(np.asarray(Image.fromarray(lost.astype(np.uint8) * 255).reduce(16)) >= 255 // 12))


def _steps(pixels: RGB, axis: int) -> Gray:
    """The contrast of each pixel to the one two further on."""
    ahead, behind = (pixels[2:], pixels[:-2]) if axis == 0 else (pixels[:, 2:], pixels[:, :-2])
    red, green, blue = np.moveaxis(np.maximum(ahead, behind) - np.minimum(ahead, behind), -1, 0)
    strongest: Gray = np.maximum(np.maximum(red, green), blue)
    return strongest


def eight_bits(image: Image.Image) -> Iterator[Image.Image]:
    """The readings of 16- and 32-bit grayscale, which Pillow would clip to white; anything else as it is."""
    if not image.mode.startswith(("I", "F")):
        yield image
        return
    values = np.nan_to_num(np.asarray(image, dtype=np.float64), posinf=0, neginf=0)
    low, high = float(values.min()), float(values.max())
    usual = {"I": (255.0, 65535.0), "F": (1.0, 255.0)}.get(image.mode, (65535.0,))
    # The smallest usual range that holds them. A viewer may clip them to another, or stretch them.
    fits = (0.0, next((full for full in usual if high <= full), high))
    bottom, top = fits if low >= 0 else (low, high)
    yield _scaled(values, bottom, top)
    most = float(np.percentile(values, 1)), float(np.percentile(values, 99))
    for darkest, brightest in (*((0.0, full) for full in usual), (low, high), most):
        if (brightest - darkest) * 4 <= top - bottom:
            yield _scaled(values, darkest, brightest)


def _scaled(values: npt.NDArray[np.float64], low: float, high: float) -> Image.Image:
    scaled = (values - low) * (255 / max(high - low, 1e-9))
    return Image.fromarray(np.clip(scaled.round(), 0, 255).astype(np.uint8))
