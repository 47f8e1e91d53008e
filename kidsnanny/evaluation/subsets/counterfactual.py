"""How often a system's verdict follows the text in a picture: each is shown as it is, with its text painted out, and as
its text alone.

The boxes are those of the candidates' OCR, whatever a system under test reads with. A system that cannot read flips,
too, where painting changed what it sees: its row says how much of the others' flips may be that.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image
from rich.console import Console

from kidsnanny.errors import DataError
from kidsnanny.evaluation.datasets import Dataset, read_contents
from kidsnanny.evaluation.metrics import Proportion, predicts_unsafe
from kidsnanny.evaluation.predictions import Example, Prediction
from kidsnanny.evaluation.run import evaluate
from kidsnanny.evaluation.run_folder import read
from kidsnanny.evaluation.subsets.candidates import first_frame
from kidsnanny.evaluation.subsets.labelled import LabelledPicture, Subset
from kidsnanny.evaluation.subsets.painting import paint_out, text_alone
from kidsnanny.evaluation.systems.system import Options
from kidsnanny.files import write_atomically
from kidsnanny.media.loader import RGB
from kidsnanny.records import Box, Record
from kidsnanny.reports.pages import render

if TYPE_CHECKING:
    from markupsafe import Markup

VARIANTS: dict[str, Callable[[RGB, Iterable[Box]], RGB]] = {"painted-out": paint_out, "text-alone": text_alone}
"""Folder of the run on it -> how it is made."""
_HEADS = {
    "N": "pictures that the system scored both with their text and without",
    "not scored": "pictures that it did not score in one of the two",
    "flips": "its verdict changes when the text is painted out",
    "raised": "flips that the text made unsafe",
    "cleared": "flips that the text made safe",
    "same as the text alone": "of the flips whose text alone it scored, those whose verdict is that on the text alone",
    "text alone unsafe": "of the texts alone that it scored",
    "expected flips": "of the pictures whose label changes, those whose verdict changes likewise",
    "reversed flips": "of the same, those whose verdict changes against the label",
    "unexpected flips": "of the pictures whose label does not change, those whose verdict does",
}


class TextSensitivity(Record):
    """How one system's verdicts depend on the text in the pictures."""

    system: str
    n: int
    left_out: int
    flips: Proportion
    raised: int
    cleared: int
    matches_text_alone: Proportion
    text_alone_unsafe: Proportion
    expected_flips: Proportion
    reversed_flips: Proportion
    unexpected_flips: Proportion
    flipped: tuple[str, ...]
    """Ids, sorted."""


class CounterfactualResult(Record):
    """Of all systems of a run."""

    subset: str
    pictures: int
    """Of the subset, shown in all three versions."""
    no_boxes: tuple[str, ...]
    """Left out: the OCR did not find the text, so there is nothing to paint out."""
    partly_scanned: dict[str, str]
    """Left out: the OCR scanned only a part of the picture. Id -> what it did not scan."""
    still_read: tuple[str, ...]
    """Shown, but the OCR reads text where it was painted out."""
    systems: tuple[TextSensitivity, ...]

    @property
    def left_out(self) -> list[tuple[str, str]]:
        """Id and why it is not in the table, or not as it should be."""
        return [
            *((one, "the OCR found no text to paint out") for one in self.no_boxes),
            *self.partly_scanned.items(),
            *((one, "text is still read where it was painted out") for one in self.still_read),
        ]


def measure_text_sensitivity(
    dataset: Dataset,
    subset: Subset,
    names: Sequence[str],
    options: Options,
    out: Path,
    *,
    command: str = "",
    console: Console | None = None,
) -> CounterfactualResult:
    """Show each system the two other versions, as runs in DIR/painted-out and DIR/text-alone, and write
    DIR/counterfactual.json.

    Args:
        dataset: the pictures of the subset, see `restrict`.
        subset: what the person said of them.
        names, options, command, console: as for `evaluate`.
        out: DIR, which holds the run on the pictures as they are.

    Raises:
        DataError: no picture has text to paint out, or a run cannot be written or gone on with.
    """
    shown = paintable_pictures(dataset, subset)
    for folder in VARIANTS:
        changed = variant(dataset, shown, folder)
        contents = read_contents(changed)
        evaluate(changed, contents, names, options, out / folder, command=command, console=console)
    found = CounterfactualResult(
        subset=subset.name,
        pictures=contents.pictures,
        no_boxes=tuple(one.id for one in subset.pictures if not one.boxes),
        partly_scanned={one.id: one.skipped for one in subset.pictures if one.boxes and one.skipped},
        still_read=tuple(one.id for one in shown.values() if one.still_read),
        systems=tuple(_each(out, shown)),
    )
    try:
        write_atomically(out / "counterfactual.json", found.model_dump_json(indent=1).encode())
    except OSError as error:
        raise DataError(f"{out}: it cannot be written ({error.strerror}); choose another --out.") from error
    return found


