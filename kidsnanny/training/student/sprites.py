"""The drawings of `scenes`: sixteen comic-like things, how they are, and the marks of who does what to whom.

A drawing is made in units of a hundredth of its size, facing right, y downwards.
"""

import random
from collections.abc import Callable, Sequence
from math import cos, pi, sin
from typing import NamedTuple

from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
Point = tuple[float, float]

INK: Colour = (38, 32, 42)
WHITE: Colour = (252, 252, 250)
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


class Look(NamedTuple):
    """What varies from one drawing of a thing to the next, and means nothing."""

    colour: Colour
    skin: Colour
    hair: Colour


class Sprite(NamedTuple):
    """One drawn thing, cropped to what is drawn."""

    image: Image.Image
    """RGBA; alpha is 0 or 255."""
    anchors: dict[str, Point]
    """`hand`, `rear` (the other hand), `eye` or `grip` -> pixel in the image."""

    def mirrored(self) -> "Sprite":
        """Facing left."""
        anchors = {name: (self.image.width - x, y) for name, (x, y) in self.anchors.items()}
        return Sprite(self.image.transpose(Image.Transpose.FLIP_LEFT_RIGHT), anchors)


def look(label: str, rng: random.Random) -> Look:
    """Choose colours for a thing."""
    return Look(rng.choice(FURS.get(label, CLOTHES)), rng.choice(SKIN), rng.choice(HAIR))


def sprite(label: str, attributes: Sequence[str], size: float, looks: Look, front: str, rear: str) -> Sprite:
    """Draw one thing.

    Args:
        label: a key of `DRAWINGS`.
        attributes: how it is.
        size: pixels that are a hundred units.
        looks: its colours.
        front: where an actor's right hand is: `down`, `forward` or `up`.
        rear: where its left hand is: `down` or `out`.
    """
    pen = _Pen(size, looks, frozenset(attributes), front, rear)
    DRAWINGS[label](pen)
    if "burning" in attributes:
        _flames(pen)
    box = pen.image.getbbox() or (0, 0, 1, 1)
    return Sprite(pen.image.crop(box), {n: (x - box[0], y - box[1]) for n, (x, y) in pen.anchors.items()})


class _Pen:
    """An RGBA tile that reaches from -60 to 160 units, and how to draw on it."""

    def __init__(self, size: float, looks: Look, attributes: frozenset[str], front: str, rear: str) -> None:
        self.unit = size / 100
        self.looks, self.attributes, self.front, self.rear = looks, attributes, front, rear
        self.image = Image.new("RGBA", (round(220 * self.unit), round(220 * self.unit)))
        self.draw = ImageDraw.Draw(self.image)
        self.thin = max(1, round(size / 45))
        self.anchors: dict[str, Point] = {}

    def at(self, points: Sequence[float]) -> list[float]:
        return [(value + 60) * self.unit for value in points]

    def anchor(self, name: str, x: float, y: float) -> None:
        self.anchors[name] = ((x + 60) * self.unit, (y + 60) * self.unit)

    def shape(self, kind: str, *points: float, fill: Colour, patterned: bool = False) -> None:
        """An `ellipse` or `rectangle` by its corners, or a `polygon`; with stripes or dots if it can have them."""
        where = self.at(points)
        getattr(self.draw, kind)(where, fill=fill, outline=INK, width=self.thin)
        if patterned and self.attributes & {"striped", "dotted"}:
            mask = Image.new("L", self.image.size)
            getattr(ImageDraw.Draw(mask), kind)(where, fill=255)
            self.image.paste(self._pattern(fill), mask=mask)
            getattr(self.draw, kind)(where, fill=None, outline=INK, width=self.thin)

    def line(self, *points: float, fill: Colour, width: float) -> None:
        self.draw.line(self.at(points), fill=fill, width=max(1, round(width * self.unit)), joint="curve")

    def limb(self, *points: float, fill: Colour, width: float = 8) -> None:
        """A line with an outline."""
        self.line(*points, fill=INK, width=width + 4)
        self.line(*points, fill=fill, width=width)

    def dot(self, x: float, y: float, radius: float, fill: Colour) -> None:
        self.draw.ellipse(self.at((x - radius, y - radius, x + radius, y + radius)), fill=fill)

    def disc(self, x: float, y: float, radius: float, fill: Colour) -> None:
        self.shape("ellipse", x - radius, y - radius, x + radius, y + radius, fill=fill)

    def _pattern(self, colour: Colour) -> Image.Image:
        image = Image.new("RGB", self.image.size, colour)
        draw = ImageDraw.Draw(image)
        if "striped" in self.attributes:
            for y in range(-60, 160, 14):
                draw.rectangle(self.at((-60, y, 160, y + 6)), fill=WHITE)
        else:
            for row, y in enumerate(range(-60, 160, 11)):
                for x in range(-60 + row % 2 * 7, 160, 14):
                    draw.ellipse(self.at((x, y, x + 7, y + 7)), fill=WHITE)
        return image


