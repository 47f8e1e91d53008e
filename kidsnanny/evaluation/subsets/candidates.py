"""Candidates for a subset in which text matters: every picture in which an OCR finds text, and a sample of the others.

No system's verdict is asked for, and neither what this module imports nor what it reads of an example holds a verdict
or a label. The KidsNanny paper (arXiv 2603.16181) does not say how it chose its subsets: this rule is ours.

    DIR/scans.jsonl   the checkpoint: what the scan depends on, then a line for each picture that was scanned
    DIR/manifest.json  the candidates and the rule
    DIR/sheet.csv      where a person labels them
    DIR/sheet.html     the same with the pictures, mosaicked unless asked for

What was read is kept nowhere, only where it stands.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from pydantic import Field, ValidationError
from rich.console import Console
from rich.progress import track

from kidsnanny import __version__
from kidsnanny.errors import DataError, InputError
from kidsnanny.evaluation.csv_files import csv_text, original_cell, read_csv
from kidsnanny.evaluation.datasets import Dataset
from kidsnanny.evaluation.predictions import DatasetContents, Example
from kidsnanny.evaluation.subsets.painting import paint_out, text_alone
from kidsnanny.faults import first_fault, in_words
from kidsnanny.files import alone_in, write_atomically
from kidsnanny.inspection import MIN_CONFIDENCE
from kidsnanny.media.loader import RGB, open_picture
from kidsnanny.policy import Policy
from kidsnanny.records import Box, Record, TextLine
from kidsnanny.stage2.ocr.ocr import Ocr

LABEL_COLUMNS = ("label_picture", "label_text_painted_out", "label_text_alone")
"""Of the sheet, after `id`."""
_FLOORS = Policy.load("preteen").text
"""What confidence a line must have to count: the same in all policies that we ship."""
SHORT_LINE = 2
"""Characters up to which a line is text only if it was read for sure: a whole picture may look a bit like a "!"."""


class TextScan(Record):
    """What the OCR found in the first frame of a picture, on white where it is transparent."""

    id: str
    sha256: str | None = None
    """Of the picture's file."""
    boxes: tuple[Box, ...] = ()
    """Of the lines that count as text."""
    confidence: tuple[float, ...] = ()
    """Of each of these lines."""
    still_read: int = 0
    """Lines with a confidence of `read` or more after those were painted out."""
    unreadable_alone: bool = False
    """Whether no line counts as text any more when the text is shown alone."""
    skipped: str | None = None
    """What of the picture was not scanned; such a picture is not used for the counterfactual test."""
    failure: str | None = None
    """Why it could not be scanned; it is not a candidate then."""


class CheckpointKey(Record):
    """What the scan depends on: a checkpoint is continued only with the same values."""

    digest: str
    """Of the data set, see `DatasetContents`."""
    ocr: str
    min_confidence: float
    """From this confidence on a line of more than SHORT_LINE characters counts as text."""
    min_confidence_short: float
    """From this confidence on any does, and counts as read."""


class CandidateSelection(CheckpointKey):
    """How candidates were drawn, without the candidates."""

    kidsnanny: str
    data: str
    generated: bool
    categories: tuple[str, ...]
    splits: tuple[str, ...]
    rule: str
    pictures: int
    with_text: int
    without_text: int
    sampled: int
    """Of those without."""
    seed: int
    not_scanned: dict[str, str]
    """Id -> why."""
    partly_scanned: dict[str, str]
    """Id -> what was not looked at."""
    still_read: tuple[str, ...]
    """Candidates in which text is read after it was painted out."""
    unreadable_alone: tuple[str, ...]
    """Candidates in whose text alone none is found any more."""


class CandidateManifest(CandidateSelection):
    """The candidates, in the order of the data set."""

    candidates: tuple[TextScan, ...] = Field(min_length=1)


