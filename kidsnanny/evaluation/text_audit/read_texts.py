"""What an OCR engine read in each picture, and how far that is from what is written there."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydantic import Field
from rapidfuzz import fuzz, process
from rapidfuzz.distance import Levenshtein
from scipy.optimize import linear_sum_assignment

from kidsnanny.evaluation.metrics import Estimate
from kidsnanny.evaluation.run_folder import inspections
from kidsnanny.evaluation.text_audit.audit_scores import AuditedText, Judged, grouped, share
from kidsnanny.evaluation.text_audit.resampling import Rate, by_text, estimate
from kidsnanny.inspection import Inspection
from kidsnanny.records import Box, Record, TextLine

SAME_WORD = 60.0
"""The similarity, in 100ths, from which a word that was read stands for a word of the text."""
BADLY_READ = 0.1
"""A picture with more errors a letter than this is read badly."""
EDGE = 8
"""Letters by which the best matching stretch is moved at either end: the search for it has stretches of one length."""


class ReadText(NamedTuple):
    """What was read in one picture."""

    judged: tuple[str, ...]
    """What the models judge: the lines in reading order, joined with blanks; then words of letters under each other."""
    everything: tuple[str, ...]
    """The same with the lines that are too uncertain to be judged."""
    boxes: tuple[Box, ...]
    """Where the first frame has text."""


NOTHING = ReadText((), (), ())


class ReadingErrors(Record):
    """Character error rates over some pictures: errors of the OCR a letter of the true text."""

    pictures: int = Field(ge=0)
    """How many have a text that is known."""
    median: float = Field(ge=0, le=1)
    """Of the rates, 0..1."""
    mean: Estimate
    """Of the rates, 0..1."""
    ordered: Estimate
    """The mean, 0..1, with the words that were read put in the order of the text: what is less was lost to the reading
    order and not to letters."""
    badly_read: Rate
    """The pictures whose rate is above BADLY_READ."""


class EngineErrors(Record):
    """One OCR engine, by the system that reads with it."""

    system: str
    all: ReadingErrors
    by_look: dict[str, ReadingErrors]


def read_texts(out: Path, system: str) -> dict[str, ReadText]:
    """A picture's id -> what a system's OCR read in it; empty of a system without inspections, or without an OCR.

    Raises:
        DataError: the file of inspections is not what a run writes.
    """
    seen = inspections(out, system)
    if not any(inspection.text_signals for inspection in seen.values()):
        return {}
    return {picture: _read(inspection) for picture, inspection in seen.items()}


def error_rate(text: str, read: Iterable[str]) -> float:
    """Insertions, deletions and substitutions a letter between a text and the stretch of what was read that matches it
    best, without case and blanks, 0..1. The picture may hold other texts, too, which cost nothing.

    Args:
        text: what is written; it has a letter at least.
        read: the passages that were read.
    """
    wanted, _ = _letters(text)
    return min([len(wanted), *(_nearest(wanted, passage)[0] for passage in read)]) / len(wanted)


def matching_stretch(text: str, read: Iterable[str]) -> str:
    """That stretch, as it was read; empty if nothing was read, or nothing is written."""
    wanted, _ = _letters(text)
    found = [_nearest(wanted, passage) for passage in read if wanted]
    return min(found, key=lambda one: one[0])[1] if found else ""


def in_true_order(text: str, read: Iterable[str]) -> str:
    """The words that were read, as they were read, in the order of the text's. Each stands for one word at most, and
    all of them together are as similar to the text's words as can be; a word that has none is left out.
    """
    wanted, have = text.split(), [word for passage in read for word in passage.split()]
    if not wanted or not have:
        return ""
    similar = process.cdist(wanted, have, scorer=fuzz.ratio, processor=str.casefold)
    places = zip(*linear_sum_assignment(similar, maximize=True), strict=True)
    return " ".join(have[column] for row, column in places if similar[row, column] >= SAME_WORD)


def engine_errors(
    system: str, pictures: Sequence[Judged], read: Mapping[str, ReadText], texts: Mapping[str, AuditedText]
) -> EngineErrors | None:
    """How well a system's OCR reads, over its pictures whose text is known; None if there are none. Where it read
    nothing, be it that the picture could not be opened, every letter is an error.
    """
    rates = {
        one.id: _rates(text, read.get(one.id, NOTHING).judged)
        for one in pictures
        if one.id in texts and (text := texts[one.id].text or "").strip()
    }
    known = [one for one in pictures if one.id in rates]
    if not known:
        return None
    looks = grouped(known, lambda one: one.look)
    return EngineErrors(
        system=system,
        all=_errors(known, rates),
        by_look={look: _errors(some, rates) for look, some in looks.items()},
    )


def _rates(text: str, read: tuple[str, ...]) -> tuple[float, float]:
    """The error rate of what was read, and that with its words in the order of the text, if that is less."""
    found = error_rate(text, read)
    return found, min(found, error_rate(text, [in_true_order(text, read)])) if found else found


def _errors(pictures: Sequence[Judged], rates: Mapping[str, tuple[float, float]]) -> ReadingErrors:
    found = [rates[one.id] for one in pictures]
    summed = by_text([one.text for one in pictures], [(*of_one, 1) for of_one in found])
    return ReadingErrors(
        pictures=len(found),
        median=float(np.median([rate for rate, _ in found])),
        mean=estimate(summed, lambda sums: sums[..., 0] / sums[..., 2]),
        ordered=estimate(summed, lambda sums: sums[..., 1] / sums[..., 2]),
        badly_read=share(pictures, lambda one: rates[one.id][0] > BADLY_READ),
    )


def _read(inspection: Inspection) -> ReadText:
    boxes = tuple(line.box for line in inspection.text if line.frame == 0 and line.kind != "column" and line.box.area)
    return ReadText(_passages(inspection.lines), _passages(inspection.text), boxes)


def _passages(lines: Sequence[TextLine]) -> tuple[str, ...]:
    across = " ".join(line.text.strip() for line in lines if line.kind != "column" and line.text.strip())
    downwards = " ".join(line.text for line in lines if line.kind == "column")
    return tuple(filter(None, (across, downwards)))


def _letters(text: str) -> tuple[str, list[int]]:
    """A text without case and blanks, and where each of its letters stands in it."""
    kept = [(one, place) for place, letter in enumerate(text) for one in letter.casefold() if not one.isspace()]
    return "".join(one for one, _ in kept), [place for _, place in kept]


def _nearest(wanted: str, passage: str) -> tuple[int, str]:
    """The errors in the stretch of a passage that matches best, and that stretch."""
    have, places = _letters(passage)
    if len(have) <= len(wanted):
        return Levenshtein.distance(wanted, have), passage
    found = fuzz.partial_ratio_alignment(wanted, have)
    start, end = (found.dest_start, found.dest_end) if found else (0, len(have))
    least = min(EDGE, Levenshtein.distance(wanted, have[start:end]))
    moves = range(-least, least + 1)
    stretches = [(max(0, start + a), min(len(have), end + b)) for a in moves for b in moves]
    errors, start, end = min((Levenshtein.distance(wanted, have[a:b]), a, b) for a, b in stretches if a < b)
    return errors, passage[places[start] : places[end - 1] + 1]