def _face(pen: _Pen, x: float, y: float, r: float) -> None:
    """Eyes, mouth, mood, glasses and what is on the head, for a head of radius `r` around (x, y)."""
    has = pen.attributes.__contains__
    eyes = (x - 0.42 * r, x + 0.42 * r)
    if has("glasses"):
        pen.line(x - r, y - 0.1 * r, x + r, y - 0.1 * r, fill=INK, width=0.16 * r)
        for eye in eyes:
            pen.disc(eye, y - 0.1 * r, 0.4 * r, (150, 225, 250))
    for eye in eyes:
        pen.dot(eye, y - 0.1 * r, 0.17 * r, INK)
    pen.anchor("eye", eyes[1], y - 0.1 * r)
    if has("smiling"):
        pen.draw.chord(pen.at((x - 0.6 * r, y - 0.1 * r, x + 0.6 * r, y + 0.85 * r)), 0, 180, RED, INK, pen.thin)
    elif has("crying"):
        for eye in eyes:
            pen.shape("rectangle", eye - 0.2 * r, y + 0.1 * r, eye + 0.2 * r, y + 1.15 * r, fill=(70, 150, 255))
        pen.line(x - 0.2 * r, y + 0.6 * r, x, y + 0.45 * r, x + 0.2 * r, y + 0.6 * r, fill=INK, width=0.14 * r)
    elif has("angry"):
        pen.line(x - 0.75 * r, y - 0.65 * r, x - 0.1 * r, y - 0.25 * r, fill=INK, width=0.22 * r)
        pen.line(x + 0.75 * r, y - 0.65 * r, x + 0.1 * r, y - 0.25 * r, fill=INK, width=0.22 * r)
        pen.shape("rectangle", x - 0.45 * r, y + 0.35 * r, x + 0.45 * r, y + 0.65 * r, fill=WHITE)
    else:
        pen.line(x - 0.2 * r, y + 0.5 * r, x + 0.2 * r, y + 0.5 * r, fill=INK, width=0.12 * r)
    top = y - 0.62 * r
    if has("hat"):
        pen.shape("rectangle", x - 0.7 * r, top - 1.1 * r, x + 0.7 * r, top, fill=(60, 60, 70))
        pen.shape("rectangle", x - 0.7 * r, top - 0.35 * r, x + 0.7 * r, top - 0.05 * r, fill=RED)
        pen.shape("rectangle", x - 1.2 * r, top - 0.1 * r, x + 1.2 * r, top + 0.15 * r, fill=(60, 60, 70))
    elif has("crown"):
        high, low = top - 0.9 * r, top - 0.35 * r
        points = (x - 0.8 * r, high, x - 0.4 * r, low, x, high, x + 0.4 * r, low, x + 0.8 * r, high)
        pen.shape("polygon", *points, x + 0.75 * r, top + 0.1 * r, x - 0.75 * r, top + 0.1 * r, fill=YELLOW)
    elif has("bandaged"):
        pen.shape("rectangle", x - 1.05 * r, top - 0.3 * r, x + 1.05 * r, top + 0.3 * r, fill=WHITE)
        pen.line(x - 0.25 * r, top, x + 0.25 * r, top, fill=RED, width=0.2 * r)
        pen.line(x, top - 0.25 * r, x, top + 0.25 * r, fill=RED, width=0.2 * r)


