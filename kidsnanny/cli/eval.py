"""`kidsnanny eval`: systems on labelled pictures, and a report on them."""

import shlex
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple, TypeVar, get_args

import typer

from kidsnanny.cli.console import Exit, exit_on_error, exit_without_extra, say, stderr, stdout, warn
from kidsnanny.cli.eval_output import describe, print_results
from kidsnanny.errors import DataError
from kidsnanny.evaluation.systems.registry import EVALUATED_ON, SLOW, system_names
from kidsnanny.models.cards import cards
from kidsnanny.policy import BUILT_IN, Policy
from kidsnanny.profiles.profile import Profile

if TYPE_CHECKING:
    from kidsnanny.evaluation.datasets import Dataset
    from kidsnanny.evaluation.predictions import DatasetContents, RunMetadata
    from kidsnanny.evaluation.subsets.labelled import Subset
    from kidsnanny.evaluation.summary import EvaluationRun
    from kidsnanny.evaluation.systems.system import Options

T = TypeVar("T", bound=str)

DATA = typer.Option(
    help="UnsafeBench as .parquet, a folder of it, or saved with save_to_disk; a .jsonl or .csv manifest; "
    "or a folder with safe/ and unsafe/."
)
OUT = typer.Option(metavar="DIR", help="Folder of the run; a run that is there is continued.")
CATEGORY = typer.Option(
    metavar="NAME,…",
    help="The data set's categories that are wanted, `all` for all; by default Sexual. If the data name none: "
    "what they are taken as; by default every category that a system scores.",
)
SPLIT = typer.Option(metavar="NAME,…", help="Splits that are wanted; by default all.")
LIMIT = typer.Option(min=1, help="At most so many pictures: the first ones.")
EXPECT = typer.Option(min=1, help="Stop unless there are exactly so many pictures.")
NAMES = typer.Option(
    metavar="NAME,…",
    help=f"What to evaluate, of {', '.join(system_names())}; or weights by the names of their cards.",
)
PROFILE = typer.Option(
    metavar="NAME|FILE", help="Also evaluate this profile, as in `kidsnanny check --profile`; may be given again."
)
REGIME = typer.Option(metavar="NAME,…", help="Of our own systems; one multimodal run yields both.")
AUTHORITY = typer.Option(metavar="NAME,…", help="Of the judge, where a system has one; one run yields both.")
POLICY = typer.Option(metavar="NAME|FILE", help=f"{', '.join(BUILT_IN)}, or your own TOML file.")
FOLDER = typer.Option(metavar="NAME=DIR", help="Where the model of shieldgemma2, llavaguard or nsfwjs is.")
THRESHOLD = typer.Option(metavar="NAME=0.4", help="Another operating point for a system or a row.")
CHOOSE_ON = typer.Option(metavar="DIR", help="Take the thresholds with the best F1 on that run's pictures.")
FORCE = typer.Option("--force", help="Even if they are the pictures of this run; the report is stamped.")
REPEAT = typer.Option("--repeat", help="Run our multimodal systems twice: do they agree?")
LATENCY = typer.Option(min=0, help="Time each system on so many pictures, one by one.")
SUBSET = typer.Option(
    metavar="FILE", help="Only what `kidsnanny subset make` put into it, with the labels that a person gave."
)
COUNTERFACTUAL = typer.Option(
    "--counterfactual",
    help="Do verdicts follow the text? Of a subset, it is painted out, and shown alone; otherwise what our own OCR "
    "read is painted out of pictures that `embedded` flags.",
)
TEXT_AUDIT = typer.Option(
    "--text-audit",
    help="Say what is found of harmful text, and where it is lost; by default if the data have a column `text`.",
)
PICTURES = typer.Option(
    "--pictures", help="Show mosaics of pictures in the report: where systems, or a system and the label, disagree."
)


