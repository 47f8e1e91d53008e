"""The drawings of `scenes`: sixteen comic-like objects with their attributes, and a mark for each predicate.

Coordinates are in units of a hundredth of the object's size; objects face right and y points down.
"""

import random
from collections.abc import Callable, Sequence
from math import cos, pi, sin
from typing import NamedTuple

from PIL import Image, ImageDraw

from kidsnanny.training.student.canvas import INK, WHITE, Canvas, Colour, Palette, Point

RED: Colour = (222, 40, 44)
YELLOW: Colour = (255, 214, 40)
CLOTHES: tuple[Colour, ...] = ((210, 60, 60), (50, 100, 200), (40, 150, 90), (140, 70, 170), (225, 120, 40))
SKIN: tuple[Colour, ...] = ((250, 218, 190), (232, 190, 150), (190, 135, 95), (140, 95, 65))
HAIR: tuple[Colour, ...] = ((60, 40, 30), (120, 70, 30), (30, 28, 32), (170, 90, 40))
FURS: dict[str, tuple[Colour, ...]] = {
    "cat": ((240, 150, 60), (130, 130, 140)),
    "dog": ((150, 95, 50), (200, 150, 95)),
    "bird": ((70, 150, 230), (70, 180, 110), (200, 90, 180)),
    "robot": ((150, 165, 180), (175, 150, 200), (130, 175, 165)),
}


class Sprite(NamedTuple):
    """One drawn object, cropped to its pixels."""

    image: Image.Image
    """RGBA; alpha is 0 or 255."""
    anchors: dict[str, Point]
    """`hand`, `rear` (the other hand), `eye` or `grip` -> pixel in the image."""

    def mirrored(self) -> "Sprite":
        """Facing left."""
        anchors = {name: (self.image.width - x, y) for name, (x, y) in self.anchors.items()}
        return Sprite(self.image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), anchors)


def choose_palette(label: str, rng: random.Random) -> Palette:
    """Choose colours for an object."""
    return Palette(rng.choice(FURS.get(label, CLOTHES)), rng.choice(SKIN), rng.choice(HAIR))


def sprite(label: str, attributes: Sequence[str], size: float, palette: Palette, front: str, rear: str) -> Sprite:
    """Draw one object.

    Args:
        label: a key of `DRAWINGS`.
        attributes: words of the vocabulary.
        size: pixels per hundred units.
        palette: colours.
        front: position of an actor's right hand: `down`, `forward` or `up`.
        rear: position of its left hand: `down` or `out`.
    """
    canvas = Canvas(size, palette, frozenset(attributes), front, rear)
    DRAWINGS[label](canvas)
    if "burning" in attributes:
        _flames(canvas)
    box = canvas.image.getbbox() or (0, 0, 1, 1)
    return Sprite(canvas.image.crop(box), {n: (x - box[0], y - box[1]) for n, (x, y) in canvas.anchors.items()})


