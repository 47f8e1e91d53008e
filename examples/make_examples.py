"""Draw the example pictures next to this file, with the text that stands in expected.toml.

    python examples/make_examples.py

Needs Pillow and numpy. Everything is drawn, nothing is downloaded, and every run gives the same pictures.
"""

from __future__ import annotations

import math
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

HERE = Path(__file__).resolve().parent
Spec = dict[str, Any]
Frames = list[Image.Image]
Pen = ImageDraw.ImageDraw
Point = tuple[float, float]

WHITE, INK, GREY, BLUE = "#ffffff", "#1c1c22", "#8a8a94", "#2f7cf6"


# Text


def font(size: float) -> Any:
    return ImageFont.load_default(size)


def wrap(text: str, size: float, width: float) -> list[str]:
    """Break text into lines at most width pixels wide."""
    lines: list[str] = []
    for word in text.split():
        if lines and font(size).getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def paragraph(
    draw: Pen, xy: Point, text: str, size: float, width: float, fill: str = INK, centre: bool = False, **extra: Any
) -> float:
    """Draw wrapped text with its top left corner at xy and return the y below it."""
    x, y = xy
    for line in wrap(text, size, width):
        left = x + (width - font(size).getlength(line)) / 2 if centre else x
        draw.text((left, y), line, font=font(size), fill=fill, **extra)
        y += size * 1.3
    return y


def canvas(width: int, height: int, colour: str = WHITE) -> tuple[Image.Image, Pen]:
    image = Image.new("RGB", (width, height), colour)
    return image, ImageDraw.Draw(image)


def disc(draw: Pen, x: float, y: float, radius: float, fill: str) -> None:
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=fill)


# Chats


def chat(spec: Spec) -> Frames:
    """A phone screenshot: status bar, the other person's name, then one bubble for each sentence."""
    size, width, pad = 26, 720, 20
    widest = width * 0.72 - 2 * pad
    image, draw = canvas(width, 2400, "#f2f3f7")
    draw.rectangle((0, 0, width, 140), fill=WHITE)
    draw.text((28, 14), spec["clock"], font=font(22), fill=INK)
    draw.rounded_rectangle((640, 16, 690, 38), 6, outline=INK, width=2)
    draw.rectangle((644, 20, 676, 34), fill=INK)
    disc(draw, 66, 94, 32, "#b9c3d9")
    draw.text((66, 94), spec["title"][0], font=font(32), fill=WHITE, anchor="mm")
    draw.text((116, 76), spec["title"], font=font(30), fill=INK)
    draw.line((0, 140, width, 140), fill="#d8dae2", width=2)
    draw.text((width / 2, 172), spec["note"], font=font(20), fill=GREY, anchor="mm")
    y = 204.0
    for side, sentence in zip(spec["sides"], spec["sentences"], strict=True):
        lines = wrap(sentence, size, widest)
        box_width = max(font(size).getlength(line) for line in lines) + 2 * pad
        height = len(lines) * size * 1.3 + 26
        x = 24 if side == "L" else width - 24 - box_width
        back, ink = (WHITE, INK) if side == "L" else (BLUE, WHITE)
        draw.rounded_rectangle((x, y, x + box_width, y + height), 24, fill=back)
        paragraph(draw, (x + pad, y + 12), sentence, size, widest, ink)
        y += height + 16
    draw.rounded_rectangle((24, y + 16, width - 24, y + 72), 28, fill=WHITE, outline="#d8dae2", width=2)
    draw.text((48, y + 44), "Message", font=font(24), fill=GREY, anchor="lm")
    return [image.crop((0, 0, width, int(y) + 92))]


# Memes, posters, notes, cards


def child(draw: Pen, x: float, y: float, shirt: str, mouth: str) -> None:
    draw.rounded_rectangle((x - 48, y + 44, x + 48, y + 150), 26, fill=shirt)
    disc(draw, x, y, 50, "#f0c9a4")
    draw.pieslice((x - 53, y - 58, x + 53, y + 40), 180, 360, fill="#5b3a22")
    for dx in (-18, 18):
        disc(draw, x + dx, y + 4, 5, INK)
    start, end = (20, 160) if mouth == "laugh" else (200, 340)
    top = y + 8 if mouth == "laugh" else y + 24
    draw.arc((x - 20, top, x + 20, top + 26), start, end, fill=INK, width=4)


def meme_bullying(spec: Spec) -> Frames:
    image, draw = canvas(800, 640, "#cfe0c8")
    draw.rectangle((0, 430, 800, 640), fill="#b98d5f")
    draw.rectangle((220, 162, 580, 316), fill="#2f5d4a", outline="#7a5530", width=8)
    for x, shirt in ((540, "#d9534f"), (640, "#3f7fbf"), (740, "#8e5bb5")):
        child(draw, x, 388, shirt, "laugh")
    child(draw, 130, 388, "#9aa0a6", "sad")
    outline = {"stroke_width": 4, "stroke_fill": "#000000"}
    top, middle, bottom = spec["sentences"]
    paragraph(draw, (30, 24), top, 46, 740, WHITE, True, **outline)
    paragraph(draw, (242, 182), middle, 32, 316, WHITE, True)
    paragraph(draw, (30, 558), bottom, 34, 740, WHITE, True, **outline)
    return [image]


