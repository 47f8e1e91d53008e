"""From a decoded frame to what is looked at: 8-bit sRGB, upright, on white and on black where it is transparent."""

import io

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageCms, ImageOps

RGB = npt.NDArray[np.uint8]
"""(height, width, 3) uint8, sRGB."""


def rendered(image: Image.Image) -> tuple[RGB, ...]:
    """The current frame as RGB arrays: one, or on white and on black when anything shines through it."""
    image = _to_8bit(ImageOps.exif_transpose(image))
    colour = _to_rgb(image)
    if image.has_transparency_data:
        alpha = image.convert("RGBA").getchannel("A")
        if alpha.getextrema() != (255, 255):
            grounds = (Image.new("RGB", image.size, ground) for ground in ("white", "black"))
            return tuple(np.asarray(Image.composite(colour, ground, alpha)) for ground in grounds)
    return (np.asarray(colour),)


def _to_8bit(image: Image.Image) -> Image.Image:
    """Scale 16- and 32-bit grayscale, which Pillow would clip to white, to 8 bits; leave the rest alone."""
    if not image.mode.startswith(("I", "F")):
        return image
    values = np.nan_to_num(np.asarray(image, dtype=np.float64), posinf=0, neginf=0)
    low, high = float(values.min()), float(values.max())
    if low >= 0:  # the smallest usual range that holds them; min to max is for what has none
        usual = {"I": (255.0, 65535.0), "F": (1.0, 255.0)}.get(image.mode, (65535.0,))
        low, high = 0.0, next((full for full in usual if high <= full), high)
    return Image.fromarray(((values - low) * (255 / max(high - low, 1e-9))).round().astype(np.uint8))


def _to_rgb(image: Image.Image) -> Image.Image:
    """Colours as sRGB, alpha dropped. A profile that does not fit is ignored, as every viewer does."""
    if image.mode in ("P", "PA", "RGBA", "RGBa"):
        colour = image.convert("RGBA").convert("RGB")
    elif image.mode in ("LA", "La"):
        colour = image.convert("LA").convert("L")
    else:
        colour = image
    lab = colour.mode == "LAB"
    profile: bytes = image.info.get("icc_profile") or b""
    if profile or lab:
        try:
            origin = ImageCms.createProfile("LAB") if lab else ImageCms.ImageCmsProfile(io.BytesIO(profile))
            transform = ImageCms.buildTransform(origin, ImageCms.createProfile("sRGB"), colour.mode, "RGB")
            if colour.mode != "RGB" or _shifts_colours(transform):
                colour = ImageCms.applyTransform(colour, transform) or colour
        except (ImageCms.PyCMSError, OSError):
            if lab:
                raise
    return colour.convert("RGB")


def _shifts_colours(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether a profile is worth the time it takes. Its name ("sRGB") may lie; a few colours sent through it cannot."""
    levels = np.arange(0, 256, 51, dtype=np.uint8)
    colours = np.stack(np.meshgrid(levels, levels, levels), -1).reshape(6, 36, 3)
    seen = np.asarray(ImageCms.applyTransform(Image.fromarray(colours), transform))
    return int(np.abs(seen.astype(int) - colours).max()) > 2
