"""The command line's `kidsnanny eval`: systems on labelled pictures, and a report on them."""

import base64
import json
import shlex
import sys
from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar, get_args

import typer
from PIL import Image
from rich.markdown import Markdown
from rich.table import Table
from rich.text import Text

from kidsnanny.errors import DataError, PolicyError
from kidsnanny.evaluation.records import Authority, Regime
from kidsnanny.evaluation.systems import SYSTEMS
from kidsnanny.evaluation.systems.system import Options
from kidsnanny.images import open_picture
from kidsnanny.policy import BUILT_IN, Policy

if TYPE_CHECKING:
    from kidsnanny.evaluation.datasets import Dataset
    from kidsnanny.evaluation.records import Contents
    from kidsnanny.evaluation.summary import Run

T = TypeVar("T", bound=str)

THUMBNAILS = 60
BLOCKS = 8
"""Of a thumbnail's longer side: few enough that no letter survives."""


def evaluate(
    data: Annotated[
        Path,
        typer.Option(
            help="UnsafeBench as .parquet, a folder of it, or saved with save_to_disk; a .jsonl or .csv manifest with "
            "path and label; or a folder with safe/ and unsafe/."
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the run; one that is there goes on.")],
    category: Annotated[
        str, typer.Option(metavar="NAME,…", help="The data set's categories that are wanted; `all` for all.")
    ] = "Sexual",
    split: Annotated[str | None, typer.Option(metavar="NAME,…", help="Splits that are wanted; by default all.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many pictures.")] = None,
    expect: Annotated[int | None, typer.Option(min=1, help="Stop unless there are exactly so many pictures.")] = None,
    systems: Annotated[
        str, typer.Option(metavar="NAME,…", help=f"What to evaluate, of {', '.join(SYSTEMS)}.")
    ] = "embedded",
    regime: Annotated[
        str, typer.Option(metavar="NAME,…", help="Of our own systems; one multimodal run yields both.")
    ] = "vision-only,multimodal",
    authority: Annotated[
        str, typer.Option(metavar="NAME,…", help="Of the judge, where a system has one; one run yields both.")
    ] = "asymmetric,judge",
    policy: Annotated[
        str, typer.Option(metavar="NAME|FILE", help=f"{', '.join(BUILT_IN)}, or your own TOML file.")
    ] = "preteen",
    folder: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=DIR", help="Where the model of shieldgemma2, llavaguard or nsfwjs is."),
    ] = None,
    threshold: Annotated[
        list[str] | None, typer.Option(metavar="NAME=0.4", help="Another operating point for a system or a row.")
    ] = None,
    choose_on: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Take the thresholds with the best F1 on that run's pictures.")
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Even if they are the pictures of this run; the report is stamped.")
    ] = False,
    repeat: Annotated[bool, typer.Option("--repeat", help="Run our multimodal systems twice: do they agree?")] = False,
    latency: Annotated[int, typer.Option(min=0, help="Time each system on so many pictures, one by one.")] = 0,
    pictures: Annotated[
        bool, typer.Option("--pictures", help="Show mosaics of the pictures that systems disagree on in the report.")
    ] = False,
) -> None:
    """Evaluate systems on labelled pictures: accuracy with intervals, flips between regimes, latency, one report.

    Our own systems and the paper's baselines are scored on the same pictures. Nothing is downloaded, and no picture
    leaves this machine unless you name openai-moderation. A system that is not here is named in the report, with what
    it lacks, and the exit code is 3. A run that was stopped, by whatever, goes on when the same command is given again.

    DIR gets report.html, summary.json, meta.json and predictions/NAME.jsonl: one line per picture and system.

    Example: kidsnanny eval --data unsafebench/ --expect 1054 --systems embedded,nudenet,nudenet-path --out run

    Example: kidsnanny eval --data unsafebench/ --split test --expect 211 --systems standard --repeat --out run-test

    Example: kidsnanny eval --data my-pictures.csv --systems embedded,shieldgemma2 --folder shieldgemma2=sg2/ --out run
    """
    from kidsnanny.cli import Exit, _fail, stderr
    from kidsnanny.evaluation.datasets import count, open_dataset
    from kidsnanny.evaluation.run import Extras, read
    from kidsnanny.evaluation.run import evaluate as run_all

    try:
        names = _chosen("--systems", systems, SYSTEMS)
        categories = () if category == "all" else _words(category)
        options = Options(
            categories=categories,
            regimes=_chosen("--regime", regime, get_args(Regime)),
            authorities=_chosen("--authority", authority, get_args(Authority)),
            policy=Policy.load(policy),
            thresholds=_thresholds(threshold or []),
            folders={name: Path(value) for name, value in _pairs("--folder", folder or [])},
        )
        dataset = open_dataset(data, splits=_words(split or ""), categories=categories, limit=limit)
        contents = count(dataset, expect)
        _tell(dataset, contents)
        stamps: tuple[str, ...] = ()
        if choose_on:
            chosen, stamps = _best(read(choose_on), names, {example.id for example in dataset}, force)
            options = options._replace(thresholds={**chosen, **options.thresholds})
        extras, command = Extras(repeat, latency), shlex.join(["kidsnanny", *sys.argv[1:]])
        meta = run_all(dataset, contents, names, options, out, extras=extras, command=command, console=stderr)
        _report(read(out, stamps=stamps), dataset if pictures else None, out)
    except (DataError, PolicyError) as error:
        _fail(Exit.USAGE, str(error))
    except KeyboardInterrupt:
        _fail(Exit.INTERRUPTED, f"Interrupted; the same command goes on where {out} ends.")
    absent = [name for name in names if name in meta.absent]
    for name in absent:
        stderr.print(f"kidsnanny: not evaluated: {_printed(meta.absent[name])}", markup=False, soft_wrap=True)
    raise typer.Exit(Exit.COMPONENT if absent else Exit.CLEAR)