def poster_drugs(spec: Spec) -> Frames:
    image, draw = canvas(720, 880, "#18211b")
    draw.rectangle((20, 20, 700, 860), outline="#7fbf5a", width=5)
    paragraph(draw, (40, 54), spec["title"], 58, 640, "#f4e04d", True)
    for angle, length in ((-150, 70), (-125, 105), (-90, 130), (-55, 105), (-30, 70)):  # the fingers of a leaf
        turns = ((0, 0.0), (-15, 0.52), (0, 1.0), (15, 0.52))
        arms = [(math.radians(angle + turn), length * part) for turn, part in turns]
        draw.polygon([(360 + r * math.cos(a), 275 + r * math.sin(a)) for a, r in arms], fill="#7fbf5a")
    draw.line((360, 270, 360, 310), fill="#7fbf5a", width=6)
    y = 345.0
    for sentence in spec["sentences"]:
        y = paragraph(draw, (70, y), sentence, 36, 580, WHITE, True) + 14
    return [image]


def handwriting(image: Image.Image, y: float, text: str, rng: np.random.Generator) -> float:
    """Write text letter by letter, each a little tilted, shifted and slanted."""
    size, left, gap = 34, 130, 52
    for line in wrap(text, size, 540):
        x = float(left + rng.integers(-4, 5))
        for letter in line:
            tile = Image.new("L", (64, 64), 0)
            ImageDraw.Draw(tile).text((16, 6), letter, font=font(size + float(rng.uniform(-2, 2))), fill=255)
            tile = tile.transform(tile.size, Image.Transform.AFFINE, (1, 0.22, -7, 0, 1, 0), Image.Resampling.BICUBIC)
            tile = tile.rotate(float(rng.uniform(-5, 5)), Image.Resampling.BICUBIC)
            image.paste("#2b3a80", (round(x) - 16, round(y + rng.uniform(-2, 2))), tile)
            x += font(size).getlength(letter) + rng.uniform(-0.5, 1)
        y += gap
    return y


def note_crisis(spec: Spec) -> Frames:
    image, draw = canvas(760, 720, "#fbf8ee")
    for line in range(92, 720, 52):
        draw.line((0, line, 760, line), fill="#c4d6ea", width=2)
    draw.line((105, 0, 105, 720), fill="#e8a5a5", width=2)
    for hole in (110, 360, 610):
        disc(draw, 50, hole, 16, "#d9d4c4")
    rng, y = np.random.default_rng(5), 48.0
    for sentence in spec["sentences"]:
        y = handwriting(image, y, sentence, rng)
    return [image]


def card_birthday(spec: Spec) -> Frames:
    image, draw = canvas(800, 600, "#fff3d6")
    rng = np.random.default_rng(3)
    for _ in range(70):  # confetti along the edge
        x, y = rng.integers(20, 780), rng.integers(20, 580)
        if x < 60 or x > 740 or y < 50 or y > 560:
            disc(draw, float(x), float(y), 6, str(rng.choice(["#ef6f6c", "#5aa9e6", "#7fc29b", "#f4b942"])))
    for x, y, colour in ((120, 130, "#ef6f6c"), (680, 130, "#5aa9e6")):
        draw.line((x, y + 60, x, y + 210), fill=GREY, width=2)
        draw.ellipse((x - 48, y - 60, x + 48, y + 60), fill=colour)
    draw.rounded_rectangle((290, 170, 510, 300), 14, fill="#f2a6c0")  # the cake
    draw.rounded_rectangle((290, 170, 510, 205), 14, fill=WHITE)
    for x in range(320, 500, 40):
        draw.rectangle((x - 4, 130, x + 4, 170), fill="#5aa9e6")
        draw.ellipse((x - 6, 108, x + 6, 130), fill="#f4b942")
    paragraph(draw, (180, 44), spec["title"], 38, 440, "#b8336a", True)
    y = paragraph(draw, (110, 345), spec["sentences"][0], 34, 580, INK, True)
    paragraph(draw, (110, y + 24), spec["sentences"][1], 28, 580, "#b8336a", True)
    return [image]


def recipe_page(spec: Spec) -> Frames:
    image, draw = canvas(760, 800, "#fffdf8")
    draw.rectangle((0, 0, 760, 110), fill="#e2a04f")
    paragraph(draw, (30, 32), spec["title"], 44, 700, WHITE)
    for layer in range(4):  # a stack of pancakes
        top = 205 - layer * 18
        draw.ellipse((270, top, 490, top + 50), fill="#d99a4a", outline="#a86a26", width=3)
    draw.rounded_rectangle((360, 152, 400, 174), 5, fill="#fff0a0")
    y = 290.0
    for number, sentence in enumerate(spec["sentences"], 1):
        disc(draw, 62, y + 19, 24, "#e2a04f")
        draw.text((62, y + 19), str(number), font=font(26), fill=WHITE, anchor="mm")
        y = paragraph(draw, (110, y), sentence, 28, 610) + 22
    return [image]


