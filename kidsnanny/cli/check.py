"""`kidsnanny check`: pictures in, verdicts out."""

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer

from kidsnanny.cli import texts
from kidsnanny.cli.console import Exit, exit_on_error, fail, printable, progress, stdout, utf8_output, warn
from kidsnanny.coverage import RunCoverage
from kidsnanny.for_parents import LANGUAGES, known_language, preferred_language
from kidsnanny.media.loader import DEFAULT_LIMITS, Source
from kidsnanny.media.walk import is_media, walk
from kidsnanny.pipeline import Pipeline
from kidsnanny.policy import BUILT_IN
from kidsnanny.profiles.profile import DEFAULT, PROFILES, Profile
from kidsnanny.verdict import Verdict

FailOn = Literal["review", "unsafe"]
COLOURS = {"safe": "green", "review": "yellow", "unsafe": "red"}

PATHS = typer.Argument(metavar="[PATHS…]", help="Pictures, folders (walked for pictures), or - for stdin.")
TEXT = typer.Option(
    "--text",
    metavar="FILE|-",
    help="Check text instead: a message a line, or JSON lines with text, or with turns (a list of speaker and text).",
)
JSON = typer.Option("--json", help="Print all verdicts as one JSON array.")
JSONL = typer.Option("--jsonl", help="Print one JSON verdict a line, each as soon as it is made.")
POLICY = typer.Option(metavar="NAME|FILE", help=f"{', '.join(BUILT_IN)}, or your own TOML file.")
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
) -> None:
    """Look at pictures or text messages and say which of them a child may see, and why not the others.

    Each gets `safe`, `review` (a person should look) or `unsafe`. A picture that could not be looked at in full is
    never `safe`. Nothing is sent anywhere, and nothing is written to disk unless you ask for a report.

    Example: kidsnanny check holiday-photos/

    Example: kidsnanny check --policy child --html report.html holiday-photos/ screenshot.png

    Example: kidsnanny check --profile my-nsfw,nudenet-320n holiday-photos/

    Example: kidsnanny check --text messages.txt

    Example: kidsnanny check --for-parent --language de photo.jpg

    Example: curl -s https://example.org/picture.png | kidsnanny check --jsonl -
    """
    if as_json and as_jsonl:
        fail(Exit.USAGE, "--json and --jsonl exclude each other; give one of them.")
    told_in = language_for(for_parent, language, as_json or as_jsonl)
    with exit_on_error(Exit.USAGE):
        Profile.load(profile)
    paths = paths or []
    if bool(paths) == (text is not None):
        fail(Exit.USAGE, "Name pictures, or text with --text FILE, and not both; see kidsnanny check --help.")
    if text is not None and vision_only:
        fail(Exit.USAGE, "--vision-only leaves text out, so there is nothing to check; leave out one of both options.")
    if paths.count("-") > 1:
        fail(Exit.USAGE, "- stands for standard input, which can be read only once; name it once.")
    if str(html) == "-":
        fail(Exit.USAGE, "-: the report is a file, not a stream; name it with --html FILE.")
    if html_originals and not html:
        fail(Exit.USAGE, "--html-originals says how the report shows pictures; name the report with --html FILE.")
    if html and not _may_replace(html):
        fail(Exit.USAGE, f"{html}: it is there and is not a report of ours; name another file with --html FILE.")
    sources = _collect(paths) if text is None else []
    written = texts.read(text) if text is not None else []
    with exit_on_error(interrupted="Interrupted; the verdicts printed so far stand."):
        pipeline = Pipeline(profile, policy=policy, stage2=None if vision_only else "profile")
        if text is None:
            verdicts = progress(_named(pipeline.stream(sources)), "Looking at pictures", len(sources))
        else:
            verdicts = progress(texts.check(pipeline, written), "Reading texts", len(written))
        if html:
            verdicts = _add_to_report(html, html_originals, sources or [None] * len(written), verdicts)
        code = print_verdicts(verdicts, as_json=as_json, as_jsonl=as_jsonl, fail_on=fail_on, told_in=told_in)
    raise typer.Exit(code)


def _may_replace(path: Path) -> bool:
    """Whether a report may be written there: over nothing, or over an earlier page, never over somebody's picture."""
    try:
        with path.open("rb") as file:
            return file.read(15).lower() in (b"", b"<!doctype html>")
    except OSError:  # it is not there, or writing will say what is wrong
        return True