def _skin(pen: _Pen, plain: Colour) -> Colour:
    return (240, 90, 70) if "angry" in pen.attributes else plain


def _arms(pen: _Pen, sleeve: Colour, hand: Colour, behind: bool) -> None:
    """The arm behind the trunk, or the one before it."""
    if behind:
        x, y = {"down": (24, 78), "out": (2, 60)}[pen.rear]
        pen.limb(38, 58, x, y, fill=sleeve)
        pen.anchor("rear", x, y)
    else:
        x, y = {"down": (76, 78), "forward": (98, 58), "up": (94, 26)}[pen.front]
        pen.limb(62, 58, x, y, fill=sleeve)
        pen.anchor("hand", x, y)
    pen.disc(x, y, 6, hand)


def _man(pen: _Pen) -> None:
    colour, skin = pen.looks.colour, pen.looks.skin
    pen.limb(43, 78, 41, 98, fill=(60, 65, 95))
    pen.limb(57, 78, 59, 98, fill=(60, 65, 95))
    _arms(pen, colour, skin, behind=True)
    pen.shape("rectangle", 33, 48, 67, 82, fill=colour, patterned=True)
    pen.disc(50, 26, 24, _skin(pen, skin))
    pen.draw.chord(pen.at((26, 0, 74, 44)), 190, 350, pen.looks.hair, INK, pen.thin)
    _face(pen, 50, 28, 23)
    _arms(pen, colour, skin, behind=False)


def _woman(pen: _Pen) -> None:
    colour, skin, hair = pen.looks.colour, pen.looks.skin, pen.looks.hair
    pen.shape("ellipse", 20, -2, 80, 66, fill=hair)
    pen.limb(43, 82, 42, 98, fill=skin)
    pen.limb(57, 82, 58, 98, fill=skin)
    _arms(pen, colour, skin, behind=True)
    pen.shape("polygon", 42, 46, 58, 46, 80, 88, 20, 88, fill=colour, patterned=True)
    pen.disc(50, 27, 22, _skin(pen, skin))
    pen.draw.chord(pen.at((28, 3, 72, 42)), 185, 355, hair, INK, pen.thin)
    _face(pen, 50, 29, 21)
    _arms(pen, colour, skin, behind=False)


def _robot(pen: _Pen) -> None:
    metal, dark = pen.looks.colour, (95, 100, 115)
    pen.limb(50, 6, 50, -10, fill=dark, width=3)
    pen.disc(50, -12, 6, RED)
    pen.shape("rectangle", 34, 80, 47, 99, fill=dark)
    pen.shape("rectangle", 53, 80, 66, 99, fill=dark)
    _arms(pen, dark, dark, behind=True)
    pen.shape("rectangle", 26, 50, 74, 84, fill=metal, patterned=True)
    pen.shape("rectangle", 24, 4, 76, 48, fill=_skin(pen, metal))
    pen.shape("rectangle", 18, 18, 24, 34, fill=dark)
    pen.shape("rectangle", 76, 18, 82, 34, fill=dark)
    _face(pen, 50, 26, 22)
    _arms(pen, dark, dark, behind=False)


def _paw(pen: _Pen, fur: Colour, x: float, y: float) -> None:
    """The front leg of an animal, which is its hand."""
    hand = (118.0, y - 2) if pen.front == "forward" else (x + 4, 96.0)
    pen.limb(x, y, *hand, fill=fur, width=9)
    pen.anchor("hand", *hand)


def _cat(pen: _Pen) -> None:
    fur = pen.looks.colour
    pen.limb(14, 74, -4, 56, 2, 30, fill=fur, width=7)
    for x in (22, 38, 56):
        pen.limb(x, 80, x, 97, fill=fur)
    pen.shape("ellipse", 6, 52, 76, 92, fill=fur, patterned=True)
    head = _skin(pen, fur)
    pen.shape("polygon", 46, 30, 46, -6, 68, 14, fill=head)
    pen.shape("polygon", 98, 30, 98, -6, 76, 14, fill=head)
    pen.disc(72, 36, 28, head)
    for y in (44, 52):
        pen.line(86, 46, 110, y, fill=INK, width=2)
        pen.line(58, 46, 34, y, fill=INK, width=2)
    _face(pen, 72, 38, 24)
    _paw(pen, fur, 68, 76)