def evaluate(
    data: Annotated[Path, DATA],
    out: Annotated[Path, OUT],
    category: Annotated[str | None, CATEGORY] = None,
    split: Annotated[str, SPLIT] = "",
    limit: Annotated[int | None, LIMIT] = None,
    expect: Annotated[int | None, EXPECT] = None,
    systems: Annotated[str, NAMES] = "embedded",
    profile: Annotated[list[str] | None, PROFILE] = None,
    regime: Annotated[str, REGIME] = "vision-only,multimodal",
    authority: Annotated[str, AUTHORITY] = "asymmetric,judge",
    policy: Annotated[str, POLICY] = "preteen",
    folder: Annotated[list[str] | None, FOLDER] = None,
    threshold: Annotated[list[str] | None, THRESHOLD] = None,
    choose_on: Annotated[Path | None, CHOOSE_ON] = None,
    force: Annotated[bool, FORCE] = False,
    repeat: Annotated[bool, REPEAT] = False,
    latency: Annotated[int, LATENCY] = 0,
    subset: Annotated[Path | None, SUBSET] = None,
    counterfactual: Annotated[bool, COUNTERFACTUAL] = False,
    text_audit: Annotated[bool, TEXT_AUDIT] = False,
    pictures: Annotated[bool, PICTURES] = False,
) -> None:
    """Evaluate systems on labelled pictures: accuracy with intervals, flips between regimes, latency, one report.

    Our own systems and the paper's baselines are scored on the same pictures. Nothing is downloaded, and no picture
    leaves this machine unless you name openai-moderation, or perspective-vlm with a server elsewhere. A system that is
    not here is named in the report, with what it lacks, and the exit code is 3. A run that was stopped is continued
    when the same command is given again; pictures on which a system failed, as while a judge's server was down, are
    asked again.

    DIR gets report.html, summary.json, meta.json and predictions/NAME.jsonl: one line per picture and system, with
    what was read in the picture where that counted against it. In a line, `unsafe` is the data set's label, `score` and
    `threshold` what the system says, and `label` what our policy makes of it.

    A manifest has a row per picture: `path`, relative to the manifest's own folder, and `label` (safe or unsafe, 0 or
    1, false or true; also called `unsafe` or `safety_label`); `id`, `category`, `source` and `split` if you like. With
    `text`, what is written in the picture, DIR gets text_audit.json, and the report a section on it.

    Exit codes: 0 done; 11 not one picture was scored; 2 wrong usage; 3 a system could not be built; 130 interrupted.

    Example: kidsnanny eval --data unsafebench/ --expect 1054 --systems embedded,nudenet,nudenet-path --out run

    Example: kidsnanny eval --data unsafebench/ --split test --expect 211 --systems standard --repeat --out run-test

    Example: kidsnanny eval --data my-pictures/ --systems my-nsfw,embedded --out run

    Example: kidsnanny eval --data my-pictures.csv --systems embedded,shieldgemma2 --folder shieldgemma2=sg2/ --out run

    Example: kidsnanny eval --data texts.csv --category all --counterfactual --out run
    """
    selection = _Selection(data, category, split, limit, expect, subset, counterfactual, text_audit)
    settings = _Settings(
        systems, profile or [], regime, authority, policy, folder or [], threshold or [], choose_on, force
    )
    with exit_on_error(interrupted=f"Interrupted; the same command continues the run in {out}."):
        code = _evaluate(selection, settings, out, repeat, latency, pictures)
    raise typer.Exit(code)


class _Selection(NamedTuple):
    """The options that say which pictures."""

    data: Path
    category: str | None
    split: str
    limit: int | None
    expect: int | None
    subset: Path | None
    counterfactual: bool
    text_audit: bool


class _Settings(NamedTuple):
    """The options that say which systems, and how."""

    systems: str
    profile: list[str]
    regime: str
    authority: str
    policy: str
    folder: list[str]
    threshold: list[str]
    choose_on: Path | None
    force: bool