def _words(text: str) -> tuple[str, ...]:
    return tuple(word for part in text.split(",") if (word := part.strip()))


def _chosen(option: str, text: str, known: Iterable[T]) -> tuple[T, ...]:
    """The names of an option, in the order given.

    Raises:
        DataError: one is not known, or there are none.
    """
    names = {str(name): name for name in known}
    asked = dict.fromkeys(_words(text))
    if not asked or (unknown := [name for name in asked if name not in names]):
        what = ", ".join(unknown) if asked else "nothing"
        raise DataError(f"{option} names {what}; choose of {', '.join(names)}.")
    return tuple(names[name] for name in asked)


def _pairs(option: str, given: Iterable[str]) -> Iterator[tuple[str, str]]:
    """NAME=VALUE, NAME one of the systems or a row of one.

    Raises:
        DataError: it is not, or there is no value.
    """
    for text in given:
        name, _, value = text.partition("=")
        if name.partition(":")[0] not in SYSTEMS or not value:
            raise DataError(f"{option} {text}: it is not NAME=VALUE with NAME one of {', '.join(SYSTEMS)}.")
        yield name, value


def _thresholds(given: Iterable[str]) -> dict[str, tuple[float, str]]:
    found = {}
    for name, value in _pairs("--threshold", given):
        try:
            number = float(value)
        except ValueError:
            number = 0.0
        if not 0 < number <= 1:
            raise DataError(f"--threshold {name}={value}: a threshold is above 0 and at most 1; give such a number.")
        found[name] = (number, "given on the command line")
    return found


def _best(
    run: "Run", names: Iterable[str], reported: set[str], force: bool
) -> tuple[dict[str, tuple[float, str]], tuple[str, ...]]:
    """The threshold of each of these systems' rows with the best F1 in another run, and the stamps that follow from it.

    Raises:
        DataError: that run shares pictures with this one and nobody forces it, or has nothing to choose on.
    """
    from kidsnanny.evaluation.metrics import best_threshold

    found, stamps = {}, []
    chosen = {name: lines for name, lines in run.systems.items() if name.partition(":")[0] in names}
    for name, lines in chosen.items():
        best = best_threshold(lines, reported, force=force)
        found[name] = (best.value, f"the best F1 ({best.f1:.3f}) on {len(lines)} pictures of {run.meta.data}")
        stamps += [best.stamp] if best.stamp else []
    return found, tuple(stamps)


def _tell(dataset: "Dataset", contents: "Contents") -> None:
    """What was found, before anything is looked at."""
    from kidsnanny.cli import stdout
    from kidsnanny.evaluation.datasets import contamination

    safe = contents.pictures - contents.unsafe
    made = ", drawn by kidsnanny: no figure on them means anything" if dataset.generated else ""
    stdout.print(f"{_printed(dataset.name)}: {contents.pictures:,} pictures{made}", markup=False)
    table = Table("", "", "safe", "unsafe")
    for column, values in contents.by.items():
        for value, counts in sorted(values.items()):
            table.add_row(column, Text(_printed(value) or "not said"), *(f"{count:,}" for count in counts))
    table.add_row("all", "", f"{safe:,}", f"{contents.unsafe:,}")
    stdout.print(table)
    for warning in contamination(contents):
        stdout.print(f"Contamination: {warning}", style="yellow", markup=False)


def _report(run: "Run", dataset: "Dataset | None", out: Path) -> None:
    """Write the report and the summary, and print the headline.

    Raises:
        DataError: they cannot be written.
    """
    from kidsnanny.cli import stdout
    from kidsnanny.evaluation.report import render
    from kidsnanny.evaluation.summary import markdown, summary

    report = render(run, _thumbnails(run, dataset) if dataset else ())
    try:
        (out / "report.html").write_text(report, "utf-8")
        (out / "summary.json").write_text(json.dumps(summary(run), indent=1, sort_keys=True) + "\n", "utf-8")
    except OSError as error:
        raise DataError(f"{out}: the report cannot be written ({error.strerror}); free it and run again.") from error
    headline = markdown(run)
    stdout.print(Markdown(headline) if stdout.is_terminal else headline, markup=False)
    for stamp in run.stamps:
        stdout.print(_printed(stamp), style="bold red", markup=False)
    stdout.print(f"The report: {_printed(str(out / 'report.html'))}", markup=False)


def _thumbnails(run: "Run", dataset: "Dataset") -> list[tuple[str, str]]:
    """Mosaics of the first pictures about which systems, or the label, disagree."""
    said: dict[str, set[bool]] = {}
    for lines in run.systems.values():
        for line in lines:
            if line.score is not None:
                said.setdefault(line.id, {line.unsafe}).add(line.score >= line.threshold)
    found: list[tuple[str, str]] = []
    for example in dataset:
        if len(said.get(example.id, ())) > 1 and len(found) < THUMBNAILS:
            found.append((example.id, _mosaic(example.image)))
    return found


def _mosaic(image: bytes | Path) -> str:
    """A few pixels as a data URI; it was scored, so it decodes."""
    frame = Image.fromarray(next(open_picture(image).frames()).rgb)
    block = max(frame.size) / BLOCKS
    small = frame.resize([max(1, round(side / block)) for side in frame.size], Image.Resampling.BOX)
    buffer = BytesIO()
    small.save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _printed(text: str) -> str:
    from kidsnanny.cli import _printable

    return _printable(text)