def draw_candidates(
    dataset: Dataset,
    contents: DatasetContents,
    ocr: Ocr,
    out: Path,
    *,
    without_text: int | float = 0.1,
    seed: int = 0,
    console: Console | None = None,
) -> CandidateManifest:
    """Look for text in each picture, or go on where that stopped, choose the candidates, write manifest and sheet.csv.

    A sheet that is there already is left alone: somebody may have labelled in it.

    Args:
        dataset: the pictures, and `contents` what `datasets.count` says of them.
        ocr: who looks for text.
        out: the folder; made if need be.
        without_text: how many of the pictures without text are candidates, too: a whole number, or a share in 0..1.
        seed: of that sample.
        console: where progress is shown; None: nowhere.

    Raises:
        DataError: `out` holds candidates of other data, another OCR or another rule, cannot be written, or another
            command writes there; or there is no candidate.
    """
    key = CheckpointKey(
        digest=contents.digest, ocr=str(ocr.model_id), min_confidence=MIN_CONFIDENCE, min_confidence_short=_FLOORS.read
    )
    try:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
        with alone_in(out):
            _scan_all(dataset, contents.pictures, ocr, key, out / "scans.jsonl", console)
            scans = _lines(out / "scans.jsonl")
            manifest = _manifest(dataset, key, scans, without_text, seed)
            _blank(out / "sheet.csv", [candidate.id for candidate in manifest.candidates])
            write_atomically(out / "manifest.json", manifest.model_dump_json(indent=1, exclude_defaults=True).encode())
    except OSError as error:
        raise DataError(f"{out}: it cannot be written ({error.strerror}); choose another --out.") from error
    return manifest


def read_manifest(out: Path) -> CandidateManifest:
    """What `draw_candidates` left in a folder.

    Raises:
        DataError: there is none.
    """
    try:
        return CandidateManifest.model_validate_json((out / "manifest.json").read_bytes())
    except OSError as error:
        raise DataError(f"{out}: no candidates were drawn there; run `kidsnanny subset draw` first.") from error
    except ValidationError as error:
        why = first_fault(error)
        raise DataError(f"{out / 'manifest.json'}: it is not a manifest ({why}); draw the candidates again.") from error


def sheet_numbers(ids: Iterable[str]) -> dict[str, int]:
    """Id -> its number on the sheet, in that order: by a hash, since a place in the data set may tell a label."""
    ordered = sorted(ids, key=lambda id: hashlib.sha256(id.encode()).digest())
    return {id: number for number, id in enumerate(ordered, 1)}


def first_frame(image: bytes | Path) -> tuple[RGB, str, str | None]:
    """A picture's first frame, the sha256 of its file, and what is not in that frame.

    Raises:
        InputError: it cannot be decoded.
    """
    picture = open_picture(image)
    frames = picture.frames()
    frame = next(frames).rgb
    if next(frames, None) is not None:
        return frame, picture.sha256, "only its first frame was scanned, on white"
    return frame, picture.sha256, "; ".join(str(missed) for missed in picture.skipped) or None


def _scan_all(
    dataset: Dataset, total: int, ocr: Ocr, key: CheckpointKey, checkpoint: Path, console: Console | None
) -> None:
    """Append what is missing to the checkpoint."""
    done = _resume(checkpoint, key)
    waiting = track(
        islice(dataset, done, None),
        description="Looking for text",
        total=total,
        completed=done,
        console=console,
        transient=True,
        disable=console is None or not console.is_terminal,
    )
    with checkpoint.open("ab") as file:
        if not file.tell():
            file.write(key.model_dump_json().encode() + b"\n")
        for example in waiting:
            file.write(_scan(ocr, example).model_dump_json(exclude_defaults=True).encode() + b"\n")
            file.flush()


def _resume(checkpoint: Path, key: CheckpointKey) -> int:
    """How many pictures were looked at; a torn line at the end is cut off."""
    if not checkpoint.exists():
        return 0
    whole = checkpoint.read_bytes().rpartition(b"\n")[0].splitlines(keepends=True)
    if not whole:
        os.truncate(checkpoint, 0)
        return 0
    os.truncate(checkpoint, len(b"".join(whole)) + 1)
    if whole[0].strip() != key.model_dump_json().encode():
        raise DataError(
            f"{checkpoint}: the scan there is of other pictures or by another OCR; give another --out, or delete it."
        )
    return len(whole) - 1


