"""The command line's `kidsnanny subset`: candidates for a subset in which text matters, and what a person says."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from kidsnanny.cli.eval import comma_separated, named_categories
from kidsnanny.errors import ComponentError, DataError

subset_app = typer.Typer(
    no_args_is_help=True,
    help="Subsets in which text matters: draw candidates, let a person label them, evaluate on what comes out.",
)


@subset_app.command()
def draw(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="As for `kidsnanny eval --data`.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the candidates; one that is there goes on.")],
    category: Annotated[str | None, typer.Option(metavar="NAME,…", help="As for `kidsnanny eval --category`.")] = None,
    split: Annotated[str, typer.Option(metavar="NAME,…", help="Splits that are wanted; by default all.")] = "",
    without_text: Annotated[
        str, typer.Option(metavar="RATE|N", help="How many pictures without text are candidates, too: 10% or 50.")
    ] = "10%",
    seed: Annotated[int, typer.Option(help="Of that sample.")] = 0,
    pictures: Annotated[
        bool,
        typer.Option(
            "--pictures",
            help="Show the pictures in sheet.html as they are, which whoever labels needs; mind who sees it.",
        ),
    ] = False,
) -> None:
    """Choose candidates: every picture in which the OCR finds text, and a random sample of the others.

    No system's verdict is asked for, and no label. DIR gets manifest.json, sheet.csv and sheet.html. A person opens
    sheet.html in a browser and labels each candidate three times: as it is, with its text painted out, the text alone.
    Its pictures are mosaicked, so that it can lie around: to label, draw with --pictures, which shows them as they are.
    What was read is not kept, only where it stands. A drawing that was stopped goes on when the command is given again.

    Example: kidsnanny subset draw unsafebench/ --pictures --out candidates

    Example: kidsnanny subset make candidates --sheet labels.csv --labelled-by "A. Reader"

    Example: kidsnanny eval --data unsafebench/ --subset candidates/text-only.json --systems embedded --out run-text
    """
    from kidsnanny.cli.app import Exit, _fail, _printable, stderr, stdout
    from kidsnanny.evaluation.datasets import choose_categories, count, open_dataset
    from kidsnanny.evaluation.datasets import pictures as said_of
    from kidsnanny.evaluation.subsets.candidates import draw
    from kidsnanny.evaluation.subsets.label_sheet import write_sheet
    from kidsnanny.stage2.ocr.ppocr import PpOcr

    with _told():
        sample = _sample(without_text)
        categories, taken_as = choose_categories(data, named_categories(category))
        dataset = open_dataset(data, splits=comma_separated(split), categories=categories)
        contents = count(dataset)
        try:
            found = draw(dataset, contents, PpOcr(), out, without_text=sample, seed=seed, console=stderr)
            sheet = write_sheet(out, dataset, found, pictures=pictures, console=stderr)
        except KeyboardInterrupt:
            _fail(Exit.INTERRUPTED, f"Interrupted; the same command goes on where {out} ends.")
    lines = [
        taken_as,
        f"{len(found.candidates):,} candidate{'s' * (len(found.candidates) != 1)} of {said_of(found.pictures)}: "
        f"{found.with_text:,} with text, "
        f"{found.sampled:,} of {found.without_text:,} without; {len(found.not_looked_at):,} could not be looked at.",
        _named("Text is still read where it was painted out", found.still_read),
        _named("No text is found any more in the text alone", found.lost),
        _named("Only a part was looked at", tuple(found.partly)),
        f"Label them in {sheet}" + ("." if pictures else "; its pictures are mosaicked, --pictures shows them."),
    ]
    for line in filter(None, lines):
        stdout.print(_printable(line), markup=False)


@subset_app.command()
def make(
    drawn: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of the candidates.")],
    sheet: Annotated[Path, typer.Option(metavar="FILE", help="The labelled sheet, a CSV file.")],
    labelled_by: Annotated[
        str, typer.Option(metavar="NAME", help="Who labelled it; this stands in the subset and in reports on it.")
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
    from kidsnanny import files
    from kidsnanny.cli.app import _printable, stdout
    from kidsnanny.evaluation.datasets import pictures as said_of
    from kidsnanny.evaluation.subsets import labelled
    from kidsnanny.evaluation.subsets.candidates import read_manifest

    with _told():
        manifest = read_manifest(drawn)
        found = labelled.make(manifest, sheet, labelled_by)
        for name, made in found.items():
            path = (out or drawn) / f"{name}.json"
            try:
                if made:
                    path.parent.mkdir(parents=True, exist_ok=True)
                    files.write_atomically(path, made.model_dump_json(indent=1, exclude_defaults=True).encode())
                else:
                    path.unlink(missing_ok=True)
            except OSError as error:
                raise DataError(f"{path}: it cannot be written ({error.strerror}); choose another --out.") from error
            holds = (
                f"{said_of(made.unsafe + made.safe)}, {made.unsafe} unsafe: {path}" if made else "no picture, no file"
            )
            stdout.print(_printable(f"{name}: {holds}"), markup=False)
        if tally := next((made.sheet for made in found.values() if made), None):
            stdout.print(
                f"Of {tally.rows} rows, {tally.unsure} are unsure and {tally.no_text} have no text. Of the sample of "
                f"{manifest.sampled} in which the OCR found no text, the person sees some in {tally.missed_by_ocr}.",
                markup=False,
            )


@contextmanager
def _told() -> Iterator[None]:
    """An error is told in one sentence, and ends it."""
    from kidsnanny.cli.app import Exit, _fail

    try:
        yield
    except DataError as error:
        _fail(Exit.USAGE, str(error))
    except ComponentError as error:
        _fail(Exit.COMPONENT, str(error))


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
        raise DataError(f"--without-text {text}: it is no number of pictures and no share of them; give 50, or 10%.")
    return number


def _named(what: str, ids: tuple[str, ...]) -> str:
    return f"{what} in {len(ids)}: {', '.join(ids[:20])}{', …' if len(ids) > 20 else ''}" if ids else ""
