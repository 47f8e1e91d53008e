"""Candidates for a subset in which text matters: every picture in which an OCR finds text, and a sample of the others.

No system's verdict is asked for, and neither what this module imports nor what it reads of an example holds a verdict
or a label. How the KidsNanny paper chose its subsets is not public (section 1.2 in our notes on it): this rule is ours.

    DIR/looked.jsonl   a line per picture that the OCR looked at, after one that says what it rests on: the checkpoint
    DIR/manifest.json  the candidates and the rule
    DIR/sheet.csv      where a person labels them
    DIR/sheet.html     the same with the pictures, mosaicked unless asked for

What was read is kept nowhere, only where it stands.
"""

import csv
import hashlib
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from pydantic import Field, ValidationError
from rich.console import Console
from rich.progress import track

from kidsnanny import __version__
from kidsnanny.errors import DataError, InputError
from kidsnanny.evaluation.datasets import Dataset, read_csv
from kidsnanny.evaluation.predictions import Contents, Example
from kidsnanny.evaluation.subsets.painting import paint_out, text_alone
from kidsnanny.files import alone_in, write_atomically
from kidsnanny.media.loader import RGB, open_picture
from kidsnanny.policy import Policy
from kidsnanny.records import Box, Record, TextLine
from kidsnanny.stage2.ocr.ocr import Ocr

COLUMNS = ("label_picture", "label_text_painted_out", "label_text_alone")
"""Of the sheet, after `id`."""
_FLOORS = Policy.load("preteen").text
"""What confidence a line must have to count: the same in all policies that we ship."""
SHORT = 2
"""Characters up to which a line is text only if it was read for sure: a whole picture may look a bit like a "!"."""


class Looked(Record):
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
    lost: bool = False
    """In the text alone no line counts as text any more."""
    partly: str | None = None
    """What of the picture was not looked at; no counterfactual is made of such a picture."""
    missed: str | None = None
    """Why it was not looked at at all; it is no candidate then."""


class Rests(Record):
    """What the looking rests on: a checkpoint goes on only with the same."""

    digest: str
    """Of the data set, see `Contents`."""
    ocr: str
    noise: float
    """From this confidence on a line of more than SHORT characters counts as text."""
    read: float
    """From this confidence on any does, and counts as read."""


class Drawn(Rests):
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
    not_looked_at: dict[str, str]
    """Id -> why."""
    partly: dict[str, str]
    """Id -> what was not looked at."""
    still_read: tuple[str, ...]
    """Candidates in which text is read after it was painted out."""
    lost: tuple[str, ...]
    """Candidates in whose text alone none is found any more."""


class Manifest(Drawn):
    """The candidates, in the order of the data set."""

    candidates: tuple[Looked, ...] = Field(min_length=1)


def draw(
    dataset: Dataset,
    contents: Contents,
    ocr: Ocr,
    out: Path,
    *,
    without_text: int | float = 0.1,
    seed: int = 0,
    console: Console | None = None,
) -> Manifest:
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
    rests = Rests(digest=contents.digest, ocr=ocr.name, noise=_FLOORS.noise, read=_FLOORS.read)
    try:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
        with alone_in(out):
            _look(dataset, contents.pictures, ocr, rests, out / "looked.jsonl", console)
            looked = _lines(out / "looked.jsonl")
            manifest = _manifest(dataset, rests, looked, without_text, seed)
            _blank(out / "sheet.csv", [candidate.id for candidate in manifest.candidates])
            write_atomically(out / "manifest.json", manifest.model_dump_json(indent=1, exclude_defaults=True).encode())
    except OSError as error:
        raise DataError(f"{out}: it cannot be written ({error.strerror}); choose another --out.") from error
    return manifest


def read_manifest(out: Path) -> Manifest:
    """What `draw` left in a folder.

    Raises:
        DataError: there is none.
    """
    try:
        return Manifest.model_validate_json((out / "manifest.json").read_bytes())
    except OSError as error:
        raise DataError(f"{out}: no candidates were drawn there; run `kidsnanny subset draw` first.") from error
    except ValidationError as error:
        why = error.errors()[0]["msg"]
        raise DataError(f"{out / 'manifest.json'}: it is no manifest ({why}); draw the candidates again.") from error


def numbered(ids: Iterable[str]) -> dict[str, int]:
    """Id -> its number on the sheet, in that order: by a hash, since a place in the data set may tell a label."""
    ordered = sorted(ids, key=lambda id: hashlib.sha256(id.encode()).digest())
    return {id: number for number, id in enumerate(ordered, 1)}


def first_frame(image: bytes | Path) -> tuple[RGB, str, str | None]:
    """A picture's first frame, the sha256 of its file, and what is not in that frame.

    Raises:
        InputError: it cannot be looked at.
    """
    picture = open_picture(image)
    frames = picture.frames()
    frame = next(frames).rgb
    if next(frames, None) is not None:
        return frame, picture.sha256, "only its first frame was looked at, on white"
    return frame, picture.sha256, "; ".join(str(missed) for missed in picture.skipped) or None


