"""One picture while it is inspected: what is known of it so far, and how frames are batched and timed."""

import re
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from itertools import repeat, zip_longest
from traceback import clear_frames
from typing import Literal, TypeVar

import numpy as np

from kidsnanny.budget import SECONDS, Budget
from kidsnanny.faults import in_words
from kidsnanny.inspection import Inspection, Media
from kidsnanny.media.loader import RGB, Frame, Picture
from kidsnanny.records import Box, Detection, NotInspected, SceneGraph, TextLine, encodable

T = TypeVar("T")
BATCH_FRAMES = 8
BATCH_PIXELS = 16_000_000
WELL_READ = 0.92
"""Of a line read with this confidence nobody asks what it stands on."""
SAMPLE, EVEN = 4_000, 3
"""Pixels that are looked at for that, and the median deviation of an even ground in levels: JPEG's noise is less."""
LETTER = 5
"""Pixels: no legible letter is smaller."""
LETTER_CHANGE = 4
"""Levels, as a mean over such a square. The OCR reads large letters from a contrast of 10 on and small ones from 24 on,
which is a mean of 8 or more; noise of 2 levels between two frames stays below 4."""


@dataclass(slots=True, eq=False)
class Job:
    """What is known so far of one picture that is being inspected."""

    name: str
    budget: Budget = field(default_factory=lambda: Budget(SECONDS))
    opened: Media | None = None
    """What is known of the picture from opening it. The job outlives the picture's data: it holds none of them."""
    key: str | None = None
    """See `Inspection.key`."""
    known: Inspection | None = None
    """From the cache."""
    size: tuple[int, int] = (0, 0)
    """Width and height of the largest frame."""
    frames: int = 0
    screened: int = 0
    read: int = 0
    last_read: dict[int, RGB] = field(default_factory=dict)
    """View -> the last frame that the OCR read."""
    seen: list[Detection | SceneGraph] = field(default_factory=list)
    lines: list[TextLine] = field(default_factory=list)
    not_inspected: list[NotInspected] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    timings: dict[str, float] = field(default_factory=dict)
    pending: int = 0
    """Frames that wait for Stage 1 or the OCR."""
    decoded: bool = False
    """Whether all of its frames have been decoded."""

    def leave(self, part: Literal["image", "text"], frame: int | None) -> None:
        """Note what an engine left of a frame because the budget was used up."""
        missed = (
            NotInspected(part=part, reason=reason, cause="time", frame=frame) for reason in self.budget.left_out()
        )
        self.not_inspected += missed

    def add_lines(self, lines: Sequence[TextLine], frame: Frame) -> None:
        """Note the lines of a frame. The second view of a transparent frame repeats most of the first. If it says
        nothing else, each line stays once, as confident as it was read in either view; else all that the view says is
        noted, so that a sentence in it stays in one piece, but repeated lines cover no area again."""
        height, width = frame.rgb.shape[:2]
        before = {line.text: n for n, line in enumerate(self.lines) if line.frame == frame.index and line.text}
        blanks = [line.box for line in self.lines if line.frame == frame.index and not line.text]
        repeats = bool(before) and all(line.text in before for line in lines if line.text)
        for line in lines:
            known = before.get(line.text)
            share = 0.0 if known is not None else min(1.0, line.area / (height * width))
            even = line.confidence >= WELL_READ or even_ground(frame.rgb, line.box)
            noted = line.model_copy(update={"frame": frame.index, "share": share, "even_ground": even})
            if known is not None and repeats:
                surest = max(line.confidence, self.lines[known].confidence)
                self.lines[known] = self.lines[known].model_copy(update={"confidence": surest})
            elif line.text or not any(blank.covers(line.box) for blank in blanks):
                self.lines.append(noted)

    def media(self) -> Media | None:
        """Facts about the picture; None if it could not be opened."""
        width, height = self.size
        facts = {"width": width, "height": height, "frames": self.frames}
        return self.opened and self.opened.model_copy(update=facts)


def named(sources: Iterable[T], names: Iterable[str] | None) -> Iterator[tuple[T, str | None]]:
    """Each source with its name; None if there are no names.

    Raises:
        TypeError: a name is no str.
        ValueError: there are more or fewer names than sources.
    """
    if names is None:
        yield from zip(sources, repeat(None))
        return
    missing = object()
    for source, name in zip_longest(sources, names, fillvalue=missing):
        if source is missing or name is missing:
            raise ValueError(
                f"There are {'fewer' if name is missing else 'more'} names than sources; name each source."
            )
        if not isinstance(name, str):
            raise TypeError(f"A name is a {type(name).__name__}; expected a str.")
        yield source, encodable(name)  # type: ignore[misc]


def opened(picture: Picture) -> Media:
    """What is known of a picture from opening it."""
    kind = picture.image.format if picture.data else None
    return Media(sha256=picture.sha256, format=kind, width=0, height=0, frames=0)


