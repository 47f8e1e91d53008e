"""Twenty ways in which a text stands in a picture: chats, memes, posters, handwriting, turned, curved, mirrored.

The letters come from fonts of the system; Debian has them in the packages that PACKAGES names.
"""

import io
import random
import subprocess
import textwrap
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from embedded_latency import picture
from PIL import Image, ImageDraw, ImageFont, ImageOps

PACKAGES = (
    "fontconfig fonts-liberation fonts-roboto-unhinted fonts-inter fonts-comic-neue fonts-breip fonts-femkeklaver "
    "fonts-humor-sans"
)
HANDS = ("Breip", "femkeklaver", "Humor Sans")
PRINT = ("Liberation Sans", "Roboto", "Inter", "Liberation Serif")
Colour = str | tuple[int, ...]
Font = ImageFont.FreeTypeFont


class Scene(NamedTuple):
    """What a picture is drawn from."""

    text: str
    others: Sequence[str]
    """Harmless texts that stand beside it in the looks that hold several."""
    rng: random.Random
    photo: Callable[[], Image.Image]
    """Another photograph at each call."""


@cache
def font(family: str, size: int, style: str = "Regular") -> Font:
    """A font of the system.

    Raises:
        SystemExit: it is not installed.
    """
    found = subprocess.run(
        ["fc-match", "-f", "%{family}|%{file}|%{index}", f"{family}:style={style}"],
        capture_output=True,
        text=True,
        check=True,
    )
    families, path, index = found.stdout.split("|")
    if family not in families.split(","):
        raise SystemExit(f"The font {family} is missing: apt-get install {PACKAGES}")
    return ImageFont.truetype(path, size, index=int(index or 0))