def paintable_pictures(dataset: Dataset, subset: Subset) -> dict[str, LabelledPicture]:
    """Id -> what the person said of it, for the pictures whose text can be painted out.

    Raises:
        DataError: there is none.
    """
    here = {example.id for example in dataset}
    shown = {one.id: one for one in subset.pictures if one.id in here and one.boxes and not one.skipped}
    if not shown:
        raise DataError(
            f"{dataset.name}: no picture of the subset {subset.name} has text to paint out; leave out --counterfactual "
            "or --limit."
        )
    return shown


def variant(dataset: Dataset, shown: Mapping[str, LabelledPicture], folder: str) -> Dataset:
    """The pictures that are shown, each changed as VARIANTS says, with the person's labels of that."""
    change = VARIANTS[folder]

    def read() -> Iterator[Example]:
        for example in dataset:
            if one := shown.get(example.id):
                painted_out = folder == "painted-out"
                unsafe = one.painted_out_unsafe if painted_out else one.text_alone_unsafe
                text = "" if painted_out and example.text else example.text
                yield example._replace(image=repainted(example.image, one.boxes, change), unsafe=unsafe, text=text)

    return replace(dataset, name=f"{dataset.name}, {folder}", read=read)


def repainted(image: bytes | Path, boxes: Iterable[Box], change: Callable[[RGB, Iterable[Box]], RGB]) -> bytes:
    """A picture's first frame as PNG, changed where it has text.

    Args:
        image: as it lies in the data set.
        boxes: where the text is.
        change: one of VARIANTS.

    Raises:
        InputError: it cannot be decoded.
    """
    buffer = BytesIO()
    frame, _, _ = first_frame(image)
    Image.fromarray(change(frame, boxes)).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def text_sensitivity(
    picture: Sequence[Prediction],
    painted_out: Sequence[Prediction],
    text_alone: Sequence[Prediction],
    labels: Mapping[str, LabelledPicture],
) -> TextSensitivity:
    """What one system made of the three versions, paired by id.

    Args:
        picture, painted_out, text_alone: its predictions; of `picture`, those on other pictures do not count.
        labels: id -> what the person said.
    """
    said, without, alone = (
        {line.id: verdict for line in lines if (verdict := predicts_unsafe(line)) is not None}
        for lines in (picture, painted_out, text_alone)
    )
    ids = sorted(line.id for line in painted_out)
    both = [i for i in ids if i in said and i in without]
    flipped = {i: None for i in both if said[i] != without[i]}
    changes = {i: labels[i].unsafe != labels[i].painted_out_unsafe for i in both}
    changed, unchanged = ([i for i in both if changes[i] == wanted] for wanted in (True, False))
    with_alone = [i for i in flipped if i in alone]
    texts = [alone[i] for i in ids if i in alone]
    return TextSensitivity(
        system=picture[0].system,
        n=len(both),
        left_out=len(ids) - len(both),
        flips=Proportion.of(len(flipped), len(both)),
        raised=sum(said[i] for i in flipped),
        cleared=sum(without[i] for i in flipped),
        matches_text_alone=Proportion.of(sum(said[i] == alone[i] for i in with_alone), len(with_alone)),
        text_alone_unsafe=Proportion.of(sum(texts), len(texts)),
        expected_flips=Proportion.of(sum(i in flipped and said[i] == labels[i].unsafe for i in changed), len(changed)),
        reversed_flips=Proportion.of(sum(i in flipped and said[i] != labels[i].unsafe for i in changed), len(changed)),
        unexpected_flips=Proportion.of(sum(i in flipped for i in unchanged), len(unchanged)),
        flipped=tuple(flipped),
    )


def report_section(found: CounterfactualResult) -> "Markup":
    """For the HTML report, as markup."""
    return render("evaluation/subsets/templates/counterfactual.html.j2", found=found, heads=_HEADS)


def markdown(found: CounterfactualResult) -> str:
    """The same for a terminal."""
    heads = ("system", *_HEADS)
    lines = [heads, ("---",) + ("---:",) * len(_HEADS)]
    for one in found.systems:
        parts = (
            one.matches_text_alone,
            one.text_alone_unsafe,
            one.expected_flips,
            one.reversed_flips,
            one.unexpected_flips,
        )
        counted = (str(one.n), str(one.left_out), _printed(one.flips), str(one.raised), str(one.cleared))
        lines.append((one.system, *counted, *map(_printed, parts)))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _each(out: Path, shown: Mapping[str, LabelledPicture]) -> Iterator[TextSensitivity]:
    """The systems that are in all three runs."""
    picture, painted_out, alone = (read(folder).systems for folder in (out, *(out / name for name in VARIANTS)))
    for system, lines in picture.items():
        if system in painted_out and system in alone:
            yield text_sensitivity(lines, painted_out[system], alone[system], shown)


def _printed(part: Proportion) -> str:
    if part.value is None or part.wilson is None:
        return "–"
    low, high = part.wilson
    return f"{part.successes}/{part.n} = {part.value:.1%} [{low * 100:.1f}–{high * 100:.1f}]"