class _Pictures(NamedTuple):
    """The pictures that are evaluated."""

    dataset: "Dataset"
    contents: "DatasetContents"
    categories: tuple[str, ...]
    labelled: "Subset | None"
    warnings: tuple[str, ...]
    """What a reader of the report must know of them before any figure."""


def _evaluate(
    selection: _Selection, settings: _Settings, out: Path, repeat: bool, latency: int, pictures: bool
) -> Exit:
    with exit_without_extra("An evaluation", "eval"):
        from kidsnanny.evaluation.report.write_report import write_report
        from kidsnanny.evaluation.run import Extras
        from kidsnanny.evaluation.run import evaluate as run_systems
        from kidsnanny.evaluation.run_folder import read
        from kidsnanny.evaluation.subsets.counterfactual import measure_text_sensitivity
        from kidsnanny.evaluation.text_audit.audit_run import audit_run, known_texts
        from kidsnanny.evaluation.thresholds import choose_thresholds

    asked = _names("--systems", settings.systems, (*system_names(), *cards()), system_names())
    own = [name for name in asked if name not in system_names()]
    profiles = {Profile.load(name).name: name for name in (*own, *settings.profile)}
    names = tuple(dict.fromkeys((*asked, *profiles)))
    options = _options(settings, names)._replace(profiles=profiles)
    paint = selection.counterfactual and not selection.subset
    if paint and not ("embedded" in names and "multimodal" in options.regimes):
        raise DataError(
            "--counterfactual needs to know where text is; name a subset with --subset FILE, or have `embedded` among "
            "--systems, with the regime multimodal."
        )
    dataset, contents, categories, labelled, warnings = _select(selection, names)
    options = options._replace(categories=categories)
    if settings.choose_on:
        rest = [name for name in names if name not in options.thresholds]
        chosen, doubts = choose_thresholds(read(settings.choose_on), rest, options, dataset, force=settings.force)
        for row, (value, origin) in chosen.items():
            say(f"{row}: threshold {value:g}, {origin}")
        options, warnings = options._replace(thresholds={**chosen, **options.thresholds}), warnings + doubts
    for name in names:
        if name in SLOW:
            warn(f"{name}: {SLOW[name]}; there are {contents.pictures:,} of them, and --limit takes fewer.")
    command = shlex.join(["kidsnanny", *sys.argv[1:]])
    extras = Extras(repeat, latency)
    meta = run_systems(
        dataset, contents, names, options, out, extras=extras, command=command, warnings=warnings, console=stderr
    )
    changed = None
    if labelled and selection.counterfactual:
        changed = measure_text_sensitivity(dataset, labelled, names, options, out, command=command, console=stderr)
    run = read(out).model_copy(update={"subset": labelled.name if labelled else None})
    texts = known_texts(dataset)
    audited = None
    if paint or selection.text_audit or any(one.text is not None for one in texts.values()):
        audited = audit_run(run, dataset, texts, options, out, paint=paint, command=command, console=stderr)
    report = write_report(run, out, shown=dataset if pictures else None, text_versions=changed, text_audit=audited)
    print_results(run, changed, report)
    return _outcome(names, meta, run)


def _options(settings: _Settings, names: Sequence[str]) -> "Options":
    """What the options say about the systems.

    Raises:
        DataError, PolicyError: an option's value is not valid.
    """
    from kidsnanny.evaluation.predictions import Authority, Regime
    from kidsnanny.evaluation.systems.system import Options

    return Options(
        regimes=_names("--regime", settings.regime, get_args(Regime)),
        authorities=_names("--authority", settings.authority, get_args(Authority)),
        policy=Policy.load(settings.policy),
        thresholds=_thresholds(settings.threshold, names),
        folders={name: Path(value) for name, value in _pairs("--folder", settings.folder, names)},
    )


