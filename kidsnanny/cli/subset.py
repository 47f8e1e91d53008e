"""`kidsnanny subset`: candidates for a subset in which text matters, and the subset that a person's labels make."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kidsnanny.cli.console import comma_separated, exit_on_error, say, stderr
from kidsnanny.cli.eval import CATEGORY, DATA, SPLIT, named_categories
from kidsnanny.errors import DataError

if TYPE_CHECKING:
    from kidsnanny.evaluation.subsets.candidates import CandidateManifest
    from kidsnanny.evaluation.subsets.labelled import Subset

subset_app = typer.Typer(
    no_args_is_help=True,
    help="Subsets in which text matters: draw candidates, let a person label them, evaluate on what comes out.",
)


OUT = typer.Option(metavar="DIR", help="Folder of the candidates; a drawing that is there is continued.")
WITHOUT_TEXT = typer.Option(
    metavar="RATE|N", help="How many pictures without text become candidates as well: 10% or 50."
)
SEED = typer.Option(help="Of that sample.")
PICTURES = typer.Option(
    "--pictures", help="Show the pictures in sheet.html as they are, for whoever labels them; mind who sees it."
)


@subset_app.command("draw")
def draw_subset(
    data: Annotated[Path, DATA],
    out: Annotated[Path, OUT],
    category: Annotated[str | None, CATEGORY] = None,
    split: Annotated[str, SPLIT] = "",
    without_text: Annotated[str, WITHOUT_TEXT] = "10%",
    seed: Annotated[int, SEED] = 0,
    pictures: Annotated[bool, PICTURES] = False,
) -> None:
    """Choose candidates: every picture in which the OCR finds text, and a random sample of the others.

    No system's verdict is used, and no label. DIR gets manifest.json, sheet.csv and sheet.html. A person opens
    sheet.html in a browser and labels each candidate three times: as it is, with its text painted out, the text alone.
    Its pictures are mosaicked, so that it can lie around: to label, draw with --pictures, which shows them as they are.
    The text is not stored, only where it is in the picture. A drawing that was stopped is continued when the command
    is given again.

    Example: kidsnanny subset draw --data unsafebench/ --pictures --out candidates

    Example: kidsnanny subset make candidates --sheet labels.csv --labelled-by "A. Reader"

    Example: kidsnanny eval --data unsafebench/ --subset candidates/text-only.json --systems embedded --out run-text
    """
    from kidsnanny.evaluation.datasets import choose_categories, open_dataset, read_contents
    from kidsnanny.evaluation.subsets.candidates import draw_candidates
    from kidsnanny.evaluation.subsets.label_sheet import write_sheet
    from kidsnanny.stage2.ocr.ppocr import PpOcr

    with exit_on_error(interrupted=f"Interrupted; the same command continues the drawing in {out}."):
        sample = _sample(without_text)
        categories, taken_as = choose_categories(data, named_categories(category))
        dataset = open_dataset(data, splits=comma_separated(split), categories=categories)
        contents = read_contents(dataset)
        found = draw_candidates(dataset, contents, PpOcr(), out, without_text=sample, seed=seed, console=stderr)
        sheet = write_sheet(out, dataset, found, pictures=pictures, console=stderr)
    for line in filter(None, (taken_as, *_description(found))):
        say(line)
    say(f"Label them in {sheet}" + ("." if pictures else "; its pictures are mosaicked, --pictures shows them."))


@subset_app.command("make")
def make_subset(
    drawn: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the candidates.")],
    sheet: Annotated[Path, typer.Option(metavar="FILE", help="The labelled sheet, a CSV file.")],
    labelled_by: Annotated[
        str, typer.Option(metavar="NAME", help="Who labelled it; the subset and reports on it name this person.")
    ],
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Where to; by default the folder itself.")] = None,
) -> None:
    """Make the subsets of a labelled sheet: text+visual.json and text-only.json, for `kidsnanny eval --subset`.

    The paper does not define its subsets; these definitions are ours. text+visual: the person sees text and is sure of
    all three labels. text-only: of these, pictures whose label changes when the text is painted out, and those that are
    safe without their text and have the label of the text alone. The files hold all labels: other definitions can be
    applied to them. `unsure` is counted and left out.

    The words of the sheet: safe, unsafe or unsure; for the text alone also `no text` (or `none`), and then the picture
    without its text may stay empty.

    Example: kidsnanny subset make candidates --sheet ~/Downloads/labels.csv --labelled-by "A. Reader"
    """
    from kidsnanny.evaluation.datasets import picture_count
    from kidsnanny.evaluation.subsets import labelled
    from kidsnanny.evaluation.subsets.candidates import read_manifest

    with exit_on_error():
        manifest = read_manifest(drawn)
        found = labelled.make_subsets(manifest, sheet, labelled_by)
        for name, subset in found.items():
            path = (out or drawn) / f"{name}.json"
            _write(path, subset)
            if subset:
                say(f"{name}: {picture_count(subset.unsafe + subset.safe)}, {subset.unsafe} unsafe: {path}")
            else:
                say(f"{name}: no picture, no file")
    if tally := next((subset.sheet for subset in found.values() if subset), None):
        say(
            f"Of {tally.rows} rows, {tally.unsure} are unsure and {tally.no_text} have no text. Of the sample of "
            f"{manifest.sampled} in which the OCR found no text, the person sees some in {tally.missed_by_ocr}."
        )


def _description(manifest: "CandidateManifest") -> Iterator[str]:
    """What was drawn, line by line."""
    from kidsnanny.evaluation.datasets import picture_count

    drawn = len(manifest.candidates)
    yield (
        f"{drawn:,} candidate{'s' * (drawn != 1)} of {picture_count(manifest.pictures)}: "
        f"{manifest.with_text:,} with text, {manifest.sampled:,} of {manifest.without_text:,} without; "
        f"{len(manifest.not_scanned):,} could not be looked at."
    )
    yield _listed("Text is still read where it was painted out", manifest.still_read)
    yield _listed("No text is found any more in the text alone", manifest.unreadable_alone)
    yield _listed("Only a part was looked at", tuple(manifest.partly_scanned))


def _write(path: Path, subset: "Subset | None") -> None:
    """Write the subset; one that is empty has no file.

    Raises:
        DataError: the file cannot be written.
    """
    from kidsnanny.files import write_atomically

    try:
        if subset:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, subset.model_dump_json(indent=1, exclude_defaults=True).encode())
        else:
            path.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(f"{path}: it cannot be written ({error.strerror}); choose another --out.") from error


def _sample(text: str) -> int | float:
    """A number of pictures, or a share of them.

    Raises:
        DataError: it is neither.
    """
    try:
        number = float(text[:-1]) / 100 if text.endswith("%") else int(text)
    except ValueError:
        number = -1
    if number < 0 or (isinstance(number, float) and not number <= 1):
        raise DataError(f"--without-text {text}: expected a number of pictures or a share of them; give 50, or 10%.")
    return number


def _listed(what: str, ids: tuple[str, ...]) -> str:
    return f"{what} in {len(ids)}: {', '.join(ids[:20])}{', …' if len(ids) > 20 else ''}" if ids else ""