def _scan(ocr: Ocr, example: Example) -> TextScan:
    try:
        frame, digest, skipped = first_frame(example.image)
    except InputError as error:
        return TextScan(id=example.id, failure=str(error))
    try:
        lines = [line for line in ocr.read(frame) if _is_text(line)]
        boxes = tuple(line.box for line in lines)
        left = ocr.read(paint_out(frame, boxes)) if boxes else []
        alone = ocr.read(text_alone(frame, boxes)) if boxes else []
    except Exception as error:
        return TextScan(id=example.id, failure=f"{ocr.model_id} failed ({in_words(error)})")
    return TextScan(
        id=example.id,
        sha256=digest,
        boxes=boxes,
        confidence=tuple(round(line.confidence, 3) for line in lines),
        still_read=sum(line.confidence >= _FLOORS.read for line in left),
        unreadable_alone=bool(boxes) and not any(map(_is_text, alone)),
        skipped=skipped,
    )


def _is_text(line: TextLine) -> bool:
    return line.confidence >= (MIN_CONFIDENCE if len(line.text) > SHORT_LINE else _FLOORS.read)


def _lines(checkpoint: Path) -> list[TextScan]:
    try:
        return [TextScan.model_validate_json(line) for line in checkpoint.read_bytes().splitlines()[1:]]
    except ValidationError as error:
        why = first_fault(error)
        raise DataError(f"{checkpoint}: a line of it is damaged ({why}); delete the file, draw again.") from error


def _manifest(
    dataset: Dataset, key: CheckpointKey, scans: Sequence[TextScan], without_text: int | float, seed: int
) -> CandidateManifest:
    without = [one.id for one in scans if not one.boxes and not one.failure]
    wanted = without_text if isinstance(without_text, int) else round(without_text * len(without))
    sample = set(sorted(without, key=lambda id: hashlib.sha256(f"{seed}/{id}".encode()).digest())[:wanted])
    candidates = tuple(one for one in scans if one.boxes or one.id in sample)
    if not candidates:
        raise DataError(f"{dataset.name}: there is text in none of its pictures; sample others with --without-text.")
    found = [one for one in candidates if one.boxes]
    return CandidateManifest(
        **dict(key),
        kidsnanny=__version__,
        data=dataset.name,
        generated=dataset.generated,
        categories=dataset.categories,
        splits=tuple(sorted(dataset.splits)),
        rule=(
            f"every picture in whose first frame {key.ocr} finds a line with a confidence of "
            f"{key.min_confidence:g} or more ({key.min_confidence_short:g} or more if it is shorter than "
            f"{SHORT_LINE + 1} characters), {len(found)} in all, and of the {len(without)} others the "
            f"{len(sample)} whose sha256 of '{seed}/ID' is smallest; no label and no verdict was asked for"
        ),
        pictures=len(scans),
        with_text=len(found),
        without_text=len(without),
        sampled=len(sample),
        seed=seed,
        not_scanned={one.id: one.failure for one in scans if one.failure},
        partly_scanned={one.id: one.skipped for one in scans if one.skipped},
        still_read=tuple(one.id for one in found if one.still_read),
        unreadable_alone=tuple(one.id for one in found if one.unreadable_alone),
        candidates=candidates,
    )


def _blank(sheet: Path, ids: Sequence[str]) -> None:
    """A sheet without labels; one that is there stays, if it is of the same candidates."""
    if sheet.exists():
        if sorted(_ids(sheet)) != sorted(ids):
            raise DataError(f"{sheet}: it is the sheet of other candidates; give another --out, or move it away.")
        return
    numbers = ((number, id, "", "", "") for id, number in sheet_numbers(ids).items())
    write_atomically(sheet, csv_text([("number", "id", *LABEL_COLUMNS), *numbers]).encode())


def _ids(sheet: Path) -> Iterator[str]:
    return (original_cell(row.get("id") or "") for row in read_csv(sheet)[1])
