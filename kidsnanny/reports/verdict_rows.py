"""A verdict as the JSON that a row of the report is drawn from, and the picture's thumbnail."""

from collections.abc import Iterator
from typing import Any

from PIL import Image

from kidsnanny.errors import CorruptPictureError, UnreadableFileError
from kidsnanny.faults import in_words
from kidsnanny.media.loader import Frame, Source, open_picture
from kidsnanny.records import Action, Reason, SceneGraph, TextLine
from kidsnanny.reports.overlay import Mark, marks
from kidsnanny.reports.pages import visible, words
from kidsnanny.reports.thumbnails import SIDE, data_uri, mosaic
from kidsnanny.stage1.findings_text import object_name, relation_text
from kidsnanny.taxonomy import CATEGORIES
from kidsnanny.verdict import Verdict

ACTIONS: dict[Action, str] = {
    "show": "Show it",
    "warn": "Warn before showing it",
    "block": "Block it",
    "support": "Offer help: somebody may need it",
}


def verdict_row(
    number: int, source: Source | None, verdict: Verdict, originals: bool
) -> tuple[dict[str, Any], Image.Image | None]:
    """What `verdict_details.js` draws, with every invisible character spelled out, and the mosaic of a picture.

    Args:
        number: of the verdict, from 1.
        source: the picture, which is opened again; None: a text.
        verdict: of the picture or text.
        originals: put the picture itself, reduced, into the row, and make no mosaic.
    """
    row: dict[str, Any] = {
        "n": number,
        "name": verdict.source,
        "action": ACTIONS[verdict.action],
        "risk": _short(max((score for c, score in verdict.scores.items() if c not in verdict.ignored), default=None)),
        "reasons": [_reason(reason) for reason in verdict.reasons],
        "explanation": verdict.explanation,
        "missed": list(map(str, verdict.not_inspected)),
        "noted": list(map(str, verdict.noted)),
        "remarks": list(verdict.remarks),
        "text": [_line(line) for line in verdict.text],
        "seen": list(_seen(verdict)),
        "captions": [[g.caption, g.frame] for g in verdict.findings.graphs if g.caption] if verdict.findings else [],
        "scores": [
            [CATEGORIES.index(category), *map(_short, (score.final, score.image, score.text, score.judge))]
            for category, score in sorted(verdict.detail.items(), key=lambda item: -item[1].final)
        ],
        "sha": verdict.provenance.sha256,
        "times": ", ".join(f"{stage} {ms:.0f} ms" for stage, ms in verdict.timings.items()),
    }
    picture = None
    if source is not None:
        try:
            shown, picture = _thumbnail(source, verdict, originals)
            row |= shown
        except Exception as error:  # one thumbnail less is no reason to lose the report
            row["lost"] = in_words(error)
    spelled: dict[str, Any] = _spelled({key: value for key, value in row.items() if value not in (None, "", [])})
    if spelled["name"] != verdict.source:
        spelled["raw"] = verdict.source
    return spelled, picture


def _spelled(value: Any) -> Any:
    """The same with `visible` texts."""
    match value:
        case str():
            return visible(value)
        case list() | tuple():
            return [_spelled(one) for one in value]
        case dict():
            return {key: _spelled(one) for key, one in value.items()}
    return value


def _short(number: float | None) -> float | None:
    """Three decimals, and a whole number as such: scores are most of the file."""
    if number is None:
        return None
    rounded = round(number, 3)
    return int(rounded) if rounded == int(rounded) else rounded


def _reason(reason: Reason) -> dict[str, Any]:
    told: dict[str, Any] = {"is": str(reason)}
    if reason.words:
        told |= {"said": reason.what, "words": reason.words}
    elif len(reason.what) > 80:
        told["said"] = reason.what
    return told


def _line(line: TextLine) -> list[Any]:
    """What was read, its confidence, frame and kind, and its box."""
    return [line.quoted, _short(line.confidence), line.frame, line.kind, *line.box]


def _seen(verdict: Verdict) -> Iterator[list[Any]]:
    """What the models saw, with its score, frame and model, and the box of what stands in one and in no graph."""
    if verdict.findings:
        for seen in verdict.findings.detections:
            yield [words(seen.label.lower()), _short(seen.score), seen.frame, seen.model, *(seen.box or ())]
        for graph in verdict.findings.graphs:
            for text, score in _statements(graph):
                yield [text, _short(score), graph.frame, graph.model]


def _statements(graph: SceneGraph) -> Iterator[tuple[str, float]]:
    """Each object, with its attributes if it has any (`woman:1 bandaged, tall`), and each relation."""
    for place, thing in enumerate(graph.objects):
        yield object_name(graph, place), thing.score
        if thing.attributes:
            yield f"{object_name(graph, place)} {', '.join(thing.attributes)}", min(thing.score, thing.attributes_score)
    for relation in graph.relations:
        yield relation_text(graph, relation), relation.score


def _thumbnail(source: Source, verdict: Verdict, originals: bool) -> tuple[dict[str, Any], Image.Image | None]:
    frame = _frame(source, verdict)
    height, width = frame.rgb.shape[:2]
    small = Image.fromarray(frame.rgb)
    small.thumbnail((SIDE, SIDE))
    shown: dict[str, Any] = {
        "size": [width, height],
        "frame": frame.index,
        "frames": verdict.findings.frames if verdict.findings else 1,
        "marks": [_mark(one) for one in marks(verdict, frame.index, width, height)],
    }
    if originals:
        return shown | {"uri": data_uri(small, "JPEG")}, None
    covered = [line.box for line in verdict.text if line.frame <= frame.index]  # an unchanged frame is not read again
    return shown, mosaic(small, covered, small.width / width)


def _mark(mark: Mark) -> dict[str, Any]:
    drawn: dict[str, Any] = {"kind": mark.kind, "title": mark.title, "box": mark.box, "path": mark.path}
    if label := mark.label:
        place = [label.anchor, round(label.x), round(label.y), round(label.size, 1), label.text]
        drawn["label"] = place if label.below is None else [*place, label.below, round(label.below_size, 1)]
    return {key: value for key, value in drawn.items() if value is not None}


def _frame(source: Source, verdict: Verdict) -> Frame:
    """The frame that carries the strongest reason, or else the first that decodes."""
    if not isinstance(source, Image.Image) and callable(rewind := getattr(source, "seek", None)):
        rewind(0)
    picture = open_picture(source)
    if picture.sha256 != verdict.provenance.sha256:
        raise UnreadableFileError("It is not the picture any more that was checked.")
    wanted = verdict.reasons[0].frame if verdict.reasons else None
    for frame in picture.frames():
        if wanted in (None, frame.index):
            return frame
    raise CorruptPictureError("The frame to show does not decode.")
