"""`kidsnanny audit`: the card of a data set that answers question 16 of its datasheet."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from kidsnanny.cli.console import Exit, exit_on_error, exit_without_extra, progress, say

if TYPE_CHECKING:
    from kidsnanny.evaluation.metrics import Proportion
    from kidsnanny.probes.datasheet.question_16 import Datasheet
    from kidsnanny.probes.embedding_cache import EmbeddedPicture

DATA = typer.Argument(
    metavar="DATASET",
    help="Folder of pictures, whose subfolders are classes; .parquet, or a folder of it; a .jsonl or .csv manifest; "
    ".tar of a WebDataset, or a folder of it.",
)
PROBE = typer.Option(
    metavar="NAME|DIR", help="The name of a probe's card, or the folder that `kidsnanny train probe` wrote."
)
OUT = typer.Option(metavar="DIR", help="Folder of the card; an audit that is there is continued.")
THRESHOLD = typer.Option(min=0.5, max=1, help="From this score on a picture counts as found by the audit.")
CONFIRMED = typer.Option(metavar="FILE", help="The flagged.csv in which a person has answered: yes or no.")
SHOW = typer.Option(
    "--show-pictures", help="Show flagged pictures as they are, not as mosaics; mind who sees the card."
)
EMBEDDINGS = typer.Option(metavar="DIR", help="Folder of embeddings, kept and used again; by default DIR/embeddings.")


def audit(
    data: Annotated[Path, DATA],
    probe: Annotated[str, PROBE],
    out: Annotated[Path, OUT],
    threshold: Annotated[float, THRESHOLD] = 0.9,
    confirmed: Annotated[Path | None, CONFIRMED] = None,
    show_pictures: Annotated[bool, SHOW] = False,
    embeddings: Annotated[Path | None, EMBEDDINGS] = None,
    device: Annotated[Literal["auto", "cpu", "cuda"], typer.Option(help="What the encoder runs on.")] = "auto",
) -> None:
    r"""Say how much of a data set may be inappropriate, and where: question 16 of its datasheet.

    A probe, best of the kind q16, looks at every picture. DIR gets datasheet.html, datasheet.json and flagged.csv: the
    number and share of pictures that may be inappropriate, at argmax (.5) and at the audit threshold, by class, words
    that stand out in their captions, and a list. Nothing leaves this machine, and the pictures in the card are mosaics.

    A probe only points: a person decides. Write yes or no into the column `confirmed` of flagged.csv, for as many as
    you look at, and give the file back with --confirmed; the card then says how many are confirmed. A list with answers
    is never written over.

    Pictures are embedded once. An audit that was ended goes on when the same command is given again; on what is
    embedded, another threshold or probe takes seconds. Needs `pip install 'kidsnanny\[audit]'`.

    Exit codes: 0 done; 11 a picture could not be looked at; 2 wrong usage; 3 a component could not be built;
    130 interrupted.

    Example: kidsnanny audit pictures/ --probe my-probe --out card

    Example: kidsnanny audit shards/ --probe q16 --threshold 0.95 --out card

    Example: kidsnanny audit pictures/ --probe my-probe --out card --confirmed card/flagged.csv
    """
    with exit_without_extra("An audit", "audit"):
        from kidsnanny.probes.datasheet.audit_dataset import audit_dataset
    with exit_on_error(interrupted=f"Interrupted; the same command continues the audit in {out}."):
        sheet, written = audit_dataset(
            data,
            probe,
            out,
            threshold=threshold,
            confirmed=confirmed,
            show=show_pictures,
            embeddings=embeddings,
            device=device,
            watch=_watched,
        )
    _print(sheet)
    if written.answers_stay and not confirmed:
        say("flagged.csv has a person's answers, and stays as it is; --confirmed counts them.")
    say(f"The card: {written.page}")
    raise typer.Exit(Exit.NOT_INSPECTED if sheet.not_judged else Exit.CLEAR)


def _watched(pictures: "Iterator[EmbeddedPicture]") -> "Iterable[EmbeddedPicture]":
    return progress(pictures, "Looking at pictures", None)


def _print(sheet: "Datasheet") -> None:
    from kidsnanny.evaluation.datasets import picture_count

    if sheet.caveat:
        say(f"{sheet.caveat} These figures are no result.", style="bold red")
    say(
        f"{sheet.data}: {picture_count(sheet.pictures)}; potentially inappropriate {_share(sheet.flagged.argmax)} from "
        f"0.5 on (argmax), {_share(sheet.flagged.at_threshold)} from {sheet.threshold:g} on."
    )
    if sheet.confirmed:
        say(f"Confirmed by a person: {_share(sheet.confirmed.argmax)} of those looked at.")
    if sheet.not_judged:
        say(f"Not judged: {picture_count(len(sheet.not_judged))} that could not be looked at.", style="yellow")


def _share(part: "Proportion") -> str:
    if part.value is None or part.wilson is None:
        return "none of none"
    low, high = part.wilson
    return f"{part.successes:,} of {part.n:,} ({part.value:.1%}, 95 % interval {low:.1%} to {high:.1%})"
