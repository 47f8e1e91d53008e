"""Where the objects of a drawn scene stand: an actor is beside, behind or on top of the object of its relation."""

import random
from collections.abc import Sequence
from typing import NamedTuple

from kidsnanny.records import Box, SceneGraph
from kidsnanny.training.student.canvas import Palette, Point
from kidsnanny.training.student.sprites import Sprite, choose_palette, sprite

SIZES: dict[str, tuple[float, float]] = {
    "man": (0.34, 0.43), "woman": (0.34, 0.43), "robot": (0.32, 0.4), "dog": (0.26, 0.33), "cat": (0.26, 0.33),
    "bird": (0.25, 0.32), "ball": (0.22, 0.28), "car": (0.34, 0.43), "book": (0.22, 0.29), "balloon": (0.27, 0.34),
    "bottle": (0.24, 0.31), "cake": (0.22, 0.29), "flower": (0.25, 0.32), "sword": (0.28, 0.36),
    "cigarette": (0.21, 0.26), "umbrella": (0.26, 0.33),
}  # fmt: skip
"""Label -> smallest and largest size of a hundred units, as a share of the picture's side."""
FRONTS = {"throwing": "up", "watching": "down", "riding": "down"}
"""Predicate -> position of the actor's right hand; `forward` for all others."""

Placed = tuple[int, Sprite, int, int]
"""Index of the object, its drawing, and x and y of its top left corner in pixels."""
Mark = tuple[str, list[Point]]
"""A predicate and the points (x, y) in pixels where its mark is drawn."""


class _Appearance(NamedTuple):
    """What varies between drawings of an object and is not in the graph."""

    palette: Palette
    size: float
    """Pixels per hundred units."""
    left: bool
    """Whether it faces left."""
    height: float
    """0..1; of an object that is thrown or watched."""


def lay_out(graph: SceneGraph, rng: random.Random, side: int) -> tuple[list[Placed], list[Mark]]:
    """Place groups of related objects without overlap; all sizes shrink until the groups fit.

    Args:
        graph: its boxes are ignored.
        rng: chooses colours, sizes and positions.
        side: of the picture, in pixels.

    Returns:
        The drawings in painting order, and the marks, which are painted last.
    """
    palettes = [choose_palette(thing.label, rng) for thing in graph.objects]
    sizes = [rng.uniform(*SIZES[thing.label]) * side for thing in graph.objects]
    lefts = [rng.random() < 0.5 for _ in graph.objects]
    heights = [rng.random() for _ in graph.objects]
    appearances = [_Appearance(*each) for each in zip(palettes, sizes, lefts, heights, strict=True)]
    scale, gap = 1.0, side // 50
    while True:
        groups = [
            _group(graph, members, [each._replace(size=scale * each.size) for each in appearances], side)
            for members in _members(graph)
        ]
        groups.sort(key=lambda group: -group[2].area)
        taken: list[Box] = []
        placed: list[Placed] = []
        marks: list[Mark] = []
        for things, group_marks, box in groups:
            for _ in range(60):
                x, y = (
                    rng.randint(gap, side - gap - length) if length <= side - 2 * gap else -1
                    for length in (box.x1 - box.x0, box.y1 - box.y0)
                )
                here = Box(x - gap, y - gap, x + box.x1 - box.x0 + gap, y + box.y1 - box.y0 + gap)
                if min(x, y) >= 0 and not any(_meet(here, other) for other in taken):
                    break
            else:
                break
            taken.append(here)
            dx, dy = x - box.x0, y - box.y0
            placed += [(index, piece, px + dx, py + dy) for index, piece, px, py in things]
            marks += [(kind, [(px + dx, py + dy) for px, py in points]) for kind, points in group_marks]
        if len(taken) == len(groups):
            return placed, marks
        scale *= 0.94


def _meet(one: Box, other: Box) -> bool:
    return one.x0 < other.x1 and other.x0 < one.x1 and one.y0 < other.y1 and other.y0 < one.y1


def _members(graph: SceneGraph) -> list[list[int]]:
    """Indices of the objects that belong together, the actor first."""
    groups: dict[int, list[int]] = {}
    for relation in graph.relations:
        groups.setdefault(relation.subject, [relation.subject]).append(relation.object)
    busy = {index for group in groups.values() for index in group}
    return [*groups.values(), *([index] for index in range(len(graph.objects)) if index not in busy)]


