"""Verdicts to report, and reports of them."""

from pathlib import Path

from conftest import encoded, gradient, scripted
from html_pages import Parsed
from PIL import Image, ImageDraw

from kidsnanny import Verdict
from kidsnanny.media.loader import Source
from kidsnanny.records import (
    Box,
    Detection,
    ModelId,
    NotInspected,
    Reason,
    Relation,
    SceneGraph,
    SceneObject,
    TextLine,
    VisualFindings,
)
from kidsnanny.reports.verdict_report import VerdictReport


def written(folder: Path, *pairs: tuple[Source | None, Verdict], originals: bool = False) -> Parsed:
    """The report of these, parsed."""
    with VerdictReport(folder / "report.html", originals=originals) as report:
        for source, verdict in pairs:
            report.add(source, verdict)
    return Parsed(folder / "report.html")


def full_of(text: str) -> tuple[Source, Verdict]:
    """A picture and a verdict that says `text` wherever a verdict can hold text that somebody else wrote."""
    source = encoded(gradient())
    verdict = scripted("hello")(source)
    box = Box(1, 2, 30, 20)
    reasons = [
        Reason(category="hate", channel=channel, source="detector", score=0.9, what=text, box=Box(1, 2, 30, right))
        for channel, right in (("text", 20), ("image", 21))
    ]
    thing = SceneObject(label=text, box=box, attributes=(text,))
    relation = Relation(subject=0, predicate=text, object=1)
    graph = SceneGraph(objects=(thing, thing), relations=(relation,), tags={text: 0.5}, caption=text, model=text)
    detection = Detection(label=text, score=0.5, box=box)
    seen = VisualFindings(width=64, height=48, frames=1, detections=(detection,), graphs=(graph,))
    update = {
        "source": text,
        "label": "unsafe",
        "reasons": tuple(reasons),
        "findings": seen,
        "text": (TextLine(text=text, confidence=0.9, box=box),),
        "not_inspected": (NotInspected(part="text", reason=text),),
        "explanation": text,
        "provenance": verdict.provenance.model_copy(update={"policy": text, "models": {text: (ModelId(name=text),)}}),
    }
    return source, verdict.model_copy(update=update)


def told(lines: list[TextLine], source: bytes) -> Verdict:
    """A verdict in which the OCR read these lines."""
    return scripted()(source).model_copy(update={"text": tuple(lines)})


def fight() -> tuple[Image.Image, Verdict]:
    """A drawing of four figures, and a verdict with what a student might write of it."""
    picture = Image.new("RGB", (1000, 600), (190, 215, 240))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 480, 1000, 600), fill=(120, 170, 90))
    figures = [(60, "#c0392b"), (380, "#8e44ad"), (780, "#2c3e50")]
    for x, colour in figures:
        draw.ellipse((x + 35, 150, x + 105, 220), fill=(224, 172, 140))
        draw.rounded_rectangle((x + 10, 220, x + 130, 400), 30, fill=colour)
        draw.rectangle((x + 30, 400, x + 60, 520), fill="#444")
        draw.rectangle((x + 80, 400, x + 110, 520), fill="#444")
    draw.ellipse((700, 440, 760, 500), fill="#f1c40f")
    objects = [
        SceneObject(label=label, box=Box(x, 140, x + 140, 530), attributes=attributes, score=0.9, attributes_score=0.85)
        for (x, _), label, attributes in zip(
            figures, ("man", "woman", "man"), (("angry",), ("bandaged", "very tall"), ()), strict=True
        )
    ]
    graph = SceneGraph(
        objects=(*objects, SceneObject(label="beach ball", box=Box(700, 440, 760, 500), score=0.8)),
        relations=(
            Relation(subject=0, predicate="hitting", object=1, score=0.93),
            Relation(subject=1, predicate="looking at", object=0, score=0.7),
            Relation(subject=2, predicate="kicking", object=3, score=0.66),
            Relation(subject=3, predicate="next to", object=3, score=0.5),
        ),
        tags={"violence": 0.97},
        caption="A sign says <b>all is well</b>.",
        model="senben-tiny",
    )
    tag = Detection(label="violence", score=0.97, model="senben-tiny")
    by = {"category": "violence", "channel": "image"}
    reasons = (
        Reason(score=0.97, source="classifier", what="violence", **by),
        Reason(score=0.93, source="detector", what="man:0 hitting woman:1", box=Box(60, 140, 520, 530), **by),
        Reason(score=0.9, source="detector", what="woman:1 bandaged", box=objects[1].box, **by),
    )
    seen = VisualFindings(
        width=1000, height=600, frames=1, models=(ModelId(name="m"),), detections=(tag,), graphs=(graph,)
    )
    update = {"label": "unsafe", "action": "block", "reasons": reasons, "findings": seen, "source": "fight.png"}
    return picture, scripted()(encoded(picture)).model_copy(update=update)
