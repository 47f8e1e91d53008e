"""The canvas on which one object of a drawn scene is made: shapes with outlines and patterns, in units."""

from collections.abc import Sequence
from typing import NamedTuple

from PIL import Image, ImageDraw

Colour = tuple[int, int, int]
Point = tuple[float, float]

INK: Colour = (38, 32, 42)
WHITE: Colour = (252, 252, 250)


class Palette(NamedTuple):
    """The colours of one drawn object; the scene graph does not mention them."""

    colour: Colour
    skin: Colour
    hair: Colour


class Canvas:
    """An RGBA tile that covers -60 to 160 units on both axes, and the drawing operations on it.

    Args:
        size: pixels per hundred units.
        palette: the object's colours.
        attributes: of the object; `striped` and `dotted` fill its patterned shapes.
        front, rear: position of an actor's right and left hand; see `sprites.sprite`.
    """

    def __init__(self, size: float, palette: Palette, attributes: frozenset[str], front: str, rear: str) -> None:
        self.unit = size / 100
        self.palette, self.attributes, self.front, self.rear = palette, attributes, front, rear
        self.image = Image.new("RGBA", (round(220 * self.unit), round(220 * self.unit)))
        self.draw = ImageDraw.Draw(self.image)
        self.thin = max(1, round(size / 45))
        self.anchors: dict[str, Point] = {}

    def at(self, points: Sequence[float]) -> list[float]:
        """Pixels of coordinates in units."""
        return [(value + 60) * self.unit for value in points]

    def anchor(self, name: str, x: float, y: float) -> None:
        """Record a named point, such as a hand, given in units."""
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