def _group(
    graph: SceneGraph, members: list[int], appearances: Sequence[_Appearance], side: int
) -> tuple[list[Placed], list[Mark], Box]:
    """One actor with the objects of its relations, around a local origin: drawings, marks, and the box around all."""
    relations = [relation for relation in graph.relations if relation.subject == members[0]]
    main = relations[0].predicate if relations else ""
    both = len(relations) > 1
    relations.reverse()  # what the other hand holds comes first, because speed lines start behind it

    def drawn(index: int, front: str = "down", rear: str = "down") -> Sprite:
        thing = graph.objects[index]
        return sprite(thing.label, thing.attributes, appearances[index].size, appearances[index].palette, front, rear)

    front = FRONTS.get(main, "forward") if main else "down"
    actor = drawn(members[0], front, "out" if both else "down")
    things: list[Placed] = [(members[0], actor, 0, 0)]
    marks: list[Mark] = []
    for relation in relations:
        other = drawn(relation.object)
        if relation.predicate == "holding":
            if both:
                other = other.mirrored()
            (hx, hy), (gx, gy) = actor.anchors["rear" if both else "hand"], other.anchors["grip"]
            things.append((relation.object, other, round(hx - gx), round(hy - gy)))
            continue
        if relation.predicate in ("hitting", "hugging", "feeding", "watching"):
            other = other.mirrored()
        x, y, points = _position(relation.predicate, actor, other, appearances[relation.object].height, side)
        if relation.predicate == "chasing":
            behind = min(left for _, _, left, _ in things)
            points = [(px + behind, py) for px, py in points]
        if relation.predicate in ("hugging", "riding"):
            things.insert(0, (relation.object, other, x, y))
        else:
            things.append((relation.object, other, x, y))
        if points:
            marks.append((relation.predicate, points))
    if appearances[members[0]].left:
        things = [(index, piece.mirrored(), -x - piece.image.width, y) for index, piece, x, y in things]
        marks = [(kind, [(-x, y) for x, y in points]) for kind, points in marks]
    reach = 0.09 * side
    corners = [(x + d, y + d) for kind, points in marks for x, y in points for d in _reach(kind, reach)]
    corners += [(x, y) for _, _, x, y in things]
    corners += [(x + piece.image.width, y + piece.image.height) for _, piece, x, y in things]
    xs, ys = zip(*corners, strict=True)
    return things, marks, Box(round(min(xs)), round(min(ys)), round(max(xs) + 0.5), round(max(ys) + 0.5))


def _reach(kind: str, reach: float) -> tuple[float, float]:
    """How far a mark extends around its points, in pixels."""
    return (0.0, 0.0) if kind in ("watching", "chasing") else (-reach, reach)


def _position(predicate: str, actor: Sprite, other: Sprite, high: float, side: int) -> tuple[int, int, list[Point]]:
    """x and y of the other object when the actor is at the origin and faces right, and the points of the mark."""
    hand, width, height = actor.anchors["hand"], actor.image.width, actor.image.height
    other_width, other_height = other.image.size
    level = height - other_height  # feet on the same ground
    if predicate == "hitting":
        x = round(hand[0] + 0.07 * side)
        return x, level, [(x, hand[1])]
    if predicate == "feeding":
        x = round(hand[0] + 0.1 * side)
        return x, level, [(hand[0] + 0.05 * side, hand[1])]
    if predicate == "hugging":
        x = round(hand[0] - 0.4 * other_width)
        return x, level, [((x + width) / 2, min(0, level) - 0.06 * side)]
    if predicate == "chasing":
        return round(width + 0.06 * side), level, [(-0.15 * side, height / 2), (-0.03 * side, height / 2)]
    if predicate == "riding":
        return round((width - other_width) / 2), round(height - 0.3 * other_height), []
    if predicate == "throwing":
        x, y = round(width + 0.16 * side), round(hand[1] - other_height / 2 + (high - 0.6) * 0.2 * side)
        return x, y, [hand, (x - 0.01 * side, y + other_height / 2)]
    x = round(width + (0.12 + 0.1 * high) * side)  # watching
    y = round(level - (high - 0.5) * 0.2 * side)
    return x, y, [actor.anchors["eye"], (x, y + other_height / 2)]
