"""Verdicts as one HTML file that loads nothing: mosaicked thumbnails, boxes, reasons, and what was not looked at.

Everything that comes from a picture or its name is escaped, freed of characters that could reorder the page, and set
apart in <bdi>. Should markup get in all the same, the policy in the file's head lets no script or style work but ours,
which it names by their hashes, and no picture, frame or style sheet load.
"""

import base64
import errno
import io
import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Container, Iterable, Iterator
from importlib.resources import files
from pathlib import Path
from string import Template
from types import TracebackType
from typing import Self, get_args

import numpy as np
from PIL import Image

from kidsnanny.errors import CorruptPictureError, InputError, UnreadableFileError
from kidsnanny.media.loader import Frame, Source, open_picture
from kidsnanny.records import Action, Box, Channel, Label, Reason, SceneGraph, Verdict
from kidsnanny.reports.markup import checksum, escape, fold, plural, untrusted, words
from kidsnanny.stage1.findings_text import object_name, relation_text

SIDE = 480
"""Longest side of a thumbnail, in pixels of the page."""
BLOCKS = 16
"""Blocks of the mosaic along the longer side."""
BLOCK_SIDE = 16
"""A block covers at least this many pixels of the picture each way, so that a small picture is mosaicked, too."""
REASONS = 12
"""More than these are folded away."""

_LABELS: tuple[Label, ...] = ("unsafe", "review", "safe")
_ACTIONS: dict[Action, str] = {
    "show": "Show it",
    "warn": "Warn before showing it",
    "block": "Block it",
    "support": "Offer help: somebody may need it",
}
_MOSAICKED = '<p class="quiet">Pictures are mosaicked in this file, and the text read in them is blotted out.</p>'
_ORIGINALS = '<p class="warning"><strong>Pictures are shown as they are.</strong> Mind who may see this file.</p>'


class Report:
    """Writes verdicts to one HTML file, picture by picture, so that memory does not grow with the album.

    The file takes its place when the `with` block ends; until then, and when the block raises, whatever was there
    stays. Only its owner may read it.

    Args:
        path: the file to write.
        originals: show the pictures as they are, not as a mosaic.

    Raises:
        OSError: the folder cannot be written to, or `path` is something else than a regular file.
    """

    def __init__(self, path: str | os.PathLike[str], *, originals: bool = False) -> None:
        self._path = Path(path).resolve()
        if self._path.exists() and not self._path.is_file():
            raise FileExistsError(errno.EEXIST, "It is not a regular file, so no report can replace it", str(path))
        self._originals = originals
        self._labels: Counter[Label] = Counter()
        self._missed = 0
        self._not_looked_for: Counter[str] = Counter()
        self._made_with: dict[str, None] = {}
        self._cards = tempfile.TemporaryFile("w+", dir=self._path.parent, encoding="utf-8", newline="\n")  # noqa: SIM115

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._cards:
            if kind is None:
                self._finish()

    def add(self, source: Source, verdict: Verdict) -> None:
        """Add a picture. It is opened again for its thumbnail; where that fails, the report says so."""
        number = self._labels.total() + 1
        self._cards.write(_card(number, verdict, _figure(number, source, verdict, self._originals)))
        self._labels[verdict.label] += 1
        self._missed += bool(verdict.not_inspected)
        self._not_looked_for.update(verdict.not_looked_for)
        made = verdict.provenance
        models = ", ".join(f"{part} {model}" for part, model in made.models.items())
        self._made_with[f"kidsnanny {made.kidsnanny}, policy {made.policy}, {models or 'no models'}"] = None

    def _finish(self) -> None:
        before, after = _asset("html").split("$cards\n")
        handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=".kidsnanny-", suffix=".html")
        try:
            with open(handle, "w", encoding="utf-8", newline="\n") as file:
                file.write(Template(before).substitute(self._head()))
                self._cards.seek(0)
                shutil.copyfileobj(self._cards, file)
                file.write(Template(after).substitute(script=_asset("js")))
            os.replace(name, self._path)
        except BaseException:
            os.unlink(name)
            raise

    def _head(self) -> dict[str, str]:
        total = self._labels.total()
        never = [words(category) for category, count in self._not_looked_for.items() if count == total]
        boxes = (
            f'<label><input type="checkbox" id="only-{label}" value="{label}" checked autocomplete="off"> '
            f"{label} ({self._labels[label]})</label>"
            for label in _LABELS
        )
        return {
            "style": _asset("css"),
            "style_sum": checksum(_asset("css")),
            "script_sum": checksum(_asset("js")),
            "counts": f"{plural(total, 'picture')}: "
            + ", ".join(f"{self._labels[label]} {label}" for label in _LABELS),
            "missed": str(self._missed),
            "never": f"Not looked for in any of them: {', '.join(never)}." if never else "",
            "pixels": _ORIGINALS if self._originals else _MOSAICKED,
            "made_with": "\n".join(f'<p class="quiet">Made with {untrusted(made)}.</p>' for made in self._made_with),
            "labels": "".join(boxes),
        }