@contextmanager
def timed(jobs: Sequence[Job], stage: str) -> Iterator[None]:
    """Add the time of the block, in equal shares, to the jobs and their budgets; a job that is named several times gets
    as many shares."""
    start = time.perf_counter()
    alone = len(set(map(id, jobs))) == 1
    try:
        with jobs[0].budget.spending() if alone else nullcontext():
            yield
    finally:
        share = (time.perf_counter() - start) / len(jobs)
        for job in jobs:
            job.timings[stage] = job.timings.get(stage, 0.0) + share * 1e3
            if not alone:
                job.budget.charge(share)


def timed_frames(job: Job, picture: Picture) -> Iterator[Frame]:
    frames = picture.frames()
    while True:
        with timed([job], "decode"):
            frame = next(frames, None)
        if frame is None:
            return
        yield frame


def unseen(layer: Sequence[TextLine], read: Sequence[TextLine]) -> list[TextLine]:
    """The lines of a text layer that were not read in the picture, such as white letters on white."""
    known = f" {' '.join(_words(line.text) for line in read)} "
    return [line for line in layer if f" {_words(line.text) or line.text} " not in known]


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


def even_ground(frame: RGB, box: Box) -> bool:
    """Whether what stands in a box stands on one even colour: of the darker and the lighter pixels, the more frequent
    ones deviate little from their median."""
    import cv2

    step = max(1, int((box.area / SAMPLE) ** 0.5))
    part = np.ascontiguousarray(frame[box.y0 : box.y1 : step, box.x0 : box.x1 : step])
    if not part.size:
        return True
    gray = cv2.cvtColor(part, cv2.COLOR_RGB2GRAY)
    level, _ = cv2.threshold(gray, 0, 255, cv2.THRESH_OTSU)
    ground = max(gray[gray <= level], gray[gray > level], key=len)
    return bool(np.median(np.abs(ground - np.median(ground))) <= EVEN)


def merged(graphs: Iterable[SceneGraph]) -> tuple[SceneGraph, ...]:
    """One graph per frame and model, so that `man:0` is one thing: both views of a transparent frame have a graph."""
    found: dict[tuple[int, str], SceneGraph] = {}
    for graph in graphs:
        before = found.get((graph.frame, graph.model), graph)
        found[graph.frame, graph.model] = before if before == graph else _both(before, graph)
    return tuple(found.values())


def _both(first: SceneGraph, second: SceneGraph) -> SceneGraph:
    """The objects of `second` are numbered on from those of `first`."""
    shift = len(first.objects)
    moved = (r.model_copy(update={"subject": r.subject + shift, "object": r.object + shift}) for r in second.relations)
    return first.model_copy(
        update={
            "objects": first.objects + second.objects,
            "relations": (*first.relations, *moved),
            "tags": {tag: max(score, first.tags.get(tag, 0.0)) for tag, score in (first.tags | second.tags).items()},
            "caption": " ".join(filter(None, dict.fromkeys((first.caption, second.caption)))),
            "dropped": first.dropped + second.dropped,
            "repeated": first.repeated + second.repeated,
        }
    )


def graph_losses(graph: SceneGraph) -> NotInspected:
    """What of a graph was dropped, in short: the student may have it from whoever made the picture."""
    count, first = len(graph.dropped), graph.dropped[0]
    pieces = "1 piece" if count == 1 else f"{count} pieces"
    cut = first if len(first) <= 200 else first[:199] + "…"
    reason = f"{pieces} of the student's scene graph could not be read: {cut}{'; …' if count > 1 else ''}"
    return NotInspected(part="image", reason=reason, cause="failure", frame=graph.frame)


def failed(part: Literal["image", "text"], error: Exception, frame: int | None) -> NotInspected:
    clear_frames(error.__traceback__)
    reason = f"the component failed ({in_words(error)})"
    return NotInspected(part=part, reason=reason, cause="failure", frame=frame)


def batches(frames: Iterable[tuple[Job, Frame | None]]) -> Iterator[list[tuple[Job, Frame]]]:
    """Consecutive frames, a few at a time, bounded in number and pixels. A job without any frame ends a batch, which
    may then be empty, so that many such jobs do not wait for a frame."""
    batch: list[tuple[Job, Frame]] = []
    pixels = 0
    for job, frame in frames:
        if frame:
            batch.append((job, frame))
            pixels += frame.rgb.shape[0] * frame.rgb.shape[1]
        if frame is None or len(batch) == BATCH_FRAMES or pixels >= BATCH_PIXELS:
            yield batch
            batch, pixels = [], 0
    if batch:
        yield batch


def changed(before: RGB | None, now: RGB) -> bool:
    """Whether anything changed that the OCR might read: somewhere the mean change over LETTER x LETTER pixels reaches
    LETTER_CHANGE levels in one colour. Faint, small, thin and coloured letters all do; fine noise does not."""
    import cv2

    if before is None or before.shape != now.shape:
        return True
    sums = cv2.boxFilter(cv2.absdiff(before, now), cv2.CV_16U, (LETTER, LETTER), normalize=False)
    return int(sums.max()) >= LETTER_CHANGE * LETTER**2
