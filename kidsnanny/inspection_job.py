"""One picture while it is inspected: what is known of it so far, and how frames are batched and timed."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from kidsnanny.budget import SECONDS, Budget
from kidsnanny.inspection import Inspection, Media
from kidsnanny.media.loader import RGB, Frame, Picture
from kidsnanny.records import Detection, NotInspected, SceneGraph, TextLine

BATCH_FRAMES = 8
BATCH_PIXELS = 16_000_000


@dataclass(slots=True, eq=False)
class Job:
    """What is known so far of one picture that is being inspected."""

    name: str
    budget: Budget = field(default_factory=lambda: Budget(SECONDS))
    picture: Picture | None = None
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
    timings: dict[str, float] = field(default_factory=dict)
    pending: int = 0
    """Frames that wait for Stage 1 or the OCR."""
    decoded: bool = False
    """Whether all of its frames have been decoded."""

    def leave(self, part: Literal["image", "text"], frame: int) -> None:
        """Note what an engine left of a frame because the budget was used up."""
        missed = (NotInspected(part=part, reason=reason, frame=frame) for reason in self.budget.left_out())
        self.not_inspected += missed

    def media(self) -> Media | None:
        """Facts about the picture; None if it could not be opened."""
        if not self.picture:
            return None
        width, height = self.size
        kind = self.picture.image.format if self.picture.data else None
        return Media(sha256=self.picture.sha256, format=kind, width=width, height=height, frames=self.frames)


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
    return NotInspected(part="image", reason=reason, frame=graph.frame)


def failed(part: Literal["image", "text"], error: Exception, frame: int | None) -> NotInspected:
    return NotInspected(part=part, reason=f"the component failed ({type(error).__name__}: {error})", frame=frame)


def batches(frames: Iterable[tuple[Job, Frame]]) -> Iterator[list[tuple[Job, Frame]]]:
    """Consecutive frames, a few at a time, bounded in number and pixels."""
    batch: list[tuple[Job, Frame]] = []
    pixels = 0
    for job, frame in frames:
        batch.append((job, frame))
        pixels += frame.rgb.shape[0] * frame.rgb.shape[1]
        if len(batch) == BATCH_FRAMES or pixels >= BATCH_PIXELS:
            yield batch
            batch, pixels = [], 0
    if batch:
        yield batch


def changed(before: RGB | None, now: RGB) -> bool:
    """Whether anything that could be a letter changed: eight pixels or more, by an eighth of the range or more."""
    if before is None or before.shape != now.shape:
        return True
    difference = np.maximum(before, now) - np.minimum(before, now)
    return int(np.count_nonzero(difference.max(axis=2) >= 32)) >= 8