def _asset(kind: str) -> str:
    return files("kidsnanny.reports").joinpath(f"verdict_report.{kind}").read_text("utf-8")


def _card(number: int, verdict: Verdict, figure: str) -> str:
    risk = max(verdict.scores.values(), default=None)
    missed = "".join(f"<li>{untrusted(missed)}</li>" for missed in verdict.not_inspected)
    told = f"<p>The judge says: {untrusted(verdict.explanation)}</p>" if verdict.explanation else ""
    absent = ", ".join(map(words, verdict.not_looked_for))
    return f"""<article id="picture-{number}" class="{verdict.label}" data-risk="{"" if risk is None else risk}">
<h2><span class="badge">{verdict.label}</span> {untrusted(verdict.source)}</h2>
<p class="quiet">Picture {number}. {_ACTIONS[verdict.action]}. \
Highest score: {"unknown" if risk is None else f"{risk:.2f}"}.</p>
<div class="columns">
{figure}
<div>
<h3>Why</h3>
{_reasons(verdict)}{told}
{f"<h3>Not inspected</h3><ul>{missed}</ul>" if missed else ""}
{f"<p><strong>Not looked for:</strong> {absent}.</p>" if absent else ""}
{_details(verdict)}
</div>
<div>
<h3>Scores</h3>
{_scores(verdict)}
</div>
</div>
</article>
"""


def _reasons(verdict: Verdict) -> str:
    if not verdict.reasons:
        where = "what could be inspected" if verdict.not_inspected else "it"
        return f"<p>Nothing in {where} reached a threshold.</p>"
    items = [f"<li>{untrusted(reason)}</li>" for reason in verdict.reasons]
    first, rest = "".join(items[:REASONS]), "".join(items[REASONS:])
    folded = f'<ol start="{REASONS + 1}">{rest}</ol>'
    return f"<ol>{first}</ol>" + (fold(f"{len(items) - REASONS} more", folded) if rest else "")


def _scores(verdict: Verdict) -> str:
    if not verdict.detail:
        return "<p>None: nothing could be looked for.</p>"
    channels = [c for c in get_args(Channel) if any(getattr(score, c) is not None for score in verdict.detail.values())]
    rows = ""
    for category, score in sorted(verdict.detail.items(), key=lambda item: -item[1].final):
        limits = verdict.provenance.thresholds[category]
        by = (getattr(score, channel) for channel in channels)
        cells = "".join(f"<td>{'–' if value is None else f'{value:.2f}'}</td>" for value in by)
        rows += (
            f'<tr{" class=flagged" if score.final >= limits.review else ""}><th scope="row">{words(category)}</th>'
            f'<td><meter value="{score.final:.4f}" low="{limits.review}" high="{limits.block}" optimum="0">'
            f"</meter> {score.final:.2f}</td>{cells}</tr>\n"
        )
    heads = "".join(f'<th scope="col">{name}</th>' for name in ("category", "score", *channels))
    return f"<table><thead><tr>{heads}</tr></thead><tbody>\n{rows}</tbody></table>"