def _select(selection: _Selection, names: Sequence[str]) -> _Pictures:
    """The pictures for the systems of these names, which are also described on stdout.

    Raises:
        DataError: there are none, not as many as expected, or not those that the subset was drawn from.
    """
    from kidsnanny.evaluation.datasets import choose_categories, open_dataset, read_contents
    from kidsnanny.evaluation.subsets.counterfactual import paintable_pictures
    from kidsnanny.evaluation.subsets.labelled import read_subset, restrict

    category, subset = selection.category, selection.subset
    labelled = read_subset(subset) if subset else None
    wanted = named_categories(category) if category or not labelled else labelled.selection.categories
    categories, taken_as = choose_categories(selection.data, wanted)
    if labelled and set(categories) != set(labelled.selection.categories):
        drawn = ",".join(labelled.selection.categories) or "all"
        raise DataError(f"{subset}: its candidates were drawn with --category {drawn}, not {category}; leave it out.")
    splits = comma_separated(selection.split)
    dataset = open_dataset(selection.data, splits=splits, categories=categories, limit=selection.limit)
    if labelled:
        dataset = restrict(dataset, labelled)
        if selection.counterfactual:
            paintable_pictures(dataset, labelled)  # checked before any system runs
    contents = read_contents(dataset, selection.expect)
    describe(dataset, contents, frozenset[str]().union(*(EVALUATED_ON.get(name, ()) for name in names)))
    if category is None and not labelled and categories == ("Sexual",):
        stdout.print("Only pictures of the category Sexual are taken; --category all takes all.", style="yellow")
    warnings = tuple(filter(None, (taken_as, labelled.warning if labelled else "")))
    return _Pictures(dataset, contents, categories, labelled, warnings)


def _outcome(names: Sequence[str], meta: "RunMetadata", run: "EvaluationRun") -> Exit:
    """Say which systems were not evaluated and which scored nothing; the exit code."""
    absent = [meta.not_evaluated[name] for name in names if name in meta.absent]
    rows = {name: row for name, row in run.summary.systems.items() if name.partition(":")[0] in names}
    unscored = {name: row for name, row in rows.items() if row.all.pictures == row.all.unscored}
    for reason in absent:
        warn(f"kidsnanny: not evaluated: {reason}")
    for name, row in unscored.items():
        reason = next(iter(row.unscored_reasons), "it was shown none")
        warn(f"kidsnanny: {name}: not one picture was scored; the most frequent reason: {reason}")
    return Exit.COMPONENT if absent else Exit.NOT_INSPECTED if len(unscored) == len(rows) else Exit.CLEAR


def named_categories(given: str | None) -> tuple[str, ...] | None:
    """The categories of --category: () for all, None if the option was not given."""
    if given is None:
        return None
    return () if given == "all" else comma_separated(given)


def comma_separated(text: str) -> tuple[str, ...]:
    return tuple(word for part in text.split(",") if (word := part.strip()))


def _names(option: str, text: str, known: Iterable[T], told: Iterable[T] = ()) -> tuple[T, ...]:
    """The names that an option lists, in the order given; `told` are those of a long list that a message names.

    Raises:
        DataError: one is not known, or there are none.
    """
    names = {str(name): name for name in known}
    asked = dict.fromkeys(comma_separated(text))
    if not asked or (unknown := [name for name in asked if name not in names]):
        what = ", ".join(unknown) if asked else "nothing"
        choice = f"{', '.join(told)}, or a name from `kidsnanny weights list`" if told else ", ".join(names)
        raise DataError(f"{option} names {what}; choose from {choice}.")
    return tuple(names[name] for name in asked)


def _pairs(option: str, given: Iterable[str], systems: Sequence[str]) -> Iterator[tuple[str, str]]:
    """NAME and VALUE of each NAME=VALUE, where NAME is one of the evaluated systems or a row of one.

    Raises:
        DataError: NAME is neither, or there is no VALUE.
    """
    for text in given:
        name, _, value = text.partition("=")
        if name.partition(":")[0] not in systems or not value:
            raise DataError(f"{option} {text}: expected NAME=VALUE with NAME one of --systems {','.join(systems)}.")
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
