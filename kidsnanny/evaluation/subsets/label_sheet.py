"""The sheet of candidates as one HTML file that loads nothing: what a person sees to label them.

The policy in its head lets no style or script work but ours, which it names by their hashes. The script writes the
labels into a CSV file that the browser saves, and reads one back; nothing is sent, and nothing is kept in the browser.
"""

import html
import json
import os
import tempfile
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from string import Template

import numpy as np
from PIL import Image
from rich.console import Console
from rich.progress import track

from kidsnanny.errors import DataError
from kidsnanny.evaluation.datasets import Dataset
from kidsnanny.evaluation.predictions import Example
from kidsnanny.evaluation.subsets.candidates import COLUMNS, Looked, Manifest, first_frame, numbered
from kidsnanny.evaluation.subsets.labelled import NO_TEXT, NONE, WORDS
from kidsnanny.evaluation.subsets.painting import paint_out, text_alone
from kidsnanny.media.loader import RGB
from kidsnanny.reports.markup import checksum, escape, untrusted
from kidsnanny.reports.thumbnails import SIDE, data_uri, mosaic

_PICTURES = '<p class="warning"><strong>Pictures are shown as they are.</strong> Mind who may see this file.</p>'
_MOSAICKED = (
    '<p class="warning"><strong>Pictures are mosaicked in this file, and their text is blotted out:</strong> it shows '
    "what there is to do. Whoever labels needs the one that <code>kidsnanny subset draw … --pictures</code> writes.</p>"
)
_TITLES = ("The picture", "The picture, its text painted out", "The text alone")


def write_sheet(
    out: Path, dataset: Dataset, manifest: Manifest, *, pictures: bool = False, console: Console | None = None
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
    before, after = _asset("html").split("$cards\n")
    style, script = (
        files("kidsnanny.reports").joinpath("templates", "page.css").read_text("utf-8") + _asset("css"),
        _asset("js"),
    )
    head = {
        "style": style,
        "style_sum": checksum(style),
        "script_sum": checksum(script),
        "count": f"{len(manifest.candidates):,}",
        "data": untrusted(manifest.data),
        "rule": untrusted(manifest.rule),
        "category": untrusted(", ".join(manifest.categories) or "its categories"),
        "pixels": _PICTURES if pictures else _MOSAICKED,
    }
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with unfinished.open("w", encoding="utf-8", newline="\n") as file:
            file.write(Template(before).substitute(head))
            file.writelines(_cards(dataset, manifest, pictures, console))
            file.write(Template(after).substitute(script=script))
        os.replace(unfinished, path)
    except OSError as error:
        raise DataError(f"{path}: it cannot be written ({error.strerror}); free it and run again.") from error
    finally:
        unfinished.unlink(missing_ok=True)
    return path


def _asset(kind: str) -> str:
    return files("kidsnanny.evaluation.subsets").joinpath(f"label_sheet.{kind}").read_text("utf-8")


def _cards(dataset: Dataset, manifest: Manifest, pictures: bool, console: Console | None) -> Iterator[str]:
    """The cards by the hashes of their ids; they are made in the data set's order and wait in a temporary file."""
    numbers = numbered(one.id for one in manifest.candidates)
    places: dict[int, tuple[int, int]] = {}
    with tempfile.TemporaryFile() as waiting:
        for one, example in _pairs(dataset, manifest, console):
            card = _card(numbers[one.id], one, example, pictures).encode()
            places[numbers[one.id]] = waiting.tell(), len(card)
            waiting.write(card)
        for _, (place, length) in sorted(places.items()):
            waiting.seek(place)
            yield waiting.read(length).decode()


def _pairs(dataset: Dataset, manifest: Manifest, console: Console | None) -> Iterator[tuple[Looked, Example]]:
    wanted = {one.id: one for one in manifest.candidates}
    hidden = console is None or not console.is_terminal
    examples = track(dataset, "Writing the sheet", manifest.pictures, console=console, transient=True, disable=hidden)
    return ((wanted[example.id], example) for example in examples if example.id in wanted)


def _card(number: int, one: Looked, example: Example, pictures: bool) -> str:
    frame, digest, _ = first_frame(example.image)
    if digest != one.sha256:
        raise DataError(f"{one.id}: it is not the picture any more that was looked at; draw into another --out.")
    if one.boxes:
        shown = (frame, paint_out(frame, one.boxes), text_alone(frame, one.boxes))
        figures = [_figure(rgb, one, pictures) for rgb in shown]
    else:
        found = '<p class="placeholder">The OCR found no text. If you see some: {}</p>'
        figures = [_figure(frame, one, pictures)]
        figures += [found.format(ask) for ask in ("what would the picture be without it?", "what is it by itself?")]
    notes = [f"{one.still_read} lines of text are still read in it."] if one.still_read else []
    notes += ["The OCR finds no text in it any more."] if one.lost else []
    partly = f'<p class="quiet">Not all of it was looked at: {untrusted(one.partly)}.</p>' if one.partly else ""
    parts = "".join(
        f"<div>\n<h3>{title}</h3>\n{figure}\n{_choices(number, column)}</div>\n"
        for title, figure, column in zip(_TITLES, figures, COLUMNS, strict=True)
    )
    return (
        f'<article id="candidate-{number}" data-id="{html.escape(json.dumps(one.id))}">\n'
        f"<h2>Picture {number}</h2>\n{partly}"
        f'<div class="three">\n{parts}</div>\n<p class="quiet">{escape(" ".join(notes))}</p>\n</article>\n'
    )


def _figure(frame: RGB, one: Looked, pictures: bool) -> str:
    """Reduced, or mosaicked with the boxes of text blotted out."""
    height, width = frame.shape[:2]
    small = Image.fromarray(np.ascontiguousarray(frame))
    small.thumbnail((SIDE, SIDE))
    if pictures:
        kind, uri = "", data_uri(small, "JPEG")
    else:
        blurred = mosaic(small, one.boxes, small.width / width)
        kind, uri = ' class="mosaic"', data_uri(blurred, "PNG")
    size = f'width="{small.width}" height="{small.height}"'
    return f'<figure class="frame"><img{kind} src="{uri}" {size} alt="{width}×{height} pixels"></figure>'


def _choices(number: int, column: str) -> str:
    words = (*WORDS, NONE) if column == "label_text_alone" else WORDS
    said = {NONE: NO_TEXT}
    return "".join(
        f'<label><input type="radio" name="{column}-{number}" value="{word}" autocomplete="off"> '
        f"{said.get(word, word)}</label>\n"
        for word in words
    )