def _details(verdict: Verdict) -> str:
    lines = "".join(f"<li>{untrusted(x.text)} {_aside(x.confidence, x.frame)}</li>" for x in verdict.text)
    seen = verdict.findings.detections if verdict.findings else ()
    things = "".join(f"<li>{words(x.label.lower())} {_aside(x.score, x.frame, x.model)}</li>" for x in seen)
    graphs = verdict.findings.graphs if verdict.findings else ()
    said = [item for graph in graphs for item in _said(graph)]
    captions = "".join(
        f"<p>The student's caption{f', frame {graph.frame}' if graph.frame else ''}: {untrusted(graph.caption)}</p>"
        for graph in graphs
        if graph.caption
    )
    things = f"<ul>{things}{''.join(said)}</ul>{captions}" if seen or said or captions else ""
    made = verdict.provenance
    rows = {
        "policy": made.policy,
        **made.models,
        "review/block": ", ".join(f"{words(c)} {t.review:g}/{t.block:g}" for c, t in made.thresholds.items()),
        "SHA-256": made.sha256 or "unknown: it could not be read",
        "time": ", ".join(f"{stage} {ms:.0f} ms" for stage, ms in verdict.timings.items()),
        "kidsnanny": made.kidsnanny,
    }
    terms = "".join(f"<dt>{words(key)}</dt><dd>{untrusted(value)}</dd>" for key, value in rows.items())
    return (
        (fold(f"Text read in it ({plural(len(verdict.text), 'line')})", f"<ol>{lines}</ol>") if lines else "")
        + (fold(f"What the models saw ({len(seen) + len(said)})", things) if things else "")
        + fold("What this rests on", f"<dl>{terms}</dl>")
    )


def _said(graph: SceneGraph) -> Iterator[str]:
    """Each object with its attributes, and each relation."""
    for place, thing in enumerate(graph.objects):
        yield f"<li>{escape(object_name(graph, place))} {_aside(thing.score, graph.frame, graph.model)}</li>"
        if thing.attributes:
            sure = min(thing.score, thing.attributes_score)
            yield f"<li>{_called(graph, place)} {_aside(sure, graph.frame, graph.model)}</li>"
    for relation in graph.relations:
        yield f"<li>{escape(relation_text(graph, relation))} {_aside(relation.score, graph.frame, graph.model)}</li>"


def _called(graph: SceneGraph, place: int) -> str:
    """An object's name and how it is: `woman:1 bandaged, tall`."""
    return escape(" ".join(filter(None, (object_name(graph, place), ", ".join(graph.objects[place].attributes)))))


def _aside(score: float, frame: int, model: str = "") -> str:
    who, where = f", {untrusted(model)}" if model else "", f", frame {frame}" if frame else ""
    return f'<span class="quiet">{score:.2f}{where}{who}</span>'


def _figure(number: int, source: Source, verdict: Verdict, originals: bool) -> str:
    try:
        frame = _frame(source, verdict)
    except Exception as error:  # one thumbnail less is no reason to lose the report
        why = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        return f'<figure><p class="placeholder">No thumbnail. {untrusted(why)}</p></figure>'
    height, width = frame.rgb.shape[:2]
    shown = Image.fromarray(frame.rgb)
    shown.thumbnail((SIDE, SIDE))
    covered = [line.box for line in verdict.text if line.frame <= frame.index]  # an unchanged frame is not read again
    blurred = mosaic(shown, covered, shown.width / width)
    uri = data_uri(shown, "JPEG") if originals else data_uri(blurred, "PNG")
    kind = "Reduced" if originals else "Mosaicked"
    which = f", frame {frame.index}" if verdict.findings and verdict.findings.frames > 1 else ""
    larger = SIDE / max(shown.size)  # nobody could read the labels of a small one
    across, down = (max(1, round(side * larger)) for side in shown.size)
    return (
        f'<figure><div class="frame"><img{"" if originals else " class=mosaic"} src="{uri}" '
        f'width="{across}" height="{down}" decoding="async" '
        f'alt="{kind} thumbnail of picture {number}{which}">'
        f'<svg viewBox="0 0 {width} {height}" preserveAspectRatio="none" aria-hidden="true">'
        f"{''.join(_boxes(verdict, frame))}</svg></div>"
        f'<figcaption class="quiet">{kind}{which}, {width}×{height} pixels</figcaption></figure>'
    )


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


def mosaic(thumbnail: Image.Image, covered: Iterable[Box], scale: float) -> Image.Image:
    """A few pixels that a viewer enlarges to blocks. `covered` is blotted out first: large letters survive a mosaic."""
    rgb = np.array(thumbnail)
    for box in covered:
        x0, y0, x1, y1 = (round(side * scale) for side in box)
        margin = 1 + min(x1 - x0, y1 - y0) // 4
        part = rgb[max(0, y0 - margin) : y1 + margin, max(0, x0 - margin) : x1 + margin]
        if part.size:
            part[:] = np.median(part, axis=(0, 1))
    block = max(max(thumbnail.size) / BLOCKS, BLOCK_SIDE)
    width, height = (max(1, round(side / block)) for side in thumbnail.size)
    return Image.fromarray(rgb).resize((width, height), Image.Resampling.BOX)


