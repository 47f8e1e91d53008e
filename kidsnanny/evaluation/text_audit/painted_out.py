"""Whether a verdict follows the text: flagged pictures are shown again with what our OCR read in them painted out."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import Field
from rich.console import Console

from kidsnanny.evaluation.datasets import Dataset, read_contents
from kidsnanny.evaluation.predictions import Example
from kidsnanny.evaluation.run import evaluate
from kidsnanny.evaluation.run_folder import read
from kidsnanny.evaluation.subsets.counterfactual import repainted
from kidsnanny.evaluation.subsets.painting import paint_out
from kidsnanny.evaluation.systems.system import Options
from kidsnanny.evaluation.text_audit.audit_scores import Judged, grouped, judged, share
from kidsnanny.evaluation.text_audit.read_texts import ReadText, read_texts
from kidsnanny.evaluation.text_audit.resampling import Rate
from kidsnanny.evaluation.text_audit.worst_cases import in_turn
from kidsnanny.records import Box, Record

FOLDER = "painted-out"
SYSTEM, ROW = "embedded", "embedded:multimodal"
MOST_PAINTED = 200
"""Pictures that are painted at most; each is looked at once more."""


class PaintedOut(Record):
    """Of the pictures that our system flagged and whose text was painted out."""

    flagged: int = Field(ge=0)
    """How many pictures it flagged in all."""
    no_boxes: int = Field(ge=0)
    """How many of these have no text that was found, so that nothing can be painted out."""
    cleared: Rate
    """Of those that were painted: no longer flagged."""
    held: int = Field(ge=0)
    """How many of these are not safe all the same: something in them could not be judged."""
    by_look: dict[str, Rate]
    """The same."""
    still_flagged: tuple[str, ...]
    """Ids, sorted: flagged without their text, too."""
    still_read: tuple[str, ...]
    """Ids, sorted: text is still read in them."""


def measure_painted_out(
    dataset: Dataset,
    pictures: Sequence[Judged],
    found: Mapping[str, ReadText],
    options: Options,
    out: Path,
    *,
    most: int = MOST_PAINTED,
    command: str = "",
    console: Console | None = None,
) -> PaintedOut:
    """Show our embedded profile the pictures that it flagged again, as a run in OUT/painted-out.

    Args:
        dataset: the pictures of the run.
        pictures: what our system made of them.
        found: what its OCR read in them.
        options, command, console: as for `evaluate`.
        out: OUT, which holds the run on the pictures as they are.
        most: how many are painted, evenly over the looks.

    Raises:
        DataError: the run cannot be written or gone on with.
    """
    flagged = [one for one in pictures if one.flagged]
    shown = chosen(flagged, found, most)
    without: dict[str, Judged] = {}
    still_read: list[str] = []
    if shown:
        changed = painted(dataset, {one.id: found[one.id].boxes for one in shown})
        contents = read_contents(changed)
        evaluate(changed, contents, [SYSTEM], options, out / FOLDER, command=command, console=console)
        without = {one.id: one for one in judged(read(out / FOLDER).systems.get(ROW, ()), {})}
        again = read_texts(out / FOLDER, SYSTEM)
        still_read = sorted(one for one, seen in again.items() if seen.judged and one in without)
    seen = [one for one in shown if one.id in without]
    looks = grouped(seen, lambda one: one.look)
    cleared = [one for one in seen if not without[one.id].flagged]
    return PaintedOut(
        flagged=len(flagged),
        no_boxes=sum(not _boxes(found, one) for one in flagged),
        cleared=share(seen, lambda one: not without[one.id].flagged),
        held=sum(without[one.id].held is True for one in cleared),
        by_look={look: share(some, lambda one: not without[one.id].flagged) for look, some in looks.items()},
        still_flagged=tuple(sorted(one.id for one in seen if without[one.id].flagged)),
        still_read=tuple(still_read),
    )


def chosen(flagged: Sequence[Judged], found: Mapping[str, ReadText], most: int) -> list[Judged]:
    """Pictures with text to paint out, evenly over the looks; within a look by lot, which is always the same."""
    paintable = [one for one in flagged if _boxes(found, one)]
    return in_turn(sorted(paintable, key=lambda one: hashlib.sha256(one.id.encode()).hexdigest()), most)


def painted(dataset: Dataset, boxes: Mapping[str, Sequence[Box]]) -> Dataset:
    """The pictures that have boxes, with these painted out of their first frame. What made them unsafe is gone, so they
    are labelled safe, and nothing is written in them."""

    def pictures() -> Iterator[Example]:
        for example in dataset:
            if of_one := boxes.get(example.id):
                yield example._replace(image=repainted(example.image, of_one, paint_out), unsafe=False, text="")

    return replace(dataset, name=f"{dataset.name}, {FOLDER}", read=pictures, limit=None)


def _boxes(found: Mapping[str, ReadText], one: Judged) -> tuple[Box, ...]:
    return found[one.id].boxes if one.id in found else ()