def _face(canvas: Canvas, x: float, y: float, r: float) -> None:
    """Eyes, mouth, mood, glasses and what is on the head, for a head of radius `r` around (x, y)."""
    has = canvas.attributes.__contains__
    eyes = (x - 0.42 * r, x + 0.42 * r)
    if has("glasses"):
        canvas.line(x - r, y - 0.1 * r, x + r, y - 0.1 * r, fill=INK, width=0.16 * r)
        for eye in eyes:
            canvas.disc(eye, y - 0.1 * r, 0.4 * r, (150, 225, 250))
    for eye in eyes:
        canvas.dot(eye, y - 0.1 * r, 0.17 * r, INK)
    canvas.anchor("eye", eyes[1], y - 0.1 * r)
    if has("smiling"):
        canvas.draw.chord(
            canvas.at((x - 0.6 * r, y - 0.1 * r, x + 0.6 * r, y + 0.85 * r)), 0, 180, RED, INK, canvas.thin
        )
    elif has("crying"):
        for eye in eyes:
            canvas.shape("rectangle", eye - 0.2 * r, y + 0.1 * r, eye + 0.2 * r, y + 1.15 * r, fill=(70, 150, 255))
        canvas.line(x - 0.2 * r, y + 0.6 * r, x, y + 0.45 * r, x + 0.2 * r, y + 0.6 * r, fill=INK, width=0.14 * r)
    elif has("angry"):
        canvas.line(x - 0.75 * r, y - 0.65 * r, x - 0.1 * r, y - 0.25 * r, fill=INK, width=0.22 * r)
        canvas.line(x + 0.75 * r, y - 0.65 * r, x + 0.1 * r, y - 0.25 * r, fill=INK, width=0.22 * r)
        canvas.shape("rectangle", x - 0.45 * r, y + 0.35 * r, x + 0.45 * r, y + 0.65 * r, fill=WHITE)
    else:
        canvas.line(x - 0.2 * r, y + 0.5 * r, x + 0.2 * r, y + 0.5 * r, fill=INK, width=0.12 * r)
    top = y - 0.62 * r
    if has("hat"):
        canvas.shape("rectangle", x - 0.7 * r, top - 1.1 * r, x + 0.7 * r, top, fill=(60, 60, 70))
        canvas.shape("rectangle", x - 0.7 * r, top - 0.35 * r, x + 0.7 * r, top - 0.05 * r, fill=RED)
        canvas.shape("rectangle", x - 1.2 * r, top - 0.1 * r, x + 1.2 * r, top + 0.15 * r, fill=(60, 60, 70))
    elif has("crown"):
        high, low = top - 0.9 * r, top - 0.35 * r
        points = (x - 0.8 * r, high, x - 0.4 * r, low, x, high, x + 0.4 * r, low, x + 0.8 * r, high)
        canvas.shape("polygon", *points, x + 0.75 * r, top + 0.1 * r, x - 0.75 * r, top + 0.1 * r, fill=YELLOW)
    elif has("bandaged"):
        canvas.shape("rectangle", x - 1.05 * r, top - 0.3 * r, x + 1.05 * r, top + 0.3 * r, fill=WHITE)
        canvas.line(x - 0.25 * r, top, x + 0.25 * r, top, fill=RED, width=0.2 * r)
        canvas.line(x, top - 0.25 * r, x, top + 0.25 * r, fill=RED, width=0.2 * r)


def _skin(canvas: Canvas, plain: Colour) -> Colour:
    return (240, 90, 70) if "angry" in canvas.attributes else plain


def _arms(canvas: Canvas, sleeve: Colour, hand: Colour, behind: bool) -> None:
    """The arm behind the trunk or the one in front of it."""
    if behind:
        x, y = {"down": (24, 78), "out": (2, 60)}[canvas.rear]
        canvas.limb(38, 58, x, y, fill=sleeve)
        canvas.anchor("rear", x, y)
    else:
        x, y = {"down": (76, 78), "forward": (98, 58), "up": (94, 26)}[canvas.front]
        canvas.limb(62, 58, x, y, fill=sleeve)
        canvas.anchor("hand", x, y)
    canvas.disc(x, y, 6, hand)


def _man(canvas: Canvas) -> None:
    colour, skin = canvas.palette.colour, canvas.palette.skin
    canvas.limb(43, 78, 41, 98, fill=(60, 65, 95))
    canvas.limb(57, 78, 59, 98, fill=(60, 65, 95))
    _arms(canvas, colour, skin, behind=True)
    canvas.shape("rectangle", 33, 48, 67, 82, fill=colour, patterned=True)
    canvas.disc(50, 26, 24, _skin(canvas, skin))
    canvas.draw.chord(canvas.at((26, 0, 74, 44)), 190, 350, canvas.palette.hair, INK, canvas.thin)
    _face(canvas, 50, 28, 23)
    _arms(canvas, colour, skin, behind=False)


def _woman(canvas: Canvas) -> None:
    colour, skin, hair = canvas.palette.colour, canvas.palette.skin, canvas.palette.hair
    canvas.shape("ellipse", 20, -2, 80, 66, fill=hair)
    canvas.limb(43, 82, 42, 98, fill=skin)
    canvas.limb(57, 82, 58, 98, fill=skin)
    _arms(canvas, colour, skin, behind=True)
    canvas.shape("polygon", 42, 46, 58, 46, 80, 88, 20, 88, fill=colour, patterned=True)
    canvas.disc(50, 27, 22, _skin(canvas, skin))
    canvas.draw.chord(canvas.at((28, 3, 72, 42)), 185, 355, hair, INK, canvas.thin)
    _face(canvas, 50, 29, 21)
    _arms(canvas, colour, skin, behind=False)