def data_uri(image: Image.Image, kind: str) -> str:
    """The picture for a page that loads nothing; `kind` is PNG or JPEG."""
    buffer = io.BytesIO()
    image.save(buffer, kind)  # made from an array, so it carries no metadata
    return f"data:image/{kind.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _boxes(verdict: Verdict, frame: Frame) -> Iterator[str]:
    """What was seen and read in the frame, then the reasons on top, one label for all that share a box, and the names
    and arrows of scene graphs on top of these."""
    graphs = [graph for graph in verdict.findings.graphs if graph.frame == frame.index] if verdict.findings else []
    for seen in verdict.findings.detections if verdict.findings else ():
        if seen.box and seen.frame == frame.index:
            yield _box("image", seen.box, f"{words(seen.label.lower())} {seen.score:.2f}")
    for graph in graphs:
        for place, thing in enumerate(graph.objects):
            yield _box("thing", thing.box, f"{escape(object_name(graph, place))} {thing.score:.2f}")
    for line in verdict.text:
        if line.frame == frame.index:
            yield _box("text", line.box, f"{escape(line.text)} {line.confidence:.2f}")
    height, width = frame.rgb.shape[:2]
    letters = max(width, height) / 30
    reasons: dict[Box, list[tuple[int, Reason]]] = {}
    for number, reason in enumerate(verdict.reasons, start=1):
        if reason.box and reason.frame == frame.index:
            reasons.setdefault(reason.box, []).append((number, reason))
    for box, found in reasons.items():
        y = box.y0 - letters / 3 if box.y0 > letters * 1.5 else box.y1 + letters
        y = min(y, height - letters / 3)
        label = " · ".join(f"{number} {words(reason.category)}" for number, reason in found)
        text = _text(*_side(box, width), y, letters, label)
        yield _box(f"reason {found[0][1].channel}", box, "; ".join(escape(reason) for _, reason in found), text)
    whats = {reason.what for reason in verdict.reasons if reason.frame == frame.index}
    for graph in graphs:
        yield from _names(graph, width, letters)
        yield from _arrows(graph, whats, width, letters)


def _names(graph: SceneGraph, width: int, letters: float) -> Iterator[str]:
    """Of the objects, inside their boxes, and below each in small letters how it is."""
    small = letters * 0.75
    for place, thing in enumerate(graph.objects):
        anchor, x = _side(thing.box, width)
        how = escape(", ".join(thing.attributes))
        label = (
            f'{escape(object_name(graph, place))}<tspan x="{x}" dy="{small:.1f}" font-size="{small:.1f}">{how}</tspan>'
        )
        yield f'<g class="thing">{_text(anchor, x, thing.box.y0 + letters, letters * 0.9, label)}</g>'


def _arrows(graph: SceneGraph, reasons: Container[str], width: int, letters: float) -> Iterator[str]:
    """One for each relation, from the subject's centre to the object's, side by side where a pair has several. One that
    is what a reason says looks like a reason."""
    drawn: Counter[frozenset[int]] = Counter()
    for relation in graph.relations:
        pair = frozenset((relation.subject, relation.object))
        start, end = (_centre(graph.objects[place].box) for place in (relation.subject, relation.object))
        x, y, path = _arrow(start, end, letters, drawn[pair])
        drawn[pair] += 1
        anchor = "start" if x < width / 6 else "end" if x > width * 5 / 6 else "middle"
        label = _text(anchor, x, y - letters / 2, letters, escape(relation.predicate))
        said = relation_text(graph, relation)
        yield (
            f'<g class="relation{" reason" if said in reasons else ""}"><title>{escape(said)} {relation.score:.2f}'
            f'</title><path d="{path}"/><path class="ink" d="{path}"/>{label}</g>'
        )


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


def _text(anchor: str, x: float, y: float, letters: float, content: str) -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" font-size="{letters:.1f}" text-anchor="{anchor}">{content}</text>'


def _box(kind: str, box: Box, title: str, label: str = "") -> str:
    area = f'x="{box.x0}" y="{box.y0}" width="{box.x1 - box.x0}" height="{box.y1 - box.y0}"'
    return f'<g class="{kind}"><title>{title}</title><rect {area}/><rect class="ink" {area}/>{label}</g>'
