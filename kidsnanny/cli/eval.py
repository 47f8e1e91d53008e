"""The command line's `kidsnanny eval`: systems on labelled pictures, and a report on them."""

import json
import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar, get_args

import typer
from PIL import Image
from rich.box import SIMPLE
from rich.table import Table
from rich.text import Text

from kidsnanny.errors import DataError, PolicyError
from kidsnanny.evaluation.predictions import Authority, Regime
from kidsnanny.evaluation.systems.registry import SYSTEMS
from kidsnanny.evaluation.systems.system import Options, mapped
from kidsnanny.media.loader import open_picture
from kidsnanny.policy import BUILT_IN, Policy
from kidsnanny.taxonomy import CATEGORIES

if TYPE_CHECKING:
    from kidsnanny.evaluation.datasets import Dataset
    from kidsnanny.evaluation.predictions import Contents
    from kidsnanny.evaluation.subsets.counterfactual import Counterfactual
    from kidsnanny.evaluation.summary import Run

T = TypeVar("T", bound=str)

THUMBNAILS = 60
BLOCKS = 8
"""Of a thumbnail's longer side: few enough that no word survives."""


def evaluate(
    data: Annotated[
        Path,
        typer.Option(
            help="UnsafeBench as .parquet, a folder of it, or saved with save_to_disk; a .jsonl or .csv manifest; "
            "or a folder with safe/ and unsafe/."
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the run; one that is there goes on.")],
    category: Annotated[
        str | None,
        typer.Option(
            metavar="NAME,…",
            help="The data set's categories that are wanted, `all` for all; by default Sexual. If the data name none: "
            "what they are taken as; by default all that a system speaks about.",
        ),
    ] = None,
    split: Annotated[str | None, typer.Option(metavar="NAME,…", help="Splits that are wanted; by default all.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many pictures: the first ones.")] = None,
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
    subset: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Only what `kidsnanny subset make` put into it, with the person's labels."),
    ] = None,
    counterfactual: Annotated[
        bool,
        typer.Option("--counterfactual", help="Of a subset: do verdicts follow the text? Painted out, and alone."),
    ] = False,
    pictures: Annotated[
        bool,
        typer.Option(
            "--pictures",
            help="Show mosaics of pictures in the report: where systems, or a system and the label, disagree.",
        ),
    ] = False,
) -> None:
    """Evaluate systems on labelled pictures: accuracy with intervals, flips between regimes, latency, one report.

    Our own systems and the paper's baselines are scored on the same pictures. Nothing is downloaded, and no picture
    leaves this machine unless you name openai-moderation. A system that is not here is named in the report, with what
    it lacks, and the exit code is 3. A run that was stopped, by whatever, goes on when the same command is given again;
    pictures on which a system failed, as while a judge's server was down, are asked again.

    DIR gets report.html, summary.json, meta.json and predictions/NAME.jsonl: one line per picture and system, with
    what was read in the picture where that counted against it. In a line, `unsafe` is the data set's label, `score` and
    `threshold` what the system says, and `label` what our policy makes of it.

    A manifest has a row per picture: `path`, counted from the manifest's own folder, and `label` (safe or unsafe, 0 or
    1, false or true; also called `unsafe` or `safety_label`); `id`, `category`, `source` and `split` if you like.

    Exit codes: 0 done; 11 not one picture was scored; 2 wrong usage; 3 a system could not be built; 130 interrupted.

    Example: kidsnanny eval --data unsafebench/ --expect 1054 --systems embedded,nudenet,nudenet-path --out run

    Example: kidsnanny eval --data unsafebench/ --split test --expect 211 --systems standard --repeat --out run-test

    Example: kidsnanny eval --data my-pictures.csv --systems embedded,shieldgemma2 --folder shieldgemma2=sg2/ --out run
    """
    from kidsnanny.cli.app import Exit, _fail, stderr, stdout
    from kidsnanny.evaluation.datasets import choose_categories, count, open_dataset
    from kidsnanny.evaluation.run import Extras, read
    from kidsnanny.evaluation.run import evaluate as run_all
    from kidsnanny.evaluation.subsets.labelled import read_subset, restrict

    try:
        from kidsnanny.evaluation.subsets.counterfactual import measure, with_text  # before anything is looked at
    except ImportError as error:
        _fail(Exit.COMPONENT, f"An evaluation needs {error.name}; run `pip install 'kidsnanny[eval]'`.")
    try:
        names = _chosen("--systems", systems, SYSTEMS)
        labelled = read_subset(subset) if subset else None
        wanted = named_categories(category) if category or not labelled else labelled.drawn.categories
        categories, taken_as = choose_categories(data, wanted)
        if labelled and set(categories) != set(labelled.drawn.categories):
            drawn = ",".join(labelled.drawn.categories) or "all"
            raise DataError(
                f"{subset}: its candidates were drawn with --category {drawn}, not {category}; leave it out."
            )
        options = Options(
            categories=categories,
            regimes=_chosen("--regime", regime, get_args(Regime)),
            authorities=_chosen("--authority", authority, get_args(Authority)),
            policy=Policy.load(policy),
            thresholds=_thresholds(threshold or [], names),
            folders={name: Path(value) for name, value in _pairs("--folder", folder or [], names)},
        )
        dataset = open_dataset(data, splits=comma_separated(split or ""), categories=categories, limit=limit)
        if labelled:
            dataset = restrict(dataset, labelled)
            if counterfactual:
                with_text(dataset, labelled)
        elif counterfactual:
            raise DataError("--counterfactual needs to know where text is; name a subset with --subset FILE.")
        contents = count(dataset, expect)
        _tell(dataset, contents)
        if category is None and not labelled and categories == ("Sexual",):
            stdout.print("Only pictures of the category Sexual are taken; --category all takes all.", style="yellow")
        stamps = tuple(filter(None, (taken_as, labelled.stamp if labelled else "")))
        if choose_on:
            rest = [name for name in names if name not in options.thresholds]
            chosen, flattered = _best(read(choose_on), rest, options, dataset, force)
            for row, (value, origin) in chosen.items():
                stdout.print(_printed(f"{row}: threshold {value:g}, {origin}"), markup=False)
            options, stamps = options._replace(thresholds={**chosen, **options.thresholds}), stamps + flattered
        command = shlex.join(["kidsnanny", *sys.argv[1:]])
        meta = run_all(
            dataset,
            contents,
            names,
            options,
            out,
            extras=Extras(repeat, latency),
            command=command,
            stamps=stamps,
            console=stderr,
        )
        followed = None
        if labelled and counterfactual:
            followed = measure(dataset, labelled, names, options, out, command=command, console=stderr)
        run = read(out).model_copy(update={"subset": labelled.name if labelled else None})
        _report(run, dataset if pictures else None, out, followed)
    except (DataError, PolicyError) as error:
        _fail(Exit.USAGE, str(error))
    except KeyboardInterrupt:
        _fail(Exit.INTERRUPTED, f"Interrupted; the same command goes on where {out} ends.")
    absent = [meta.not_evaluated[name] for name in names if name in meta.absent]
    rows = {name: of for name, of in run.measured.systems.items() if name.partition(":")[0] in names}
    unscored = {name: of for name, of in rows.items() if of.all.pictures == of.all.unscored}
    for told in [
        *(f"not evaluated: {why}" for why in absent),
        *(
            f"{name}: not one picture was scored; mostly, {next(iter(of.unscored_reasons), 'it was shown none')}"
            for name, of in unscored.items()
        ),
    ]:
        stderr.print(f"kidsnanny: {_printed(told)}", markup=False, soft_wrap=True)
    raise typer.Exit(Exit.COMPONENT if absent else Exit.NOT_INSPECTED if len(unscored) == len(rows) else Exit.CLEAR)


def named_categories(given: str | None) -> tuple[str, ...] | None:
    """Those of --category: () for all, None if it was not given."""
    if given is None:
        return None
    return () if given == "all" else comma_separated(given)


def comma_separated(text: str) -> tuple[str, ...]:
    return tuple(word for part in text.split(",") if (word := part.strip()))


def _chosen(option: str, text: str, known: Iterable[T]) -> tuple[T, ...]:
    """The names of an option, in the order given.

    Raises:
        DataError: one is not known, or there are none.
    """
    names = {str(name): name for name in known}
    asked = dict.fromkeys(comma_separated(text))
    if not asked or (unknown := [name for name in asked if name not in names]):
        what = ", ".join(unknown) if asked else "nothing"
        raise DataError(f"{option} names {what}; choose of {', '.join(names)}.")
    return tuple(names[name] for name in asked)


def _pairs(option: str, given: Iterable[str], systems: Sequence[str]) -> Iterator[tuple[str, str]]:
    """NAME=VALUE, NAME one of the systems that are evaluated, or a row of one.

    Raises:
        DataError: it is not, or there is no value.
    """
    for text in given:
        name, _, value = text.partition("=")
        if name.partition(":")[0] not in systems or not value:
            raise DataError(f"{option} {text}: it is not NAME=VALUE with NAME one of --systems {','.join(systems)}.")
        yield name, value


def _thresholds(given: Iterable[str], systems: Sequence[str]) -> dict[str, tuple[float, str]]:
    found = {}
    for name, value in _pairs("--threshold", given, systems):
        try:
            number = float(value)
        except ValueError:
            number = 0.0
        if not 0 < number <= 1:
            raise DataError(f"--threshold {name}={value}: a threshold is above 0 and at most 1; give such a number.")
        found[name] = (number, "given on the command line")
    return found


def _best(
    run: "Run", systems: Sequence[str], options: Options, dataset: "Dataset", force: bool
) -> tuple[dict[str, tuple[float, str]], tuple[str, ...]]:
    """The threshold of each of these systems' rows with the best F1 in another run, and the stamps that follow from it.

    A system or row that has nothing to choose on there is left out, and a stamp says so.

    Raises:
        DataError: that run shares pictures with the data set and nobody forces it; or it is of other categories, has
            not ended, or lacks a regime or an authority, whose threshold would then be another kind of threshold.
    """
    from kidsnanny.evaluation.datasets import sha256_of
    from kidsnanny.evaluation.metrics import best_threshold

    lacking = run.measured.incomplete.items()
    if missing := sum(lines for name, lines in lacking if name.partition(":")[0] in systems):
        raise DataError(f"{run.meta.data}: the run to choose a threshold on lacks {missing} lines; let it end.")
    shown = [(example.category, sha256_of(example.image)) for example in dataset]
    here, there = {category for category, _ in shown}, run.meta.contents.by["category"].keys()
    if here != there:
        raise DataError(
            f"{run.meta.data}: the run to choose a threshold on is of {', '.join(sorted(there))} and this one of "
            f"{', '.join(sorted(here))}, whose score is another one; evaluate the same with --category."
        )
    reported = {digest for _, digest in shown if digest}
    found, stamps = {}, []
    for system in systems:
        rows = {name: lines for name, lines in run.systems.items() if name.partition(":")[0] == system}
        judged = any(name.count(":") == 2 for name in rows)
        wanted = {
            f"{system}:{regime}{authority}"
            for regime in options.regimes
            for authority in ([f":{a}" for a in options.authorities] if judged and regime == "multimodal" else [""])
        }
        if not rows:
            stamps.append(f"{system} keeps its own threshold: the run to choose it on lacks it.")
            continue
        if rows.keys() != {system} and (lacks := sorted(wanted - rows.keys())):
            raise DataError(
                f"{system}: the run to choose its threshold on lacks {', '.join(lacks)}; evaluate the same there, or "
                f"give --threshold {system}=…"
            )
        for name in sorted(rows.keys() & {system, *wanted}):
            lines = rows[name]
            if not any(line.score and line.unsafe for line in lines):
                stamps.append(
                    f"{name} keeps its own threshold: it scored no unsafe picture above 0 in the run to choose it on."
                )
                continue
            best = best_threshold(lines, reported, force=force)
            found[name] = (best.value, f"the best F1 ({best.f1:.3f}) on {best.n} pictures of {run.meta.data}")
            stamps += [best.stamp] if best.stamp else []
    return found, tuple(stamps)


def _tell(dataset: "Dataset", contents: "Contents") -> None:
    """What was found, before anything is looked at.

    Raises:
        DataError: it is nothing that a system could speak about.
    """
    from kidsnanny.cli.app import stdout
    from kidsnanny.evaluation.datasets import contamination
    from kidsnanny.evaluation.datasets import pictures as said_of

    safe = contents.pictures - contents.unsafe
    made = ", drawn by kidsnanny: no figure on them means anything" if dataset.generated else ""
    stdout.print(f"{_printed(dataset.name)}: {said_of(contents.pictures)}{made}", markup=False)
    table = Table("", "", "safe", "unsafe")
    for column, values in contents.by.items():
        for value, counts in sorted(values.items()):
            table.add_row(column, Text(_printed(value) or "not said"), *(f"{count:,}" for count in counts))
    table.add_row("all", "", f"{safe:,}", f"{contents.unsafe:,}")
    stdout.print(table)
    if contents.unsafe in (0, contents.pictures):
        label = "unsafe" if contents.unsafe else "safe"
        stdout.print(f"All of them are {label}: half of the figures cannot be told.", style="yellow", markup=False)
    for warning in contamination(contents):
        stdout.print(f"Contamination: {warning}", style="yellow", markup=False)
    if not any(mapped(name, CATEGORIES) for name in contents.by["category"]):
        what = " and ".join(name or "pictures without a category" for name in contents.by["category"])
        mend = "name UnsafeBench's category, or ours, with --category"
        raise DataError(f"{dataset.name}: no system speaks about {what}; {mend}.")


def _report(run: "Run", dataset: "Dataset | None", out: Path, followed: "Counterfactual | None" = None) -> None:
    """Write the report and the summary, and print the headline.

    Raises:
        DataError: they cannot be written.
    """
    from rich.markdown import Markdown

    from kidsnanny.cli.app import stdout
    from kidsnanny.evaluation.report.evaluation_report import render
    from kidsnanny.evaluation.subsets import counterfactual
    from kidsnanny.evaluation.summary import markdown, summary
    from kidsnanny.files import write_atomically

    follows = counterfactual.section(followed) if followed else ""
    report = render(run, _thumbnails(run, dataset) if dataset else (), counterfactual=follows)
    try:
        write_atomically(out / "report.html", report.encode())
        write_atomically(out / "summary.json", json.dumps(summary(run), indent=1, sort_keys=True).encode() + b"\n")
    except OSError as error:
        raise DataError(f"{out}: the report cannot be written ({error.strerror}); free it and run again.") from error
    stdout.print(_headline(run) if stdout.is_terminal else markdown(run), markup=False)
    if followed:
        follows = counterfactual.markdown(followed)
        stdout.print(Markdown(follows) if stdout.is_terminal else follows, markup=False)
    for stamp in run.meta.stamps:
        stdout.print(_printed(stamp), style="bold red", markup=False)
    stdout.print(f"The report: {_printed(str(out / 'report.html'))}", markup=False)


def _headline(run: "Run") -> Table:
    """The headline so that it fits a terminal of 80 columns: counts below the names, intervals below their figures."""
    from kidsnanny.evaluation.summary import HEADS, measured_rows, other_pictures, published_rows

    published = published_rows(run)
    marks = "P printed in the paper, S quoted by a secondary source, D derived by us"
    caption = f"The last {len(published)}: {other_pictures(published[0][0])}; {marks}." if published else None
    table = Table(box=SIMPLE, padding=(0, 1, 0, 0), caption=caption)
    table.add_column(HEADS[0], overflow="fold")
    for head in HEADS[3:]:
        table.add_column(head, justify="right", no_wrap=True)
    for name, pictures, unscored, *cells in measured_rows(run):
        counted = f"{pictures} pictures, {unscored} unscored"
        split = _printed(name).replace(":", ":\n")
        table.add_row(Text(f"{split}\n{counted}"), *(Text(cell.replace(" [", "\n[")) for cell in cells))
    table.add_section()
    for beside, (_, _, *cells) in published:
        table.add_row(Text(beside.row.system), *map(Text, cells))
    return table


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
    from kidsnanny.reports.thumbnails import data_uri

    frame = Image.fromarray(next(open_picture(image).frames()).rgb)
    block = max(frame.size) / BLOCKS
    small = frame.resize([max(1, round(side / block)) for side in frame.size], Image.Resampling.BOX)
    return data_uri(small, "PNG")


def _printed(text: str) -> str:
    from kidsnanny.cli.app import _printable

    return _printable(text)