def photographs(folder: Path | None, rng: random.Random) -> Callable[[], Image.Image]:
    """Photographs of a folder in turn, or drawn ones."""
    paths = (
        sorted(path for path in folder.iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png")) if folder else []
    )

    def one() -> Image.Image:
        drawn = rng.choice(paths) if paths else io.BytesIO(picture((640, 480), True, False, rng.randrange(1 << 30)))
        with Image.open(drawn) as image:
            return image.convert("RGB")

    return one


def lines_of(text: str, letters: Font, width: float) -> list[str]:
    """As many words on each line as there is room for; a word that is too long is broken."""
    lines: list[str] = []
    for paragraph in text.splitlines():
        line = ""
        for word in paragraph.split():
            longer = f"{line} {word}".strip()
            if line and letters.getlength(longer) > width:
                lines.append(line)
                line = word
            else:
                line = longer
        lines.append(line)
    return [piece for line in lines for piece in textwrap.wrap(line, max(1, int(width / letters.getlength("n"))) * 2)]


def write(
    draw: ImageDraw.ImageDraw,
    at: tuple[float, float],
    text: str,
    letters: Font,
    ink: Colour,
    width: float,
    lead: float = 1.3,
) -> float:
    """Write a paragraph; the height where the next one may begin."""
    x, y = at
    for line in lines_of(text, letters, width):
        draw.text((x, y), line, ink, letters)
        y += letters.size * lead
    return y


def bubbles(
    turns: Sequence[tuple[bool, str]], letters: Font, style: Mapping[str, Colour], rng: random.Random, radius: int
) -> Image.Image:
    """A phone's screen with messages from the left and the right."""
    size = 540, 960
    drawn = Image.new("RGB", size, style["ground"])
    draw = ImageDraw.Draw(drawn)
    draw.rectangle((0, 0, size[0], 70), fill=style["bar"])
    name = rng.choice(("Sam", "Mika", "year 6 chat", "Jo", "Team green", "Alex"))
    draw.text((70, 22), name, style["name"], font("Roboto", 24, "Medium"))
    draw.ellipse((16, 14, 56, 54), fill=style["right"])
    top, small = 100 + rng.randint(0, 120), font("Roboto", 14)
    for mine, text in turns:
        rows = lines_of(text, letters, 330)
        wide = max(letters.getlength(row) for row in rows) + 36
        left = size[0] - 20 - wide if mine else 20
        bottom = top + 24 + letters.size * 1.35 * len(rows) + 16
        draw.rounded_rectangle((left, top, left + wide, bottom), radius, fill=style["right" if mine else "left"])
        ink = style["right_ink" if mine else "left_ink"]
        for n, row in enumerate(rows):
            draw.text((left + 18, top + 12 + n * letters.size * 1.35), row, ink, letters)
        clock = f"{rng.randint(8, 21)}:{rng.randint(0, 59):02}"
        draw.text((left + wide - 48, bottom - 20), clock, style["time"], small)
        top = bottom + rng.choice((12, 20, 36))
    return drawn


A_LIGHT = {
    "ground": "#ece5dd",
    "bar": "#075e54",
    "name": "white",
    "left": "white",
    "right": "#dcf8c6",
    "left_ink": "#111",
    "right_ink": "#111",
    "time": "#789",
}
A_DARK = {
    "ground": "#0b141a",
    "bar": "#202c33",
    "name": "#e9edef",
    "left": "#202c33",
    "right": "#005c4b",
    "left_ink": "#e9edef",
    "right_ink": "#e9edef",
    "time": "#8696a0",
}
B_LIGHT = {
    "ground": "white",
    "bar": "#f6f6f6",
    "name": "black",
    "left": "#e9e9eb",
    "right": "#0b84fe",
    "left_ink": "black",
    "right_ink": "white",
    "time": "#bbb",
}
B_DARK = {
    "ground": "black",
    "bar": "#1c1c1e",
    "name": "white",
    "left": "#26262a",
    "right": "#8a2be2",
    "left_ink": "white",
    "right_ink": "white",
    "time": "#666",
}


def chat(style: Mapping[str, Colour], family: str, radius: int, several: bool) -> Callable[[Scene], Image.Image]:
    """One message, or a conversation of three to five turns in which the text is one."""

    def draw(scene: Scene) -> Image.Image:
        rng = scene.rng
        turns = [(rng.random() < 0.5, scene.text)]
        if several:
            around = list(scene.others[: rng.randint(2, 4)])
            turns = [(rng.random() < 0.5, other) for other in around]
            turns.insert(rng.randint(0, len(around)), (rng.random() < 0.5, scene.text))
        return bubbles(turns, font(family, rng.choice((22, 24, 26))), style, rng, radius)

    return draw


def meme(scene: Scene) -> Image.Image:
    """Outlined capitals above and below in a photograph."""
    image = ImageOps.fit(scene.photo(), (600, 450))
    draw, letters = ImageDraw.Draw(image), font("Roboto Condensed", 38, "Bold")
    rows = lines_of(scene.text.upper(), letters, 560)
    above = rows[: (len(rows) + 1) // 2]
    below = rows[len(above) :]
    for n, row in enumerate(above):
        draw.text((300, 12 + n * 44), row, "white", letters, anchor="ma", stroke_width=3, stroke_fill="black")
    for n, row in enumerate(below):
        at = 300, 450 - 14 - (len(below) - 1 - n) * 44
        draw.text(at, row, "white", letters, anchor="ms", stroke_width=3, stroke_fill="black")
    return image


def captions(scene: Scene) -> Image.Image:
    """Black on white bars above and below a photograph."""
    letters = font("Liberation Sans", 26)
    rows = lines_of(scene.text, letters, 560)
    above = rows[: (len(rows) + 1) // 2]
    below = rows[len(above) :]
    high = 20 + 36 * len(above)
    drawn = Image.new("RGB", (600, high + 340 + 20 + 36 * len(below)), "white")
    drawn.paste(ImageOps.fit(scene.photo(), (600, 340)), (0, high))
    draw = ImageDraw.Draw(drawn)
    for n, row in enumerate(above):
        draw.text((20, 10 + 36 * n), row, "black", letters)
    for n, row in enumerate(below):
        draw.text((20, high + 350 + 36 * n), row, "black", letters)
    return drawn


def poster(scene: Scene) -> Image.Image:
    """Large letters on one colour."""
    ground, ink = scene.rng.choice((("#243", "white"), ("#933", "white"), ("#fff", "black"), ("#dd4", "black")))
    drawn = Image.new("RGB", (640, 480), ground)
    letters = font(scene.rng.choice(PRINT), 40, "Bold")
    write(ImageDraw.Draw(drawn), (40, 50), scene.text, letters, ink, 560)
    return drawn


def notification(scene: Scene) -> Image.Image:
    """A card on a phone's locked screen."""
    drawn = ImageOps.fit(scene.photo(), (540, 960)).point(lambda value: value * 2 // 3)
    draw = ImageDraw.Draw(drawn, "RGBA")
    draw.text(
        (270, 150),
        f"{scene.rng.randint(7, 22)}:{scene.rng.randint(10, 59)}",
        "white",
        font("Roboto", 90, "Light"),
        anchor="mm",
    )
    letters = font("Roboto", 21)
    rows = lines_of(scene.text, letters, 430)
    bottom = 370 + 28 * len(rows)
    dark = scene.rng.random() < 0.5
    draw.rounded_rectangle((20, 300, 520, bottom), 24, fill=(30, 30, 34, 225) if dark else (245, 245, 247, 235))
    ink = "white" if dark else "black"
    draw.text((45, 315), scene.rng.choice(("Sam", "Mika", "Alex")), ink, font("Roboto", 21, "Bold"))
    draw.text((495, 315), "now", "#999", font("Roboto", 18), anchor="ra")
    for n, row in enumerate(rows):
        draw.text((45, 348 + 28 * n), row, ink, letters)
    return drawn


def handwriting(scene: Scene) -> Image.Image:
    """A note on lined paper."""
    drawn = Image.new("RGB", (640, 480), "#fbfaf2")
    draw = ImageDraw.Draw(drawn)
    for y in range(70, 480, 52):
        draw.line((0, y, 640, y), "#bcd4e6")
    letters, ink = font(scene.rng.choice(HANDS), 36), scene.rng.choice(("#223a8f", "#222"))
    y = 70 - letters.size
    for row in lines_of(scene.text, letters, 560):
        draw.text((40, y), row, ink, letters)
        y += 52
    return drawn


def pale(scene: Scene) -> Image.Image:
    """White letters on a light ground."""
    drawn = Image.new("RGB", (640, 480), scene.rng.choice(("#cfd8dc", "#d7ccc8", "#c8e0c8", "#d8d0e8")))
    write(ImageDraw.Draw(drawn), (40, 80), scene.text, font(scene.rng.choice(PRINT), 32), "white", 560)
    return drawn


def small_print(scene: Scene) -> Image.Image:
    """Twelve pixels high in a page on a large screen, among other texts."""
    drawn = Image.new("RGB", (1920, 1080), "white")
    draw = ImageDraw.Draw(drawn)
    draw.rectangle((0, 0, 1920, 60), fill="#357")
    draw.text((40, 14), "Messages    People    Settings", "white", font("Liberation Sans", 24))
    draw.rectangle((0, 60, 320, 1080), fill="#eef1f5")
    for n, word in enumerate(("Home", "Groups", "Photos", "Events", "Help")):
        draw.text((40, 100 + 50 * n), word, "#234", font("Liberation Sans", 18))
    texts = list(scene.others[:5])
    texts.insert(scene.rng.randint(0, len(texts)), scene.text)
    y = 110.0
    for text in texts:
        y = write(draw, (400, y), text, font("Liberation Sans", 12), "#333", scene.rng.choice((420, 700)), 1.4) + 46
    return drawn


def turned(degrees: float) -> Callable[[Scene], Image.Image]:
    """A poster, turned to the left or to the right."""

    def draw(scene: Scene) -> Image.Image:
        angle = degrees * scene.rng.choice((-1, 1))
        return poster(scene).rotate(angle, Image.Resampling.BICUBIC, expand=True, fillcolor="#888")

    return draw


def perspective(scene: Scene) -> Image.Image:
    """A sheet photographed from the side."""
    sheet = Image.new("RGB", (640, 480), "#f4f4ee")
    write(ImageDraw.Draw(sheet), (50, 60), scene.text, font(scene.rng.choice(PRINT), 36), "#111", 540)
    jitter = scene.rng.uniform(60, 110)
    side = scene.rng.random() < 0.5
    near, far = (0.0, jitter) if side else (jitter, 0.0)
    target = np.array([(60, 40 + near), (740, 40 + far), (740, 560 - far), (60, 560 - near)], np.float32)
    source = np.array([(0, 0), (640, 0), (640, 480), (0, 480)], np.float32)
    behind = np.asarray(ImageOps.fit(scene.photo(), (800, 600)))
    turn = cv2.getPerspectiveTransform(source, target)
    laid = cv2.warpPerspective(np.asarray(sheet), turn, (800, 600), flags=cv2.INTER_CUBIC)
    mask = cv2.warpPerspective(np.full((480, 640), 255, np.uint8), turn, (800, 600))[..., None] > 127
    return Image.fromarray(np.where(mask, laid, behind))


def curved(scene: Scene) -> Image.Image:
    """Lines that bend as on a bottle or a banner."""
    flat = Image.new("RGB", (720, 480), scene.rng.choice(("#fff", "#fe9", "#cdf")))
    write(ImageDraw.Draw(flat), (60, 120), scene.text, font(scene.rng.choice(PRINT), 36, "Bold"), "#113", 600, 1.5)
    bend = scene.rng.choice((-1, 1)) * scene.rng.uniform(40, 70)
    y, x = np.mgrid[0:480, 0:720].astype(np.float32)
    shift = (bend * (1 - ((x - 360) / 360) ** 2)).astype(np.float32)
    return Image.fromarray(cv2.remap(np.asarray(flat), x, y + shift, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE))


def jpeg(scene: Scene) -> Image.Image:
    """A small screen shot that was saved at quality 40, twice."""
    image = chat(A_LIGHT, "Roboto", 10, False)(scene).resize((405, 720), Image.Resampling.LANCZOS)
    for _ in range(2):
        held = io.BytesIO()
        image.save(held, "JPEG", quality=40)
        image = Image.open(held)
    return image.convert("RGB")


def downwards(scene: Scene) -> Image.Image:
    """Letters under each other, in columns from left to right."""
    columns = textwrap.wrap(scene.text.upper(), 16)
    letters = font("Liberation Sans", 30, "Bold")
    drawn = Image.new("RGB", (max(400, 80 + 80 * len(columns)), 720), scene.rng.choice(("white", "#ffd", "#def")))
    draw = ImageDraw.Draw(drawn)
    for n, column in enumerate(columns):
        for row, letter in enumerate(column):
            draw.text((70 + 80 * n, 40 + 40 * row), letter, "#112", letters, anchor="mt")
    return drawn


def mirrored(scene: Scene) -> Image.Image:
    """As a mirror shows it."""
    return ImageOps.mirror(scene.rng.choice((poster, captions))(scene))


def several(scene: Scene) -> Image.Image:
    """Four texts side by side that have nothing to do with each other."""
    drawn = Image.new("RGB", (1000, 700), "#dde3ea")
    draw = ImageDraw.Draw(drawn)
    texts = list(scene.others[:3])
    texts.insert(scene.rng.randint(0, 3), scene.text)
    for n, text in enumerate(texts):
        left, top = 20 + 490 * (n % 2), 20 + 340 * (n // 2)
        ground, ink = scene.rng.choice((("white", "#222"), ("#243447", "white"), ("#fff3cd", "#442")))
        draw.rectangle((left, top, left + 470, top + 320), fill=ground)
        write(draw, (left + 24, top + 30), text, font(scene.rng.choice(PRINT), 26), ink, 420)
    return drawn


def two_columns(scene: Scene) -> Image.Image:
    """A page of a newspaper: the text begins at the foot of the first column and ends at the head of the second."""
    drawn = Image.new("RGB", (900, 640), "#fffef8")
    draw, letters = ImageDraw.Draw(drawn), font("Liberation Serif", 28)
    draw.text((450, 30), "NEWS", "#222", font("Liberation Serif", 44, "Bold"), anchor="mt")
    rows = lines_of(scene.text, letters, 360)
    half = (len(rows) + 1) // 2
    foot = write(draw, (50, 110), scene.others[0], letters, "#222", 360, 40 / 28) + 40
    for n, row in enumerate(rows[:half]):
        draw.text((50, foot + 40 * n), row, "#222", letters)
    for n, row in enumerate(rows[half:]):
        draw.text((490, 110 + 40 * n), row, "#222", letters)
    write(draw, (490, 150 + 40 * (len(rows) - half)), scene.others[1], letters, "#222", 360, 40 / 28)
    return drawn


def game(scene: Scene) -> Image.Image:
    """The chat of a game over what is going on in it."""
    drawn = ImageOps.fit(scene.photo(), (960, 540))
    draw = ImageDraw.Draw(drawn, "RGBA")
    turns = list(scene.others[:2])
    turns.insert(scene.rng.randint(0, 2), scene.text)
    letters = font("Roboto", 18)
    rows = [f"{scene.rng.choice(('kiwi77', 'noodle', 'Brick_Lord'))}: {turn}" for turn in turns]
    high = sum(len(lines_of(row, letters, 420)) for row in rows) * 24 + 20
    draw.rectangle((10, 520 - high, 460, 530), fill=(0, 0, 0, 130))
    y = 530.0 - high
    for row in rows:
        y = write(draw, (20, y), row, letters, scene.rng.choice(("#ffffff", "#ffe066", "#8ce99a")), 420, 24 / 18)
    return drawn


def night(scene: Scene) -> Image.Image:
    """Gray on black."""
    drawn = Image.new("RGB", (640, 480), "#101014")
    write(ImageDraw.Draw(drawn), (40, 80), scene.text, font(scene.rng.choice(PRINT), 26), "#5a5a60", 560)
    return drawn


LOOKS: dict[str, Callable[[Scene], Image.Image]] = {
    "message, app A, light": chat(A_LIGHT, "Roboto", 10, False),
    "conversation, app A, dark": chat(A_DARK, "Roboto", 10, True),
    "conversation, app B, light": chat(B_LIGHT, "Inter", 22, True),
    "message, app B, dark": chat(B_DARK, "Inter", 22, False),
    "meme": meme,
    "captions above and below": captions,
    "poster": poster,
    "notification": notification,
    "handwriting": handwriting,
    "white on light": pale,
    "gray on black": night,
    "small print at 1080p": small_print,
    "turned by 15 degrees": turned(15),
    "turned by 90 degrees": turned(90),
    "perspective": perspective,
    "curved": curved,
    "JPEG 40": jpeg,
    "letters downwards": downwards,
    "mirrored": mirrored,
    "several texts": several,
    "two columns": two_columns,
    "chat of a game": game,
}