def school_poster(spec: Spec) -> Frames:
    image, draw = canvas(760, 900, "#e6f2fb")
    draw.rectangle((0, 0, 760, 120), fill="#20639b")
    paragraph(draw, (20, 30), spec["title"], 54, 720, WHITE, True)
    for x, shirt in ((260, "#f4b942"), (380, "#3caea3"), (500, "#ed553b")):
        child(draw, x, 210, shirt, "laugh")
    y = 395.0
    for sentence in spec["sentences"]:
        y = paragraph(draw, (60, y), sentence, 32, 640, INK, True) + 22
    return [image]


# Pictures without text, and animations


def noise(rng: np.random.Generator, width: int, height: int, cells: int) -> np.ndarray:
    """Smooth noise from 0 to 1: a small random grid, enlarged."""
    grid = Image.fromarray(rng.integers(0, 256, (cells, cells), dtype=np.uint8))
    return np.asarray(grid.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float64) / 255


def landscape(_: Spec) -> Frames:
    width, height, rng = 800, 520, np.random.default_rng(11)
    ys, xs = np.mgrid[0:height, 0:width]
    down = (ys / height)[..., None]
    picture = np.array([92, 140, 205]) * (1 - down) + np.array([255, 196, 140]) * down
    clouds = np.clip(noise(rng, width, height, 7) * 0.6 + noise(rng, width, height, 17) * 0.4 - 0.45, 0, 1) * 1.2
    picture += (255 - picture) * (clouds * (1 - ys / height))[..., None]
    sun = np.hypot(xs - 560, ys - 235)
    picture += (np.array([255, 240, 200]) - picture) * np.exp(-((sun / 70) ** 2))[..., None]
    hills = [((132, 140, 165), 275, 300, 9), ((98, 120, 118), 340, 220, 7), ((66, 98, 62), 405, 130, 5)]
    for colour, base, rise, cells in hills:
        ridge = base - rise * (noise(rng, width, 1, cells) + 0.15 * noise(rng, width, 1, 40) - 0.5)
        shade = 0.8 + 0.25 * noise(rng, width, height, 30) + 0.15 * noise(rng, width, height, 120)
        cover = np.clip(ys - ridge, 0, 1)[..., None]  # a soft edge, one pixel wide
        picture = picture * (1 - cover) + np.array(colour) * shade[..., None] * cover
    return [Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8))]


def sticker_last_frame(spec: Spec) -> Frames:
    frames: Frames = []
    for step in range(11):
        image, draw = canvas(480, 480, "#dff3ff")
        draw.rectangle((0, 400, 480, 480), fill="#8fce7a")
        disc(draw, 40 + 40 * step, 360 - 240 * abs(math.sin(step * math.pi / 5.5)), 44, "#ef6f6c")
        frames.append(image)
    image, draw = canvas(480, 480, WHITE)
    y = 110.0
    for sentence in spec["sentences"]:
        y = paragraph(draw, (40, y), sentence, 42, 400, INK, True) + 30
    return [*frames, image]


def sticker_fun(spec: Spec) -> Frames:
    frames: Frames = []
    for step in range(10):
        image, draw = canvas(480, 480, "#dff3ff")
        for ray in range(12):
            a = math.radians(ray * 30 + step * 3)
            ends = (240 + 100 * math.cos(a), 200 + 100 * math.sin(a), 240 + 150 * math.cos(a), 200 + 150 * math.sin(a))
            draw.line(ends, fill="#f4b942", width=14)
        disc(draw, 240, 200, 84, "#f7cf4d")
        for dx in (-28, 28):
            disc(draw, 240 + dx, 184, 9, INK)
        draw.arc((200, 180, 280, 245), 20, 160, fill=INK, width=7)
        paragraph(draw, (20, 390), spec["sentences"][0], 48, 440, "#b8336a", True)
        frames.append(image)
    return frames


DRAWINGS = [
    meme_bullying, poster_drugs, note_crisis, card_birthday, recipe_page, school_poster,
    landscape, sticker_last_frame, sticker_fun,
]  # fmt: skip


def main() -> None:
    expected = tomllib.loads((HERE / "expected.toml").read_text(encoding="utf-8"))
    by_name = {draw.__name__: draw for draw in DRAWINGS}
    for name, spec in expected.items():
        target = HERE / name
        frames = chat(spec) if "sides" in spec else by_name[target.stem](spec)
        if target.suffix == ".gif":
            frames[0].save(target, save_all=True, append_images=frames[1:], duration=120, loop=0, optimize=True)
        elif target.suffix == ".jpg":
            frames[0].save(target, quality=75, optimize=True)
        else:
            frames[0].quantize(64).save(target, optimize=True)
        print(f"{name:24} {target.stat().st_size / 1000:5.1f} kB")


if __name__ == "__main__":
    main()
