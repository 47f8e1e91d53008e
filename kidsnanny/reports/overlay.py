"""What is drawn over a thumbnail, in pixels of the frame: boxes, names and arrows, of which a script makes SVG.

What is only seen or read is not among them: the script draws it from the lists of what was seen and read.
"""

from collections import Counter
from collections.abc import Container, Iterator
from dataclasses import dataclass

from kidsnanny.records import Box, Reason, SceneGraph
from kidsnanny.stage1.findings_text import object_name, relation_text
from kidsnanny.verdict import Verdict


@dataclass(frozen=True)
class MarkLabel:
    """A line of text and, if `below` is given, smaller text under it."""

    anchor: str
    """start, middle or end."""
    x: float
    y: float
    size: float
    text: str
    below: str | None = None
    below_size: float = 0


@dataclass(frozen=True)
class Mark:
    """A box or a path with its label."""

    kind: str
    """Its classes in the style sheet."""
    title: str | None = None
    box: Box | None = None
    path: str | None = None
    label: MarkLabel | None = None


def marks(verdict: Verdict, frame: int, width: int, height: int) -> Iterator[Mark]:
    """The things of scene graphs in the frame, then the reasons on top, one label for all that share a box, and the
    names and arrows of scene graphs on top of these."""
    found = verdict.findings
    graphs = [graph for graph in found.graphs if graph.frame == frame] if found else []
    for graph in graphs:
        for place, thing in enumerate(graph.objects):
            yield Mark("thing", f"{object_name(graph, place)} {thing.score:.2f}", thing.box)
    letters = max(width, height) / 30
    yield from _reasons(verdict, frame, width, height, letters)
    whats = {reason.what for reason in verdict.reasons if reason.frame == frame}
    for graph in graphs:
        yield from _names(graph, width, letters)
        yield from _arrows(graph, whats, width, letters)


def _reasons(verdict: Verdict, frame: int, width: int, height: int, letters: float) -> Iterator[Mark]:
    """The boxes of the reasons, with their numbers in the list."""
    reasons: dict[Box, list[tuple[int, Reason]]] = {}
    for number, reason in enumerate(verdict.reasons, start=1):
        if reason.box and reason.frame == frame:
            reasons.setdefault(reason.box, []).append((number, reason))
    for box, found in reasons.items():
        y = box.y0 - letters / 3 if box.y0 > letters * 1.5 else box.y1 + letters
        y = min(y, height - letters / 3)
        text = " · ".join(f"{number} {reason.category.replace('_', ' ')}" for number, reason in found)
        label = MarkLabel(*_side(box, width), y, letters, text)
        yield Mark(f"reason {found[0][1].channel}", "; ".join(str(reason) for _, reason in found), box, label=label)


def _names(graph: SceneGraph, width: int, letters: float) -> Iterator[Mark]:
    """The names of the objects, inside their boxes, and in small letters below each its attributes."""
    for place, thing in enumerate(graph.objects):
        anchor, x = _side(thing.box, width)
        y, attributes = thing.box.y0 + letters, ", ".join(thing.attributes)
        label = MarkLabel(anchor, x, y, letters * 0.9, object_name(graph, place), attributes, letters * 0.75)
        yield Mark("thing", label=label)


def _arrows(graph: SceneGraph, reasons: Container[str], width: int, letters: float) -> Iterator[Mark]:
    """One for each relation, from the subject's centre to the object's, side by side where a pair has several. One that
    is what a reason says looks like a reason."""
    drawn: Counter[frozenset[int]] = Counter()
    for relation in graph.relations:
        pair = frozenset((relation.subject, relation.object))
        start, end = (_centre(graph.objects[place].box) for place in (relation.subject, relation.object))
        x, y, path = _arrow(start, end, letters, drawn[pair])
        drawn[pair] += 1
        anchor = "start" if x < width / 6 else "end" if x > width * 5 / 6 else "middle"
        text = relation_text(graph, relation)
        kind = "relation reason" if text in reasons else "relation"
        label = MarkLabel(anchor, x, y - letters / 2, letters, relation.predicate)
        yield Mark(kind, f"{text} {relation.score:.2f}", path=path, label=label)


def _centre(box: Box) -> complex:
    return complex(box.x0 + box.x1, box.y0 + box.y1) / 2


def _arrow(start: complex, end: complex, head: float, shift: int) -> tuple[float, float, str]:
    """Where the middle of an arrow between two points, x + iy, is, and its path: none between things in one place."""
    if start == end:
        return start.real, start.imag + head * (shift + 1.5), ""
    along = (end - start) / abs(end - start) * head
    down = along * 1j if along.real > 0 else along * -1j
    start, end = (point + down * 1.5 * shift for point in (start, end))
    points = (start, end, end - along * (1 - 0.5j), end, end - along * (1 + 0.5j))
    path = "M{} L{} M{} L{} L{}".format(*(f"{point.real:.0f} {point.imag:.0f}" for point in points))
    return (start + end).real / 2, (start + end).imag / 2, path


def _side(box: Box, width: int) -> tuple[str, float]:
    """Where a label of the box is anchored, so that it does not run out of a picture of this width."""
    return ("end", box.x1) if box.x0 > width / 2 else ("start", box.x0)