def _robot(canvas: Canvas) -> None:
    metal, dark = canvas.palette.colour, (95, 100, 115)
    canvas.limb(50, 6, 50, -10, fill=dark, width=3)
    canvas.disc(50, -12, 6, RED)
    canvas.shape("rectangle", 34, 80, 47, 99, fill=dark)
    canvas.shape("rectangle", 53, 80, 66, 99, fill=dark)
    _arms(canvas, dark, dark, behind=True)
    canvas.shape("rectangle", 26, 50, 74, 84, fill=metal, patterned=True)
    canvas.shape("rectangle", 24, 4, 76, 48, fill=_skin(canvas, metal))
    canvas.shape("rectangle", 18, 18, 24, 34, fill=dark)
    canvas.shape("rectangle", 76, 18, 82, 34, fill=dark)
    _face(canvas, 50, 26, 22)
    _arms(canvas, dark, dark, behind=False)


def _paw(canvas: Canvas, fur: Colour, x: float, y: float) -> None:
    """An animal's front leg, which serves as its hand."""
    hand = (118.0, y - 2) if canvas.front == "forward" else (x + 4, 96.0)
    canvas.limb(x, y, *hand, fill=fur, width=9)
    canvas.anchor("hand", *hand)


def _cat(canvas: Canvas) -> None:
    fur = canvas.palette.colour
    canvas.limb(14, 74, -4, 56, 2, 30, fill=fur, width=7)
    for x in (22, 38, 56):
        canvas.limb(x, 80, x, 97, fill=fur)
    canvas.shape("ellipse", 6, 52, 76, 92, fill=fur, patterned=True)
    head = _skin(canvas, fur)
    canvas.shape("polygon", 46, 30, 46, -6, 68, 14, fill=head)
    canvas.shape("polygon", 98, 30, 98, -6, 76, 14, fill=head)
    canvas.disc(72, 36, 28, head)
    for y in (44, 52):
        canvas.line(86, 46, 110, y, fill=INK, width=2)
        canvas.line(58, 46, 34, y, fill=INK, width=2)
    _face(canvas, 72, 38, 24)
    _paw(canvas, fur, 68, 76)


def _dog(canvas: Canvas) -> None:
    fur, ear = canvas.palette.colour, (70, 42, 28)
    canvas.limb(10, 64, -8, 48, fill=fur, width=9)
    for x in (14, 28, 56):
        canvas.limb(x, 80, x, 97, fill=fur, width=10)
    canvas.shape("rectangle", 4, 56, 74, 86, fill=fur, patterned=True)
    head = _skin(canvas, fur)
    canvas.shape("ellipse", 38, 8, 100, 66, fill=head)
    canvas.shape("ellipse", 84, 34, 120, 62, fill=(240, 225, 200))
    canvas.shape("ellipse", 106, 32, 122, 46, fill=INK)
    _face(canvas, 68, 36, 23)
    canvas.shape("ellipse", 28, 12, 46, 62, fill=ear)
    _paw(canvas, fur, 68, 80)