def _collect(paths: Sequence[str]) -> list[Source]:
    """The pictures behind the arguments, folders walked in name order; other files are counted on stderr."""
    sources: list[Source] = []
    skipped: list[str] = []
    for path in paths:
        if path == "-":
            sources.append(_standard_input())
        elif os.path.isdir(path):
            found, unwalked = walk(path)
            media = {file: is_media(file) for file in found}
            sources += [*(file for file in found if media[file]), *unwalked]
            skipped += [file.name for file in found if not media[file]]
            if not any(media.values()) and not unwalked:
                fail(Exit.USAGE, f"There are no pictures in {path}; name a picture or a folder with pictures.")
        else:
            sources.append(path)
    if skipped:
        files = "1 file that is not a picture" if len(skipped) == 1 else f"{len(skipped)} files that are not pictures"
        names = ", ".join(skipped[:5]) + (", …" if len(skipped) > 5 else "")
        warn(f"Skipped {files}: {names}")
    return sources


def _named(verdicts: Iterable[Verdict]) -> Iterator[Verdict]:
    """The same, with standard input called - where it could not be opened, and so has no checksum to go by."""
    for verdict in verdicts:
        if verdict.source == bytes.__name__ and verdict.inspection.media is None:
            inspection = verdict.inspection.model_copy(update={"source": "-"})
            yield verdict.model_copy(update={"source": "-", "inspection": inspection})
        else:
            yield verdict


def _standard_input() -> bytes:
    try:
        if not sys.stdin:
            fail(Exit.USAGE, "-: standard input is closed; send a picture to it, or name a file.")
        return sys.stdin.buffer.read(DEFAULT_LIMITS.bytes + 1)
    except OSError as error:
        fail(Exit.USAGE, f"-: standard input cannot be read ({error.strerror}); send a picture to it, or name a file.")


def _add_to_report(
    path: Path, originals: bool, sources: Sequence[Source | None], verdicts: Iterable[Verdict]
) -> Iterator[Verdict]:
    """The same verdicts, each written into the HTML report as it passes."""
    from kidsnanny.reports.verdict_report import VerdictReport

    try:
        with VerdictReport(path, originals=originals) as report:
            for source, verdict in zip(sources, verdicts, strict=True):
                report.add(source, verdict)
                yield verdict
    except OSError as error:
        fail(Exit.USAGE, f"{path}: the report cannot be written ({error.strerror}); choose another file.")


def language_for(for_parent: bool, language: str | None, as_json: bool) -> str | None:
    """The language of the sentences for parents; None if they are not wanted."""
    if language and not for_parent:
        fail(Exit.USAGE, "--language is that of the sentences for parents; give --for-parent as well.")
    if for_parent and as_json:
        fail(Exit.USAGE, "--for-parent prints sentences and no JSON; leave out --json and --jsonl.")
    try:
        return (known_language(language) if language else preferred_language()) if for_parent else None
    except ValueError as error:
        fail(Exit.USAGE, f"--language {error}")


def print_verdicts(
    verdicts: Iterable[Verdict], *, as_json: bool, as_jsonl: bool, fail_on: FailOn, told_in: str | None = None
) -> Exit:
    """Print the verdicts on stdout, in JSON, in sentences for parents in the language `told_in`, or each on a line and
    what was looked for once after them; the exit code that they amount to."""
    flagged = missed = False
    coverage = RunCoverage()
    if as_json or as_jsonl:
        utf8_output()
    if as_json:
        print("[", end="")
    for count, verdict in enumerate(verdicts):
        found = any(reason.lowered is None for reason in verdict.reasons)
        flagged |= verdict.label == "unsafe" or (found and fail_on == "review")
        missed |= bool(verdict.not_inspected) or not verdict.coverage
        if as_json:
            print("," * bool(count), verdict.model_dump_json(), sep="\n", end="")
        elif as_jsonl:
            print(verdict.model_dump_json(), flush=True)
        elif told_in:
            stdout.print(printable(verdict.source), style=f"bold {COLOURS[verdict.label]}", markup=False, end=": ")
            stdout.print(printable(verdict.for_parent(told_in)), markup=False)
        else:
            coverage.add(verdict)
            label, _, rest = str(verdict).partition(":")
            stdout.print(label, style=f"bold {COLOURS[verdict.label]}", end=":")
            stdout.print(printable(rest), markup=False)
    if as_json:
        print("\n]")
    if looked_for := str(coverage):
        stdout.print(printable(looked_for), markup=False)
    return Exit.FLAGGED if flagged else Exit.NOT_INSPECTED if missed else Exit.CLEAR
