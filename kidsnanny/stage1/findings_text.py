"""Stage 1's findings as text: what a person can read, a language model can reason over, and `parse` can read back.

Grammar (one row a line, at most 1,200 characters in all):

    findings  = picture { LF ( detection | object | relation ) } [ LF cut ]
    picture   = "picture " WIDTH "x" HEIGHT ", " FRAMES " frame" [ "s" ] " screened by " MODELS ":" [ " nothing found" ]
    detection = "- " LABEL " " SCORE ( " at " box | " overall" ) by
    object    = "- " thing " " SCORE " at " box [ " " WORD { "," WORD } " " SCORE ] by
    relation  = "- " thing " " WORD " " thing " " SCORE by
    thing     = WORD ":" NUMBER
    box       = X0 "," Y0 "," X1 "," Y1
    by        = [ " in frame " FRAME ] [ " by " MODEL ]
    cut       = "- " COUNT " more not listed"

SCORE has two decimals, boxes are whole pixels, `overall` is a classifier's word on the frame as a whole, MODELS is
separated by "+" and has each one's revision, which MODEL leaves out. A WORD is a scene graph's; its spaces are written
"_". NUMBER is an object's place in the graph of its frame and model, from 0, so that `- man:0 hitting woman:1 0.93` can
stand alone. A detection's LABEL does not end like a thing. The row order is fixed: what scores highest by the signals
comes first, so that no crowd of faces can push a finding out of the text. Of a scene graph's tags only the detections
made of them are in the text, and its caption never is: it is not to be trusted.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from kidsnanny.records import Box, Detection, ModelId, Relation, SceneGraph, SceneObject, Signal, VisualFindings

MAX_CHARACTERS = 1_200
UNLISTED = Box(0, 0, 0, 0)
"""Where `parse` puts an object of which the text has no row."""

_THING = r"([^\s:]+):(\d{1,4})"
_SCORE = r"([01]\.\d\d)"
_BOX = r"(-?\d+,-?\d+,-?\d+,-?\d+)"
_BY = r"(?: in frame (\d+))?(?: by (\S+))?"
_PICTURE = re.compile(r"picture (\d+)x(\d+), (\d+) frames? screened by (\S+):( nothing found)?")
_DETECTION = re.compile(rf"- (\S+) {_SCORE} (?:at {_BOX}|overall){_BY}")
_OBJECT = re.compile(rf"- {_THING} {_SCORE} at {_BOX}(?: (\S+) {_SCORE})?{_BY}")
_RELATION = re.compile(rf"- {_THING} (\S+) {_THING} {_SCORE}{_BY}")
_CUT = re.compile(r"- (\d+) more not listed")


class Parsed(NamedTuple):
    """What `parse` read back, and how many rows the text left out."""

    findings: VisualFindings
    omitted: int


class _Row(NamedTuple):
    text: str
    score: float
    frame: int
    box: Box | None
    statements: tuple[str, ...]
    """What the signals that rest on this row say (`Signal.what`)."""


def object_name(graph: SceneGraph, place: int) -> str:
    """An object's name: `woman:1`."""
    return f"{graph.objects[place].label}:{place}"


def relation_text(graph: SceneGraph, relation: Relation) -> str:
    """A relation as text: `man:0 hitting woman:1`."""
    return f"{object_name(graph, relation.subject)} {relation.predicate} {object_name(graph, relation.object)}"


def union_box(graph: SceneGraph, relation: Relation) -> Box:
    """The box around both objects of a relation."""
    first, second = graph.objects[relation.subject].box, graph.objects[relation.object].box
    return Box(*map(min, first[:2], second[:2]), *map(max, first[2:], second[2:]))


def render(findings: VisualFindings, signals: Sequence[Signal]) -> str:
    """The findings as text, the same for the same findings.

    Args:
        findings: at most one graph per frame and model.
        signals: what `Stage1.signals` makes of them; a row ranks by the strongest signal that rests on it, in
            tenths: a tag of 0.02 tells less than an object.
    """
    plural = "frame" if findings.frames == 1 else "frames"
    models = "+".join(map(str, findings.models)) or "nobody"
    rows = [f"picture {findings.width}x{findings.height}, {findings.frames} {plural} screened by {models}:"]
    weights: dict[tuple[int, str, Box | None], float] = {}
    for signal in signals:
        key = signal.frame, signal.what, signal.box
        weights[key] = max(weights.get(key, 0.0), signal.score)

    def weight(row: _Row) -> float:  # a signal without a box rests on all rows that say the same
        keys = [(row.frame, what, box) for what in row.statements for box in (row.box, None)]
        return round(max(weights.get(key, 0.0) for key in keys), 1)

    seen = sorted(_rows(findings), key=lambda row: (-weight(row), -row.score, row.text))
    if not seen:
        return rows[0] + " nothing found"
    room = MAX_CHARACTERS - len(rows[0]) - len(f"\n- {len(seen)} more not listed")
    for index, row in enumerate(seen):
        room -= len(row.text) + 1
        if room < 0:
            rows.append(f"- {len(seen) - index} more not listed")
            break
        rows.append(row.text)
    return "\n".join(rows)


