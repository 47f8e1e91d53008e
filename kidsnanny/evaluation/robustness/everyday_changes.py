"""What happens to pictures on their way through phones and sites, without anybody meaning to hide anything.

Each change takes a picture in RGB and gives one. They are the same for the same picture; none adds anything harmful.
"""

from collections.abc import Callable
from io import BytesIO
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont, ImageOps

CAPTION = ("when the bus is late", "and it rains again")
"""Above and below a picture with a meme's border."""
SCREEN = (1080, 2340)
"""Pixels of a phone's screen, across and down."""
BAR = 120
"""Height in pixels of the two bars at the top of the screen."""
NOISE = 8
"""Standard deviation of the noise, in levels of 255."""

Apply = Callable[[Image.Image], Image.Image]


class Change(NamedTuple):
    """One change."""

    what: str
    """In words, with its strength."""
    apply: Apply
    """From an RGB picture to an RGB picture."""


def _jpeg(quality: int) -> Apply:
    def apply(image: Image.Image) -> Image.Image:
        file = BytesIO()
        image.save(file, "JPEG", quality=quality)
        with Image.open(file) as saved:
            return saved.convert("RGB")

    return apply


def _scaled(image: Image.Image, factor: float, how: Image.Resampling = Image.Resampling.LANCZOS) -> Image.Image:
    return image.resize((max(1, round(image.width * factor)), max(1, round(image.height * factor))), how)


def _upscaled(image: Image.Image) -> Image.Image:
    small = _scaled(image, 0.5, Image.Resampling.BICUBIC)
    return small.resize(image.size, Image.Resampling.LANCZOS).filter(ImageFilter.UnsharpMask(2, 150, 0))


def _cropped(image: Image.Image) -> Image.Image:
    across, down = image.width // 10, image.height // 10
    return image.crop((across, down, image.width - across, image.height - down))


def _blurred(image: Image.Image) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(min(image.size) / 100))


def _noisy(image: Image.Image) -> Image.Image:
    pixels = np.asarray(image, np.float32)
    noise = np.random.default_rng(0).normal(0, NOISE, pixels.shape)
    return Image.fromarray((pixels + noise).round().clip(0, 255).astype(np.uint8))


def _turned(image: Image.Image) -> Image.Image:
    return image.rotate(10, Image.Resampling.BICUBIC, expand=True, fillcolor="white")


def _sepia(image: Image.Image) -> Image.Image:
    return ImageOps.colorize(ImageOps.grayscale(image), (40, 25, 10), (255, 240, 205))


def _filtered(image: Image.Image) -> Image.Image:
    bright = ImageEnhance.Brightness(image).enhance(1.15)
    return ImageEnhance.Color(ImageEnhance.Contrast(bright).enhance(1.3)).enhance(1.5)


def _screenshot(image: Image.Image) -> Image.Image:
    screen = Image.new("RGB", SCREEN, "black")
    draw = ImageDraw.Draw(screen)
    draw.rectangle((0, BAR, SCREEN[0], 2 * BAR), fill=(32, 32, 36))
    draw.text((40, 35), "12:34", fill="white", font=ImageFont.load_default(48))
    draw.text((40, BAR + 35), "< Photos", fill="white", font=ImageFont.load_default(48))
    fitted = ImageOps.contain(image, (SCREEN[0], SCREEN[1] - 4 * BAR))
    screen.paste(fitted, ((SCREEN[0] - fitted.width) // 2, (SCREEN[1] - fitted.height) // 2))
    return screen


def _meme(image: Image.Image) -> Image.Image:
    letters = max(8, image.width / 16)
    band = round(2 * letters)
    page = Image.new("RGB", (image.width, image.height + 2 * band), "white")
    page.paste(image, (0, band))
    draw = ImageDraw.Draw(page)
    for text, middle in zip(CAPTION, (band / 2, page.height - band / 2), strict=True):
        draw.text((page.width / 2, middle), text, fill="black", font=ImageFont.load_default(letters), anchor="mm")
    return page


CHANGES: dict[str, Change] = {
    "unchanged": Change("decoded and saved again, nothing else", lambda image: image),
    "jpeg-50": Change("JPEG of quality 50", _jpeg(50)),
    "jpeg-10": Change("JPEG of quality 10", _jpeg(10)),
    "half": Change("half as wide and high", lambda image: _scaled(image, 0.5)),
    "quarter": Change("a quarter as wide and high", lambda image: _scaled(image, 0.25)),
    "upscaled": Change("halved, enlarged again and sharpened, as programs that enlarge pictures leave them", _upscaled),
    "cropped": Change("a tenth cut off at each side", _cropped),
    "blurred": Change("blurred, with a radius of a hundredth of the shorter side", _blurred),
    "noise": Change(f"noise with a standard deviation of {NOISE} of 255 levels", _noisy),
    "mirrored": Change("left and right swapped", ImageOps.mirror),
    "quarter-turn": Change("turned by 90 degrees", lambda image: image.transpose(Image.Transpose.ROTATE_90)),
    "turned": Change("turned by 10 degrees, with white corners", _turned),
    "grey": Change("without colours", lambda image: ImageOps.grayscale(image).convert("RGB")),
    "sepia": Change("brown, like an old photograph", _sepia),
    "filter": Change("brighter, with more contrast and stronger colours", _filtered),
    "screenshot": Change("shown by a phone's album, and the screen saved", _screenshot),
    "meme": Change("a white border above and below, with a harmless line in each", _meme),
}
"""By name."""