def _bird(canvas: Canvas) -> None:
    feathers = canvas.palette.colour
    red, green, blue = feathers
    canvas.limb(40, 82, 36, 98, fill=(240, 140, 30), width=4)
    canvas.limb(54, 82, 56, 98, fill=(240, 140, 30), width=4)
    canvas.shape("polygon", 24, 66, -12, 50, -12, 78, fill=feathers)
    canvas.shape("ellipse", 8, 44, 76, 88, fill=feathers, patterned=True)
    canvas.disc(68, 34, 26, _skin(canvas, feathers))
    canvas.shape("polygon", 90, 26, 118, 38, 90, 48, fill=(255, 160, 20))
    _face(canvas, 66, 36, 22)
    x, y = (112.0, 68.0) if canvas.front == "forward" else (26.0, 70.0)
    canvas.shape("polygon", 52, 58, 48, 76, x, y + 6, x, y - 2, fill=(red // 2, green // 2, blue // 2))
    canvas.anchor("hand", x, y)


def _ball(canvas: Canvas) -> None:
    canvas.shape("ellipse", 4, 4, 96, 96, fill=canvas.palette.colour, patterned=True)
    if not canvas.attributes & {"striped", "dotted"}:
        canvas.shape("ellipse", 36, 4, 64, 96, fill=WHITE)
    canvas.anchor("grip", 4, 50)


def _balloon(canvas: Canvas) -> None:
    canvas.line(50, 62, 42, 74, 56, 86, 50, 100, fill=INK, width=3)
    canvas.shape("polygon", 50, 54, 42, 66, 58, 66, fill=canvas.palette.colour)
    canvas.shape("ellipse", 22, -6, 78, 60, fill=canvas.palette.colour, patterned=True)
    canvas.dot(38, 14, 6, WHITE)
    canvas.anchor("grip", 50, 98)


def _book(canvas: Canvas) -> None:
    canvas.shape("polygon", 0, 24, 50, 32, 100, 24, 100, 84, 50, 92, 0, 84, fill=canvas.palette.colour)
    for x in (8, 92):
        canvas.shape("polygon", x, 16, 50, 26, 50, 84, x, 76, fill=WHITE)
        for y in (32, 44, 56):
            canvas.line(x + (8 if x < 50 else -8), y, 42 if x < 50 else 58, y + 6, fill=(120, 120, 130), width=4)
    canvas.anchor("grip", 2, 70)


def _bottle(canvas: Canvas) -> None:
    glass = (40, 140, 70)
    canvas.shape("rectangle", 41, 0, 59, 34, fill=glass)
    canvas.shape("rectangle", 39, -4, 61, 6, fill=(190, 140, 80))
    canvas.shape("polygon", 41, 30, 59, 30, 72, 46, 72, 100, 28, 100, 28, 46, fill=glass, patterned=True)
    if not canvas.attributes & {"striped", "dotted"}:
        canvas.shape("rectangle", 28, 58, 72, 82, fill=(250, 235, 190))
    canvas.anchor("grip", 30, 70)


def _sword(canvas: Canvas) -> None:
    canvas.shape("polygon", 42, 70, 42, 6, 50, -10, 58, 6, 58, 70, fill=(205, 215, 228))
    canvas.line(50, 0, 50, 68, fill=(130, 140, 160), width=2)
    canvas.shape("rectangle", 45, 70, 55, 98, fill=(120, 70, 40))
    canvas.shape("rectangle", 26, 66, 74, 75, fill=YELLOW)
    canvas.disc(50, 98, 6, YELLOW)
    canvas.anchor("grip", 50, 86)


def _cigarette(canvas: Canvas) -> None:
    for x, y, radius in ((90, 50, 8), (100, 34, 10), (90, 16, 12), (104, -4, 14)):
        canvas.disc(x, y, radius, (205, 205, 210))
    canvas.shape("rectangle", 0, 70, 92, 90, fill=WHITE)
    canvas.shape("rectangle", 0, 70, 28, 90, fill=(230, 150, 70))
    canvas.shape("rectangle", 84, 70, 96, 90, fill=RED)
    canvas.anchor("grip", 4, 80)


def _cake(canvas: Canvas) -> None:
    canvas.shape("rectangle", 6, 50, 94, 92, fill=(245, 160, 190))
    canvas.shape("rectangle", 6, 40, 94, 54, fill=WHITE)
    for x in (18, 50, 82):
        canvas.disc(x, 34, 8, RED)
    canvas.shape("rectangle", -4, 88, 104, 96, fill=(170, 200, 230))
    canvas.anchor("grip", 0, 90)


def _flower(canvas: Canvas) -> None:
    canvas.limb(50, 30, 50, 98, fill=(50, 160, 60), width=5)
    canvas.shape("ellipse", 52, 62, 82, 78, fill=(50, 160, 60))
    for k in range(6):
        canvas.disc(50 + 22 * cos(k * pi / 3), 22 + 22 * sin(k * pi / 3), 14, canvas.palette.colour)
    canvas.disc(50, 22, 13, YELLOW)
    canvas.anchor("grip", 50, 92)


def _umbrella(canvas: Canvas) -> None:
    canvas.limb(50, 40, 50, 92, 60, 98, 68, 90, fill=(130, 80, 40), width=4)
    dome = [(50 + 54 * cos(k * pi / 8), 46 - 48 * sin(k * pi / 8)) for k in range(9)]
    hem = [(-4 + 13.5 * k, 46 - 8 * (k % 2)) for k in range(9)]
    points = [value for point in dome + hem for value in point]
    canvas.shape("polygon", *points, fill=canvas.palette.colour, patterned=True)
    canvas.anchor("grip", 50, 82)


def _car(canvas: Canvas) -> None:
    canvas.shape("polygon", 20, 52, 32, 26, 70, 26, 82, 52, fill=canvas.palette.colour)
    canvas.shape("polygon", 30, 50, 37, 32, 49, 32, 49, 50, fill=(180, 230, 250))
    canvas.shape("polygon", 53, 50, 53, 32, 66, 32, 73, 50, fill=(180, 230, 250))
    canvas.shape("rectangle", 0, 50, 100, 78, fill=canvas.palette.colour, patterned=True)
    canvas.shape("rectangle", 92, 56, 102, 66, fill=YELLOW)
    for x in (24, 76):
        canvas.disc(x, 78, 14, (50, 50, 58))
        canvas.dot(x, 78, 6, (200, 200, 210))


def _flames(canvas: Canvas) -> None:
    """Three flames on top of the drawing."""
    x0, y0, x1, _ = (value / canvas.unit - 60 for value in canvas.image.getbbox() or (0, 0, 0, 0))
    third = (x1 - x0) / 3
    for k in range(3):
        x, high = x0 + third * k, y0 - (40 if k == 1 else 26)
        tongue = (x, y0 + 14, x, y0 - 6, x + third / 2, high, x + third, y0 - 6, x + third, y0 + 14)
        canvas.shape("polygon", *tongue, fill=(255, 100, 20))
        canvas.draw.polygon(canvas.at((x + 4, y0 + 12, x + third / 2, high + 18, x + third - 4, y0 + 12)), fill=YELLOW)


DRAWINGS: dict[str, Callable[[Canvas], None]] = {
    "man": _man,
    "woman": _woman,
    "robot": _robot,
    "cat": _cat,
    "dog": _dog,
    "bird": _bird,
    "ball": _ball,
    "balloon": _balloon,
    "book": _book,
    "bottle": _bottle,
    "sword": _sword,
    "cigarette": _cigarette,
    "cake": _cake,
    "flower": _flower,
    "umbrella": _umbrella,
    "car": _car,
}


def mark(draw: ImageDraw.ImageDraw, kind: str, points: Sequence[Point], side: int) -> None:
    """Draw the mark of a predicate on the picture.

    Args:
        draw: on the picture.
        kind: the predicate.
        points: the centre of a star, a heart or an apple; start and end of lines.
        side: of the picture in pixels; sizes and line widths are proportional to it.
    """
    (x, y), (x1, y1) = points[0], points[-1]
    r, thin = side * 0.055, max(1, round(side / 90))
    if kind == "hitting":
        for radius, fill in ((1.5 * r, RED), (0.9 * r, YELLOW)):
            tips = [(radius * (1 - 0.5 * (k % 2)), k * pi / 8) for k in range(16)]
            draw.polygon([(x + far * cos(turn), y + far * sin(turn)) for far, turn in tips], fill)
    elif kind == "hugging":
        for centre in (x - 0.5 * r, x + 0.5 * r):
            draw.ellipse((centre - 0.6 * r, y - 0.9 * r, centre + 0.6 * r, y + 0.3 * r), (245, 50, 130))
        draw.polygon((x - 1.08 * r, y - 0.1 * r, x + 1.08 * r, y - 0.1 * r, x, y + 1.2 * r), (245, 50, 130))
    elif kind == "feeding":
        draw.ellipse((x - 0.8 * r, y - 0.8 * r, x + 0.8 * r, y + 0.8 * r), (90, 220, 60), INK, thin)
        draw.line((x, y - 0.7 * r, x + 0.3 * r, y - 1.3 * r), INK, 2 * thin)
    elif kind == "chasing":
        for row in (-1, 0, 1):
            draw.line((x, y + 2 * row * r, x1, y + 2 * row * r), INK, 2 * thin)
    elif kind == "throwing":
        for k in range(1, 6):
            t, dot = k / 6, 1.3 * thin
            px, py = x + t * (x1 - x), y + t * (y1 - y) - 4 * t * (1 - t) * 1.3 * r
            draw.ellipse((px - dot, py - dot, px + dot, py + dot), INK)
    elif kind == "watching":
        dashes = max(3, round(((x1 - x) ** 2 + (y1 - y) ** 2) ** 0.5 / (0.05 * side)))
        for k in range(dashes):
            a, b = k / dashes, (k + 0.55) / dashes
            draw.line((x + a * (x1 - x), y + a * (y1 - y), x + b * (x1 - x), y + b * (y1 - y)), (20, 60, 240), 2 * thin)