def _rows(findings: VisualFindings) -> Iterator[_Row]:
    for seen in findings.detections:
        where = f"at {','.join(map(str, seen.box))}" if seen.box else "overall"
        text = f"- {seen.label} {seen.score:.2f} {where}{_by(seen)}"
        yield _Row(text, seen.score, seen.frame, seen.box, (seen.label,))
    for graph in findings.graphs:
        for place, thing in enumerate(graph.objects):
            name = object_name(graph, place)
            how = f" {','.join(map(_word, thing.attributes))} {thing.attributes_score:.2f}" if thing.attributes else ""
            text = f"- {_word(name)} {thing.score:.2f} at {','.join(map(str, thing.box))}{how}{_by(graph)}"
            statements = name, *(f"{name} {attribute}" for attribute in thing.attributes)
            yield _Row(text, thing.score, graph.frame, thing.box, statements)
        for relation in graph.relations:
            words = object_name(graph, relation.subject), relation.predicate, object_name(graph, relation.object)
            text = f"- {' '.join(map(_word, words))} {relation.score:.2f}{_by(graph)}"
            yield _Row(text, relation.score, graph.frame, union_box(graph, relation), (relation_text(graph, relation),))


def _by(seen: Detection | SceneGraph) -> str:
    return (f" in frame {seen.frame}" if seen.frame else "") + (f" by {seen.model}" if seen.model else "")


def _word(word: str) -> str:
    return word.replace(" ", "_")


def parse(text: str) -> Parsed:
    """Read back what `render` wrote; scores come back with two decimals, "_" in a graph's words as spaces, relations in
    the order of the rows, and graphs, by frame and model, without tags, caption and `dropped`.

    If rows were left out, an object of which there is none keeps its place if one with a higher number was named: it is
    UNLISTED, with a score of 0 and the label that a relation gives it, or none.

    Raises:
        ValueError: a row is not of the grammar; the message quotes it.
    """
    head, *rows = text.split("\n")
    if not (picture := _PICTURE.fullmatch(head)):
        raise ValueError(f"Not a findings header: {head[:80]!r}.")
    detections: list[Detection] = []
    objects: defaultdict[tuple[int, str], dict[int, SceneObject]] = defaultdict(dict)
    relations: defaultdict[tuple[int, str], list[Relation]] = defaultdict(list)
    omitted = 0
    for row in rows:
        if found := _OBJECT.fullmatch(row):
            label, place, score, box, words, sure, *by = found.groups()
            thing = SceneObject(
                label=_spaced(label),
                box=_box(box),
                attributes=tuple(_spaced(words).split(",")) if words else (),
                score=float(score),
                attributes_score=float(sure or 1),
            )
            objects[_seen(*by)][int(place)] = thing
        elif found := _RELATION.fullmatch(row):
            label, first, word, other, second, score, *by = found.groups()
            for place, name in ((int(first), label), (int(second), other)):
                objects[_seen(*by)].setdefault(place, SceneObject(label=_spaced(name), box=UNLISTED, score=0))
            does = Relation(subject=int(first), predicate=_spaced(word), object=int(second), score=float(score))
            relations[_seen(*by)].append(does)
        elif found := _DETECTION.fullmatch(row):
            label, score, box, *by = found.groups()
            frame, model = _seen(*by)
            where = _box(box) if box else None
            detections.append(Detection(label=label, score=float(score), box=where, frame=frame, model=model))
        elif cut := _CUT.fullmatch(row):
            omitted = int(cut[1])
        else:
            raise ValueError(f"Not a row of findings: {row[:80]!r}.")
    findings = VisualFindings(
        width=int(picture[1]),
        height=int(picture[2]),
        frames=int(picture[3]),
        models=() if picture[4] == "nobody" else tuple(map(ModelId.parse, picture[4].split("+"))),
        detections=tuple(detections),
        graphs=tuple(_graph(*of, objects[of], relations[of]) for of in sorted(objects)),
    )
    return Parsed(findings, omitted)


def _graph(frame: int, model: str, objects: dict[int, SceneObject], relations: list[Relation]) -> SceneGraph:
    unlisted = SceneObject(label="", box=UNLISTED, score=0)
    things = tuple(objects.get(place, unlisted) for place in range(max(objects) + 1))
    return SceneGraph(objects=things, relations=tuple(relations), frame=frame, model=model)


def _seen(frame: str | None, model: str | None) -> tuple[int, str]:
    return int(frame or 0), model or ""


def _box(corners: str) -> Box:
    return Box(*map(int, corners.split(",")))


def _spaced(word: str) -> str:
    return word.replace("_", " ")