def _dog(pen: _Pen) -> None:
    fur, ear = pen.looks.colour, (70, 42, 28)
    pen.limb(10, 64, -8, 48, fill=fur, width=9)
    for x in (14, 28, 56):
        pen.limb(x, 80, x, 97, fill=fur, width=10)
    pen.shape("rectangle", 4, 56, 74, 86, fill=fur, patterned=True)
    head = _skin(pen, fur)
    pen.shape("ellipse", 38, 8, 100, 66, fill=head)
    pen.shape("ellipse", 84, 34, 120, 62, fill=(240, 225, 200))
    pen.shape("ellipse", 106, 32, 122, 46, fill=INK)
    _face(pen, 68, 36, 23)
    pen.shape("ellipse", 28, 12, 46, 62, fill=ear)
    _paw(pen, fur, 68, 80)


def _bird(pen: _Pen) -> None:
    feathers = pen.looks.colour
    red, green, blue = feathers
    pen.limb(40, 82, 36, 98, fill=(240, 140, 30), width=4)
    pen.limb(54, 82, 56, 98, fill=(240, 140, 30), width=4)
    pen.shape("polygon", 24, 66, -12, 50, -12, 78, fill=feathers)
    pen.shape("ellipse", 8, 44, 76, 88, fill=feathers, patterned=True)
    pen.disc(68, 34, 26, _skin(pen, feathers))
    pen.shape("polygon", 90, 26, 118, 38, 90, 48, fill=(255, 160, 20))
    _face(pen, 66, 36, 22)
    x, y = (112.0, 68.0) if pen.front == "forward" else (26.0, 70.0)
    pen.shape("polygon", 52, 58, 48, 76, x, y + 6, x, y - 2, fill=(red // 2, green // 2, blue // 2))
    pen.anchor("hand", x, y)


def _ball(pen: _Pen) -> None:
    pen.shape("ellipse", 4, 4, 96, 96, fill=pen.looks.colour, patterned=True)
    if not pen.attributes & {"striped", "dotted"}:
        pen.shape("ellipse", 36, 4, 64, 96, fill=WHITE)
    pen.anchor("grip", 4, 50)


def _balloon(pen: _Pen) -> None:
    pen.line(50, 62, 42, 74, 56, 86, 50, 100, fill=INK, width=3)
    pen.shape("polygon", 50, 54, 42, 66, 58, 66, fill=pen.looks.colour)
    pen.shape("ellipse", 22, -6, 78, 60, fill=pen.looks.colour, patterned=True)
    pen.dot(38, 14, 6, WHITE)
    pen.anchor("grip", 50, 98)


def _book(pen: _Pen) -> None:
    pen.shape("polygon", 0, 24, 50, 32, 100, 24, 100, 84, 50, 92, 0, 84, fill=pen.looks.colour)
    for x in (8, 92):
        pen.shape("polygon", x, 16, 50, 26, 50, 84, x, 76, fill=WHITE)
        for y in (32, 44, 56):
            pen.line(x + (8 if x < 50 else -8), y, 42 if x < 50 else 58, y + 6, fill=(120, 120, 130), width=4)
    pen.anchor("grip", 2, 70)


def _bottle(pen: _Pen) -> None:
    glass = (40, 140, 70)
    pen.shape("rectangle", 41, 0, 59, 34, fill=glass)
    pen.shape("rectangle", 39, -4, 61, 6, fill=(190, 140, 80))
    pen.shape("polygon", 41, 30, 59, 30, 72, 46, 72, 100, 28, 100, 28, 46, fill=glass, patterned=True)
    if not pen.attributes & {"striped", "dotted"}:
        pen.shape("rectangle", 28, 58, 72, 82, fill=(250, 235, 190))
    pen.anchor("grip", 30, 70)


def _sword(pen: _Pen) -> None:
    pen.shape("polygon", 42, 70, 42, 6, 50, -10, 58, 6, 58, 70, fill=(205, 215, 228))
    pen.line(50, 0, 50, 68, fill=(130, 140, 160), width=2)
    pen.shape("rectangle", 45, 70, 55, 98, fill=(120, 70, 40))
    pen.shape("rectangle", 26, 66, 74, 75, fill=YELLOW)
    pen.disc(50, 98, 6, YELLOW)
    pen.anchor("grip", 50, 86)


def _cigarette(pen: _Pen) -> None:
    for x, y, radius in ((90, 50, 8), (100, 34, 10), (90, 16, 12), (104, -4, 14)):
        pen.disc(x, y, radius, (205, 205, 210))
    pen.shape("rectangle", 0, 70, 92, 90, fill=WHITE)
    pen.shape("rectangle", 0, 70, 28, 90, fill=(230, 150, 70))
    pen.shape("rectangle", 84, 70, 96, 90, fill=RED)
    pen.anchor("grip", 4, 80)


def _cake(pen: _Pen) -> None:
    pen.shape("rectangle", 6, 50, 94, 92, fill=(245, 160, 190))
    pen.shape("rectangle", 6, 40, 94, 54, fill=WHITE)
    for x in (18, 50, 82):
        pen.disc(x, 34, 8, RED)
    pen.shape("rectangle", -4, 88, 104, 96, fill=(170, 200, 230))
    pen.anchor("grip", 0, 90)


def _flower(pen: _Pen) -> None:
    pen.limb(50, 30, 50, 98, fill=(50, 160, 60), width=5)
    pen.shape("ellipse", 52, 62, 82, 78, fill=(50, 160, 60))
    for k in range(6):
        pen.disc(50 + 22 * cos(k * pi / 3), 22 + 22 * sin(k * pi / 3), 14, pen.looks.colour)
    pen.disc(50, 22, 13, YELLOW)
    pen.anchor("grip", 50, 92)


def _umbrella(pen: _Pen) -> None:
    pen.limb(50, 40, 50, 92, 60, 98, 68, 90, fill=(130, 80, 40), width=4)
    dome = [(50 + 54 * cos(k * pi / 8), 46 - 48 * sin(k * pi / 8)) for k in range(9)]
    hem = [(-4 + 13.5 * k, 46 - 8 * (k % 2)) for k in range(9)]
    points = [value for point in dome + hem for value in point]
    pen.shape("polygon", *points, fill=pen.looks.colour, patterned=True)
    pen.anchor("grip", 50, 82)


def _car(pen: _Pen) -> None:
    pen.shape("polygon", 20, 52, 32, 26, 70, 26, 82, 52, fill=pen.looks.colour)
    pen.shape("polygon", 30, 50, 37, 32, 49, 32, 49, 50, fill=(180, 230, 250))
    pen.shape("polygon", 53, 50, 53, 32, 66, 32, 73, 50, fill=(180, 230, 250))
    pen.shape("rectangle", 0, 50, 100, 78, fill=pen.looks.colour, patterned=True)
    pen.shape("rectangle", 92, 56, 102, 66, fill=YELLOW)
    for x in (24, 76):
        pen.disc(x, 78, 14, (50, 50, 58))
        pen.dot(x, 78, 6, (200, 200, 210))


def _flames(pen: _Pen) -> None:
    """Three tongues on top of what is drawn."""
    x0, y0, x1, _ = (value / pen.unit - 60 for value in pen.image.getbbox() or (0, 0, 0, 0))
    third = (x1 - x0) / 3
    for k in range(3):
        x, high = x0 + third * k, y0 - (40 if k == 1 else 26)
        tongue = (x, y0 + 14, x, y0 - 6, x + third / 2, high, x + third, y0 - 6, x + third, y0 + 14)
        pen.shape("polygon", *tongue, fill=(255, 100, 20))
        pen.draw.polygon(pen.at((x + 4, y0 + 12, x + third / 2, high + 18, x + third - 4, y0 + 12)), fill=YELLOW)


DRAWINGS: dict[str, Callable[[_Pen], None]] = {
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
    """Draw the sign of a predicate on the picture.

    Args:
        draw: on the picture.
        kind: the predicate.
        points: one for a star, a heart or an apple, in the middle; from and to for lines.
        side: of the picture, which sizes and widths go by.
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