def _look(dataset: Dataset, total: int, ocr: Ocr, rests: Rests, checkpoint: Path, console: Console | None) -> None:
    """Append what is missing to the checkpoint."""
    done = _resume(checkpoint, rests)
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
            file.write(rests.model_dump_json().encode() + b"\n")
        for example in waiting:
            file.write(_find(ocr, example).model_dump_json(exclude_defaults=True).encode() + b"\n")
            file.flush()


def _resume(checkpoint: Path, rests: Rests) -> int:
    """How many pictures were looked at; a torn line at the end is cut off."""
    if not checkpoint.exists():
        return 0
    whole = checkpoint.read_bytes().rpartition(b"\n")[0].splitlines(keepends=True)
    if not whole:
        os.truncate(checkpoint, 0)
        return 0
    os.truncate(checkpoint, len(b"".join(whole)) + 1)
    if whole[0].strip() != rests.model_dump_json().encode():
        raise DataError(
            f"{checkpoint}: other pictures, or another OCR, were looked at there; give another --out, or delete it."
        )
    return len(whole) - 1


def _find(ocr: Ocr, example: Example) -> Looked:
    try:
        frame, digest, partly = first_frame(example.image)
    except InputError as error:
        return Looked(id=example.id, missed=str(error))
    try:
        lines = [line for line in ocr.read(frame) if _is_text(line)]
        boxes = tuple(line.box for line in lines)
        left = ocr.read(paint_out(frame, boxes)) if boxes else []
        alone = ocr.read(text_alone(frame, boxes)) if boxes else []
    except Exception as error:
        return Looked(id=example.id, missed=f"{ocr.name} failed ({type(error).__name__}: {error})")
    return Looked(
        id=example.id,
        sha256=digest,
        boxes=boxes,
        confidence=tuple(round(line.confidence, 3) for line in lines),
        still_read=sum(line.confidence >= _FLOORS.read for line in left),
        lost=bool(boxes) and not any(map(_is_text, alone)),
        partly=partly,
    )


def _is_text(line: TextLine) -> bool:
    return line.confidence >= (_FLOORS.noise if len(line.text) > SHORT else _FLOORS.read)


def _lines(checkpoint: Path) -> list[Looked]:
    try:
        return [Looked.model_validate_json(line) for line in checkpoint.read_bytes().splitlines()[1:]]
    except ValidationError as error:
        why = error.errors()[0]["msg"]
        raise DataError(f"{checkpoint}: a line of it is damaged ({why}); delete the file, draw again.") from error


def _manifest(
    dataset: Dataset, rests: Rests, looked: Sequence[Looked], without_text: int | float, seed: int
) -> Manifest:
    without = [one.id for one in looked if not one.boxes and not one.missed]
    wanted = without_text if isinstance(without_text, int) else round(without_text * len(without))
    sample = set(sorted(without, key=lambda id: hashlib.sha256(f"{seed}/{id}".encode()).digest())[:wanted])
    candidates = tuple(one for one in looked if one.boxes or one.id in sample)
    if not candidates:
        raise DataError(f"{dataset.name}: there is text in none of its pictures; sample others with --without-text.")
    found = [one for one in candidates if one.boxes]
    return Manifest(
        **dict(rests),
        kidsnanny=__version__,
        data=dataset.name,
        generated=dataset.generated,
        categories=dataset.categories,
        splits=tuple(sorted(dataset.splits)),
        rule=(
            f"every picture in whose first frame {rests.ocr} finds a line with a confidence of {rests.noise:g} or more "
            f"({rests.read:g} or more if it is shorter than {SHORT + 1} characters), {len(found)} in all, and of the "
            f"{len(without)} others the {len(sample)} whose sha256 of '{seed}/ID' is smallest; no label and no "
            "verdict was asked for"
        ),
        pictures=len(looked),
        with_text=len(found),
        without_text=len(without),
        sampled=len(sample),
        seed=seed,
        not_looked_at={one.id: one.missed for one in looked if one.missed},
        partly={one.id: one.partly for one in looked if one.partly},
        still_read=tuple(one.id for one in found if one.still_read),
        lost=tuple(one.id for one in found if one.lost),
        candidates=candidates,
    )


def _blank(sheet: Path, ids: Sequence[str]) -> None:
    """A sheet without labels; one that is there stays, if it is of the same candidates."""
    if sheet.exists():
        if sorted(_ids(sheet)) != sorted(ids):
            raise DataError(f"{sheet}: it is the sheet of other candidates; give another --out, or move it away.")
        return
    rows = io.StringIO(newline="")
    numbers = ((number, id, "", "", "") for id, number in numbered(ids).items())
    csv.writer(rows, quoting=csv.QUOTE_ALL).writerows([("number", "id", *COLUMNS), *numbers])
    write_atomically(sheet, rows.getvalue().encode())


def _ids(sheet: Path) -> Iterator[str]:
    return (row.get("id") or "" for row in read_csv(sheet)[1])
