"""`kidsnanny check`: pictures in, verdicts out."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from pathlib import Path
from typing import Annotated, NamedTuple

import typer

from kidsnanny.cli import texts
from kidsnanny.cli.console import (
    Exit,
    exit_on_error,
    exit_without_extra,
    fail,
    interruption,
    progress,
    terminable,
)
from kidsnanny.cli.looking import Look, built, looking
from kidsnanny.cli.outputs import FailOn, FileOutput, Form, Printer, Tally, language_for, may_replace, policies
from kidsnanny.cli.resume import SavedRun, continued
from kidsnanny.cli.sources import Item, pictures
from kidsnanny.for_parents import LANGUAGES
from kidsnanny.policy import BUILT_IN, Policy
from kidsnanny.profiles.profile import DEFAULT, PROFILES, Profile

PATHS = typer.Argument(metavar="[PATHS…]", help="Pictures, folders (walked for pictures), or - for stdin.")
TEXT = typer.Option(
    "--text",
    metavar="FILE|-",
    help="Check text instead: a message a line, or JSON lines with text, or with turns (a list of speaker and text).",
)
JSON = typer.Option("--json", help="Print all verdicts as one JSON array.")
JSONL = typer.Option("--jsonl", help="Print one JSON verdict a line, each as soon as it is made.")
POLICY = typer.Option(
    metavar="NAME|FILE,…", help=f"{', '.join(BUILT_IN)}, or your own TOML file; of several each gives a verdict."
)
PROFILE = typer.Option(
    metavar="NAME|FILE",
    help=f"{', '.join(PROFILES)}, your own TOML file, or the models to look with: names of weights, comma-separated.",
)
VISION_ONLY = typer.Option("--vision-only", help="Look at what is in the picture, not at the text in it.")
FAIL_ON = typer.Option(help="The lowest label that counts as flagged.")
FOR_PARENT = typer.Option("--for-parent", help="Print two or three plain sentences instead, without scores.")
LANGUAGE = typer.Option(metavar="CODE", help=f"Of these sentences: {', '.join(LANGUAGES)}; by default the machine's.")
HTML = typer.Option(metavar="FILE", help="Also write a report to this file; its pictures are mosaicked.")
HTML_ORIGINALS = typer.Option("--html-originals", help="Show the pictures in the report as they are.")
CSV = typer.Option(metavar="FILE", help="Also write a table for spreadsheets, a row for each verdict.")
PARQUET = typer.Option(metavar="FILE", help="The same as Parquet; needs the extra `eval`.")
RESUME = typer.Option(
    metavar="FILE.jsonl",
    help="Also keep the verdicts in this file, as JSON lines; what is in it and unchanged is not looked at again.",
)
WORKERS = typer.Option(
    min=1, max=64, help="Processes that look at pictures. Each takes the memory of its own models, about 800 MB."
)


def check(
    paths: Annotated[list[str] | None, PATHS] = None,
    text: Annotated[str | None, TEXT] = None,
    as_json: Annotated[bool, JSON] = False,
    as_jsonl: Annotated[bool, JSONL] = False,
    policy: Annotated[str, POLICY] = "preteen",
    profile: Annotated[str, PROFILE] = DEFAULT,
    vision_only: Annotated[bool, VISION_ONLY] = False,
    fail_on: Annotated[FailOn, FAIL_ON] = "review",
    for_parent: Annotated[bool, FOR_PARENT] = False,
    language: Annotated[str | None, LANGUAGE] = None,
    html: Annotated[Path | None, HTML] = None,
    html_originals: Annotated[bool, HTML_ORIGINALS] = False,
    csv: Annotated[Path | None, CSV] = None,
    parquet: Annotated[Path | None, PARQUET] = None,
    resume: Annotated[Path | None, RESUME] = None,
    workers: Annotated[int, WORKERS] = 1,
) -> None:
    """Look at pictures or text messages and say which of them a child may see, and why not the others.

    Each gets `safe`, `review` (a person should look) or `unsafe`. A picture that could not be looked at in full is
    never `safe`. Nothing is sent anywhere, and nothing is written to disk unless you ask for it.

    Example: kidsnanny check holiday-photos/

    Example: kidsnanny check --policy child,teen --html report.html holiday-photos/ screenshot.png

    Example: kidsnanny check --resume run.jsonl --workers 4 --csv table.csv all-photos/

    Example: kidsnanny check --profile my-nsfw,nudenet-320n holiday-photos/

    Example: kidsnanny check --text messages.txt

    Example: kidsnanny check --for-parent --language de photo.jpg

    Example: curl -s https://example.org/picture.png | kidsnanny check --jsonl -
    """
    form = chosen_form(as_json, as_jsonl)
    told_in = language_for(for_parent, language, form)
    with exit_on_error(Exit.USAGE):
        asks_judge = Profile.load(profile).judge is not None and not vision_only
        rules = policies(policy)
    paths, files = paths or [], _Files(html, html_originals, csv, parquet, resume)
    files.refuse_wrong()
    _refuse_together(paths, text, vision_only, resume, workers, asks_judge)
    items = pictures(paths) if text is None else texts.read(text)
    with exit_on_error(), terminable():
        look = partial(
            looking,
            partial(built, profile, vision_only),
            rules,
            workers=workers,
            alone=resume is not None and not asks_judge,  # a judge answers about several at once
            text=text is not None,
        )
        what = "picture" if text is None else "message"
        printer = Printer(form, several=len(rules) > 1, told_in=told_in)
        code = _run(items, rules, look, files, printer, Tally(what, fail_on))
    raise typer.Exit(code)


def _refuse_together(
    paths: Sequence[str], text: str | None, vision_only: bool, resume: Path | None, workers: int, asks_judge: bool
) -> None:
    """End the command if what is given does not go together."""
    if bool(paths) == (text is not None):
        fail(Exit.USAGE, "Name pictures, or text with --text FILE, and not both; see kidsnanny check --help.")
    if text is not None and vision_only:
        fail(Exit.USAGE, "--vision-only leaves text out, so there is nothing to check; leave out one of both options.")
    if [*paths, text].count("-") > (resume is None):
        fail(Exit.USAGE, f"-: standard input can be read only once; {'name files' if resume else 'name it once'}.")
    if workers > 1 and (text is not None or asks_judge):
        why = "The judge's server sets the pace" if asks_judge else "Text is judged in milliseconds"
        fail(Exit.USAGE, f"{why}, so more processes do not help; leave out --workers.")


def chosen_form(as_json: bool, as_jsonl: bool) -> Form:
    """What `--json` and `--jsonl` say."""
    if as_json and as_jsonl:
        fail(Exit.USAGE, "--json and --jsonl exclude each other; give one of them.")
    return "json" if as_json else "jsonl" if as_jsonl else "lines"


class _Files(NamedTuple):
    """The options that name files to write."""

    html: Path | None
    html_originals: bool
    csv: Path | None
    parquet: Path | None
    resume: Path | None

    @property
    def named(self) -> list[Path]:
        return [path for path in (self.html, self.csv, self.parquet, self.resume) if path]

    @property
    def written(self) -> str:
        """A sentence on those that are there; a report without any verdict is not."""
        there = ", ".join(str(path) for path in self.named if path.exists())
        return f"Written: {there}." if there else ""

    def refuse_wrong(self) -> None:
        """End the command if a file must not be written."""
        if any(str(path) == "-" for path in self.named):
            fail(Exit.USAGE, "-: reports, tables and kept verdicts are files, not streams; name a file.")
        if twice := [path for path in self.named if self.named.count(path) > 1]:
            fail(Exit.USAGE, f"{twice[0]}: two options name it; give each a file of its own.")
        if self.html_originals and not self.html:
            fail(Exit.USAGE, "--html-originals says how the report shows pictures; name the report with --html FILE.")
        if self.html and not may_replace(self.html, b"<!doctype html>"):
            fail(
                Exit.USAGE, f"{self.html}: it is there and is not a report of ours; name another file with --html FILE."
            )
        if self.csv or self.parquet:
            from kidsnanny.reports.verdict_table import CsvTable, ParquetTable

            with exit_without_extra("--parquet", "eval"):
                tables = [(self.csv, CsvTable.may_replace), (self.parquet, ParquetTable.may_replace)]
                wrong = [path for path, may_replace_table in tables if path and not may_replace_table(path)]
            if wrong:
                fail(Exit.USAGE, f"{wrong[0]}: it is there and is not a table of ours; name another file.")

    def outputs(self) -> Iterator[FileOutput]:
        """What writes them, the kept verdicts excepted."""
        if self.html:
            from kidsnanny.reports.verdict_report import VerdictReport

            yield FileOutput(self.html, "report", partial(VerdictReport, originals=self.html_originals))
        if self.csv or self.parquet:
            from kidsnanny.reports.verdict_table import CsvTable, ParquetTable

            if self.csv:
                yield FileOutput(self.csv, "table", CsvTable)
            if self.parquet:
                yield FileOutput(self.parquet, "table", ParquetTable)


def _run(
    items: Sequence[Item],
    rules: Sequence[Policy],
    look: Callable[[], AbstractContextManager[Look]],
    files: _Files,
    printer: Printer,
    tally: Tally,
) -> Exit:
    """Check all items; the exit code."""
    try:
        with ExitStack() as stack:
            saved = stack.enter_context(SavedRun(files.resume, rules)) if files.resume else None
            looked = stack.enter_context(look())
            if saved:
                saved.check_models(looked.models)
                found = continued(saved, items, looked.verdicts)
            else:
                found = ((verdicts, False) for verdicts in looked.verdicts(items))
            outputs = [stack.enter_context(output) for output in files.outputs()]
            stack.enter_context(printer)
            shown = progress(found, tally.doing, len(items))
            for item, (verdicts, known) in zip(items, shown, strict=True):
                printer.add(verdicts)
                for output in outputs:
                    output.add(item, verdicts)
                tally.add(verdicts, known=known)
    except KeyboardInterrupt as error:
        go_on = "The same command goes on after them." if files.resume else "With --resume FILE a run can be continued."
        tally.close(files.written, go_on, of=len(items))
        return interruption(error)
    if len(items) > 1:
        tally.close(files.written)
    return tally.exit_code
