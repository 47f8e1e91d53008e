"""Verdicts as one HTML file that loads nothing: mosaicked thumbnails, boxes, reasons, and what was not looked at."""

import errno
import os
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Self, get_args

from PIL import Image

from kidsnanny.errors import CorruptPictureError, UnreadableFileError
from kidsnanny.faults import in_words
from kidsnanny.files import atomic_writer
from kidsnanny.media.loader import Frame, Source, open_picture
from kidsnanny.records import Action, Channel, Label, SceneGraph
from kidsnanny.reports.overlay import Mark, marks
from kidsnanny.reports.pages import render, stream, words
from kidsnanny.reports.thumbnails import SIDE, data_uri, mosaic
from kidsnanny.stage1.findings_text import object_name, relation_text
from kidsnanny.verdict import Verdict

if TYPE_CHECKING:
    from markupsafe import Markup

REASONS = 12
"""More than these are folded away."""

_LABELS: tuple[Label, ...] = ("unsafe", "review", "safe")
_ACTIONS: dict[Action, str] = {
    "show": "Show it",
    "warn": "Warn before showing it",
    "block": "Block it",
    "support": "Offer help: somebody may need it",
}


class VerdictReport:
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

    def add(self, source: Source | None, verdict: Verdict) -> None:
        """Add a picture. It is opened again for its thumbnail; where that fails, the report says so. A text has none:
        its source is None."""
        self._cards.write(_card(self._labels.total() + 1, source, verdict, self._originals))
        self._labels[verdict.label] += 1
        self._missed += bool(verdict.not_inspected)
        self._not_looked_for.update(verdict.not_looked_for)
        made = verdict.provenance
        models = ", ".join(f"{part} {model}" for part, models in made.models.items() for model in models)
        self._made_with[f"kidsnanny {made.kidsnanny}, policy {made.policy}, {models or 'no models'}"] = None

    def _finish(self) -> None:
        total = self._labels.total()
        self._cards.seek(0)
        page = stream(
            "reports/templates/verdict_report.html.j2",
            total=total,
            counts={label: self._labels[label] for label in _LABELS},
            missed=self._missed,
            never=[words(category) for category, count in self._not_looked_for.items() if count == total],
            originals=self._originals,
            made_with=self._made_with,
            cards=_pieces(self._cards),
        )
        with atomic_writer(self._path, private=True) as file:
            page.dump(file, "utf-8")


def _pieces(cards: IO[str]) -> Iterator["Markup"]:
    """The finished cards, a part of the file at a time."""
    from markupsafe import Markup

    while piece := cards.read(1 << 16):
        yield Markup(piece)  # the template of a card has escaped it


def _card(number: int, source: Source | None, verdict: Verdict, originals: bool) -> "Markup":
    try:
        thumbnail, why = (None if source is None else _thumbnail(source, verdict, originals)), ""
    except Exception as error:  # one thumbnail less is no reason to lose the report
        thumbnail, why = None, in_words(error)
        if any(why in missed.reason for missed in verdict.not_inspected):
            why = ""  # the card says it already
    found = verdict.findings
    return render(
        "reports/templates/verdict_card.html.j2",
        number=number,
        verdict=verdict,
        risk=max((score for c, score in verdict.scores.items() if c not in verdict.ignored), default=None),
        action=_ACTIONS[verdict.action],
        originals=originals,
        is_text=source is None,
        thumbnail=thumbnail,
        no_thumbnail=why,
        shown_reasons=REASONS,
        seen=list(_seen(verdict)),
        captions=[graph for graph in found.graphs if graph.caption] if found else [],
        made_with=_made_with(verdict),
        channels=[c for c in get_args(Channel) if any(getattr(s, c) is not None for s in verdict.detail.values())],
        scores=sorted(verdict.detail.items(), key=lambda item: -item[1].final),
    )


def _seen(verdict: Verdict) -> Iterator[tuple[str, float, int, str]]:
    """What the models saw, with its score, frame and model."""
    if verdict.findings:
        for seen in verdict.findings.detections:
            yield words(seen.label.lower()), seen.score, seen.frame, seen.model
        for graph in verdict.findings.graphs:
            for text, score in _statements(graph):
                yield text, score, graph.frame, graph.model


def _statements(graph: SceneGraph) -> Iterator[tuple[str, float]]:
    """Each object, with its attributes if it has any (`woman:1 bandaged, tall`), and each relation."""
    for place, thing in enumerate(graph.objects):
        yield object_name(graph, place), thing.score
        if thing.attributes:
            yield f"{object_name(graph, place)} {', '.join(thing.attributes)}", min(thing.score, thing.attributes_score)
    for relation in graph.relations:
        yield relation_text(graph, relation), relation.score


def _made_with(verdict: Verdict) -> dict[str, str]:
    made = verdict.provenance
    return {
        "policy": made.policy,
        **{part: "+".join(map(str, models)) for part, models in made.models.items()},
        "review/block": ", ".join(f"{words(c)} {t.review:g}/{t.block:g}" for c, t in made.thresholds.items()),
        "SHA-256": made.sha256 or "unknown: it could not be read",
        "time": ", ".join(f"{stage} {ms:.0f} ms" for stage, ms in verdict.timings.items()),
        "kidsnanny": made.kidsnanny,
    }


@dataclass(frozen=True)
class Thumbnail:
    """A picture in the page, and what is drawn over it."""

    uri: str
    width: int
    """Of the frame, in pixels."""
    height: int
    shown: tuple[int, int]
    """Width and height in the page, in pixels."""
    frame: int | None
    """The number of the frame, of a picture that has several."""
    marks: tuple[Mark, ...]


def _thumbnail(source: Source, verdict: Verdict, originals: bool) -> Thumbnail:
    frame = _frame(source, verdict)
    height, width = frame.rgb.shape[:2]
    small = Image.fromarray(frame.rgb)
    small.thumbnail((SIDE, SIDE))
    covered = [line.box for line in verdict.text if line.frame <= frame.index]  # an unchanged frame is not read again
    larger = SIDE / max(small.size)  # nobody could read the labels of a small one
    across, down = (max(1, round(side * larger)) for side in small.size)
    return Thumbnail(
        uri=data_uri(small, "JPEG") if originals else data_uri(mosaic(small, covered, small.width / width), "PNG"),
        width=width,
        height=height,
        shown=(across, down),
        frame=frame.index if verdict.findings and verdict.findings.frames > 1 else None,
        marks=tuple(marks(verdict, frame.index, width, height)),
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
