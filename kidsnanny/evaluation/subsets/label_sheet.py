"""The sheet of candidates as one HTML file that loads nothing: what a person sees to label them.

The policy in its head lets no style or script work but ours, which it names by their hashes. The script writes the
labels into a CSV file that the browser saves, and reads one back; nothing is sent, and nothing is kept in the browser.
"""

import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track

from kidsnanny.errors import DataError
from kidsnanny.evaluation.datasets import Dataset
from kidsnanny.evaluation.predictions import Example
from kidsnanny.evaluation.subsets.candidates import (
    LABEL_COLUMNS,
    CandidateManifest,
    TextScan,
    first_frame,
    sheet_numbers,
)
from kidsnanny.evaluation.subsets.labelled import LABEL_VALUES, NO_TEXT, NONE
from kidsnanny.evaluation.subsets.painting import paint_out, text_alone
from kidsnanny.files import atomic_writer
from kidsnanny.media.loader import RGB
from kidsnanny.reports.pages import render, stream
from kidsnanny.reports.thumbnails import SIDE, data_uri, mosaic

if TYPE_CHECKING:
    from markupsafe import Markup

_TITLES = ("The picture", "The picture, its text painted out", "The text alone")
_QUESTIONS = ("", "what would the picture be without it?", "what is it by itself?")


def write_sheet(
    out: Path, dataset: Dataset, manifest: CandidateManifest, *, pictures: bool = False, console: Console | None = None
) -> Path:
    """Write DIR/sheet.html, candidate by candidate, so that memory does not grow with their number.

    Their numbers and order go by a hash, and no id is shown: a file's name or place may tell the data set's label.

    Args:
        out: DIR.
        dataset: the pictures that the candidates were drawn from.
        manifest: the candidates.
        pictures: show them as they are, not as mosaics.
        console: where progress is shown; None: nowhere.

    Raises:
        DataError: a candidate is not the picture any more that was looked at, or the file cannot be written.
    """
    path = out / "sheet.html"
    template = "evaluation/subsets/templates/label_sheet.html.j2"
    page = stream(template, manifest=manifest, pictures=pictures, cards=_cards(dataset, manifest, pictures, console))
    try:
        with atomic_writer(path) as file:
            page.dump(file, "utf-8")
    except OSError as error:
        raise DataError(f"{path}: it cannot be written ({error.strerror}); free it and run again.") from error
    return path


def _cards(
    dataset: Dataset, manifest: CandidateManifest, pictures: bool, console: Console | None
) -> Iterator["Markup"]:
    """The cards by the hashes of their ids; they are made in the data set's order and wait in a temporary file."""
    from markupsafe import Markup

    numbers = sheet_numbers(one.id for one in manifest.candidates)
    places: dict[int, tuple[int, int]] = {}
    with tempfile.TemporaryFile() as waiting:
        for one, example in _pairs(dataset, manifest, console):
            card = _card(numbers[one.id], one, example, pictures).encode()
            places[numbers[one.id]] = waiting.tell(), len(card)
            waiting.write(card)
        for _, (place, length) in sorted(places.items()):
            waiting.seek(place)
            yield Markup(waiting.read(length).decode())  # the template of a card has escaped it


def _pairs(
    dataset: Dataset, manifest: CandidateManifest, console: Console | None
) -> Iterator[tuple[TextScan, Example]]:
    wanted = {one.id: one for one in manifest.candidates}
    hidden = console is None or not console.is_terminal
    examples = track(dataset, "Writing the sheet", manifest.pictures, console=console, transient=True, disable=hidden)
    return ((wanted[example.id], example) for example in examples if example.id in wanted)


def _card(number: int, one: TextScan, example: Example, pictures: bool) -> str:
    frame, digest, _ = first_frame(example.image)
    if digest != one.sha256:
        raise DataError(f"{one.id}: it is not the picture any more that was looked at; draw into another --out.")
    shown: list[RGB | None] = [frame, None, None]
    if one.boxes:
        shown = [frame, paint_out(frame, one.boxes), text_alone(frame, one.boxes)]
    return render(
        "evaluation/subsets/templates/label_card.html.j2",
        number=number,
        json_id=json.dumps(one.id),
        candidate=one,
        width=frame.shape[1],
        height=frame.shape[0],
        pictures=pictures,
        parts=[
            {"title": title, "question": question, "column": column, "words": _words(column)}
            | _thumbnail(rgb, one, pictures)
            for title, question, column, rgb in zip(_TITLES, _QUESTIONS, LABEL_COLUMNS, shown, strict=True)
        ],
    )


def _thumbnail(frame: RGB | None, one: TextScan, pictures: bool) -> dict[str, object]:
    """Reduced, or mosaicked with the boxes of text blotted out."""
    if frame is None:
        return {"uri": ""}
    small = Image.fromarray(np.ascontiguousarray(frame))
    small.thumbnail((SIDE, SIDE))
    if pictures:
        return {"uri": data_uri(small, "JPEG"), "shown": small.size}
    return {"uri": data_uri(mosaic(small, one.boxes, small.width / frame.shape[1]), "PNG"), "shown": small.size}


def _words(column: str) -> dict[str, str]:
    """What a person can choose: the word in the CSV, and how it is shown."""
    words = {word: word for word in LABEL_VALUES}
    return words | {NONE: NO_TEXT} if column == "label_text_alone" else words
