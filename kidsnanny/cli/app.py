"""The command line: `kidsnanny check`, `eval`, `subset`, `doctor`, `export`, `weights`, `llm`, `train`."""

import os
import signal
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import typer
from PIL import Image
from rich.console import Console
from rich.progress import track

from kidsnanny import __version__
from kidsnanny.cli.eval import evaluate
from kidsnanny.cli.llm import llm_app
from kidsnanny.cli.subset import subset_app
from kidsnanny.cli.weights import weights_app
from kidsnanny.errors import ComponentError, KidsnannyError, PolicyError
from kidsnanny.media.loader import DEFAULT_LIMITS, Source, is_picture, walk
from kidsnanny.pipeline import Pipeline
from kidsnanny.policy import BUILT_IN
from kidsnanny.profiles.profiles import DEFAULT, PROFILES
from kidsnanny.records import Verdict


class Exit(IntEnum):
    """Exit codes, as `--help` tells them."""

    CLEAR = 0
    USAGE = 2
    COMPONENT = 3
    FLAGGED = 10
    NOT_INSPECTED = 11
    INTERRUPTED = 130


EPILOG = (
    "Exit codes: 0 nothing flagged; 10 something flagged (this beats 11); 11 something could not be inspected; "
    "2 wrong usage; 3 a component could not be built; 130 interrupted."
)

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="May a child of this age see this picture, and if not, why? Everything runs on this machine.",
)
train_app = typer.Typer(no_args_is_help=True, help="Train the small models that kidsnanny ships.")
app.add_typer(train_app, name="train")
app.add_typer(weights_app, name="weights")
app.add_typer(llm_app, name="llm")
app.command("eval")(evaluate)
app.add_typer(subset_app, name="subset")
stderr = Console(stderr=True, highlight=False)
stdout = Console(highlight=False, soft_wrap=True)


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        print(f"kidsnanny {__version__}")
        raise typer.Exit


@app.command(epilog=EPILOG)
def check(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATHS…", help="Pictures, folders (walked for pictures), or - for stdin.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print all verdicts as one JSON array.")] = False,
    as_jsonl: Annotated[bool, typer.Option("--jsonl", help="Print one JSON verdict a line, as they come.")] = False,
    policy: Annotated[
        str, typer.Option(metavar="NAME|FILE", help=f"{', '.join(BUILT_IN)}, or your own TOML file.")
    ] = "preteen",
    profile: Annotated[str, typer.Option(metavar="NAME", help=f"One of: {', '.join(PROFILES)}.")] = DEFAULT,
    vision_only: Annotated[
        bool, typer.Option("--vision-only", help="Look at what is in the picture, not at the text in it.")
    ] = False,
    fail_on: Annotated[
        Literal["review", "unsafe"], typer.Option(help="From which label on a picture counts as flagged.")
    ] = "review",
    html: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write a report to this file; its pictures are mosaicked.")
    ] = None,
    html_originals: Annotated[
        bool, typer.Option("--html-originals", help="Show the pictures in the report as they are.")
    ] = False,
) -> None:
    """Look at pictures and say which of them a child may see, and why not the others.

    Each gets `safe`, `review` (a person should look) or `unsafe`. A picture that could not be looked at in full is
    never `safe`. Nothing is sent anywhere, and nothing is written to disk unless you ask for a report.
    """
    if as_json and as_jsonl:
        _fail(Exit.USAGE, "--json and --jsonl exclude each other; give one of them.")
    if profile not in PROFILES:
        _fail(Exit.USAGE, f"{profile}: there is no such profile; choose one of {', '.join(PROFILES)}.")
    if paths.count("-") > 1:
        _fail(Exit.USAGE, "- stands for standard input, which can be read only once; name it once.")
    if str(html) == "-":
        _fail(Exit.USAGE, "-: the report is a file, not a stream; name it with --html FILE.")
    if html_originals and not html:
        _fail(Exit.USAGE, "--html-originals says how the report shows pictures; name the report with --html FILE.")
    sources = _collect(paths)
    try:
        pipeline = Pipeline(profile, policy=policy, stage2=None if vision_only else "profile")
        verdicts = track(
            pipeline.stream(sources),
            description="Looking at pictures",
            total=len(sources),
            console=stderr,
            transient=True,
            disable=not stderr.is_terminal or len(sources) < 2,
        )
        if html:
            verdicts = _written(html, html_originals, sources, verdicts)
        code = _report(verdicts, as_json=as_json, as_jsonl=as_jsonl, fail_on=fail_on)
    except PolicyError as error:
        _fail(Exit.USAGE, str(error))
    except ComponentError as error:
        _fail(Exit.COMPONENT, str(error))
    except KeyboardInterrupt:
        _fail(Exit.INTERRUPTED, "Interrupted; the verdicts printed so far stand.")
    raise typer.Exit(code)


@app.command()
def doctor() -> None:
    """Prove each component on something generated; print versions, weights, checksums, licences and what is lacking.

    Exit code 0 when all is well, 3 when something is not.
    """
    from kidsnanny.self_test import examine

    ill = 0
    for what, well, detail in examine():
        stdout.print(f"{'ok  ' if well else 'FAIL'} {what}: {_printable(detail)}", markup=False)
        ill += not well
    if ill:
        _fail(Exit.COMPONENT, f"{ill} {'finding needs' if ill == 1 else 'findings need'} mending; each says how.")


@app.command("export")
def export_(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A weight's name, as `kidsnanny weights list` has it.")],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where to; by default onnx/NAME.onnx in kidsnanny's home.")
    ] = None,
) -> None:
    r"""Write a weight's network as ONNX, so that it runs on a CPU without torch, and faster.

    Needs `pip install 'kidsnanny\[vit]'` (or `\[yolo]`, `\[student]`). The file is compared with torch's answers
    before it counts.

    Example: kidsnanny weights pull marqo-nsfw-384 && kidsnanny export marqo-nsfw-384

    Example: kidsnanny weights add my-student/model.safetensors --like senben-tiny --name mine && kidsnanny export mine
    """
    from kidsnanny.models.onnx_export import export
    from kidsnanny.models.runtime import named

    try:
        print(export(named(name), out))
    except KidsnannyError as error:
        _fail(Exit.COMPONENT, str(error))


@train_app.command("text")
def train_text(
    data: Annotated[Path, typer.Option(help="Folder of *.csv.gz training files (see weights/README.md).")],
    out: Annotated[Path, typer.Option(help="Folder to write model.npz and card.toml to.")],
    seed: Annotated[int, typer.Option(help="Seed of everything random.")] = 0,
) -> None:
    """Train the text model from a folder of labelled text."""
    from kidsnanny.training.text.train_text import train

    try:
        train(data, out, seed=seed)
    except KidsnannyError as error:
        _fail(Exit.COMPONENT, str(error))


@train_app.command("student")
def train_student(
    out: Annotated[Path, typer.Option(help="Folder to write the student to.")],
    steps: Annotated[int, typer.Option(min=1, help="Batches of 32 drawn scenes.")] = 5_000,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of the weights.")] = 0,
) -> None:
    r"""Train a tiny SenBen student on drawn scenes; on two cores it takes half an hour.

    It learns comic drawings, not photographs: it shows how a student works. Needs `pip install 'kidsnanny\[student]'`.

    Example: kidsnanny train student --out my-student && KIDSNANNY_STUDENT=my-student kidsnanny check --profile senben
    --vision-only scene.png
    """
    try:
        from kidsnanny.training.student.train_student import train
    except ImportError as error:
        _fail(Exit.COMPONENT, f"Training a student needs {error.name}; run `pip install 'kidsnanny[student]'`.")
    try:
        train(out, steps=steps, seed=seed)
    except KidsnannyError as error:
        _fail(Exit.COMPONENT, str(error))
    except KeyboardInterrupt:
        _fail(Exit.INTERRUPTED, f"Interrupted; {out} has the student of the last point of the curve, if there was one.")


def main() -> None:
    """Entry point. A pipe that is closed ends it quietly."""
    warnings.simplefilter("error", Image.DecompressionBombWarning)  # the refusal in the verdict says it all
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    app()


def _fail(code: Exit, message: str) -> NoReturn:
    stderr.print(f"kidsnanny: {_printable(message)}", markup=False, soft_wrap=True)
    raise typer.Exit(code)


def _collect(paths: Sequence[str]) -> list[Source]:
    """The pictures behind the arguments, folders walked in name order; other files are counted on stderr."""
    sources: list[Source] = []
    skipped: list[str] = []
    for path in paths:
        if path == "-":
            sources.append(sys.stdin.buffer.read(DEFAULT_LIMITS.bytes + 1))
        elif os.path.isdir(path):
            found, unwalked = walk(path)
            pictures = [file for file in found if is_picture(file)]
            if not pictures and not unwalked:
                _fail(Exit.USAGE, f"There are no pictures in {path}; name a picture or a folder with pictures.")
            skipped += [file.name for file in found if file not in pictures]
            sources += [*pictures, *unwalked]
        else:
            sources.append(path)
    if skipped:
        files = "1 file that is no picture" if len(skipped) == 1 else f"{len(skipped)} files that are no pictures"
        names = ", ".join(skipped[:5]) + (", …" if len(skipped) > 5 else "")
        stderr.print(f"Skipped {files}: {_printable(names)}", markup=False, soft_wrap=True)
    return sources


def _written(path: Path, originals: bool, sources: Sequence[Source], verdicts: Iterable[Verdict]) -> Iterator[Verdict]:
    """The same verdicts, each written into the HTML report as it passes."""
    from kidsnanny.reports.verdict_report import VerdictReport

    try:
        with VerdictReport(path, originals=originals) as report:
            for source, verdict in zip(sources, verdicts, strict=True):
                report.add(source, verdict)
                yield verdict
    except OSError as error:
        _fail(Exit.USAGE, f"{path}: the report cannot be written ({error.strerror}); choose another file.")


def _report(verdicts: Iterable[Verdict], *, as_json: bool, as_jsonl: bool, fail_on: str) -> Exit:
    """Print the verdicts on stdout and tell the exit code."""
    flagged = missed = False
    if as_json:
        print("[", end="")
    for count, verdict in enumerate(verdicts):
        found = any(reason.lowered is None for reason in verdict.reasons)
        flagged |= verdict.label == "unsafe" or (found and fail_on == "review")
        missed |= bool(verdict.not_inspected)
        if as_json:
            print("," * bool(count), verdict.model_dump_json(), sep="\n", end="")
        elif as_jsonl:
            print(verdict.model_dump_json(), flush=True)
        else:
            colour = {"safe": "green", "review": "yellow", "unsafe": "red"}[verdict.label]
            label, _, rest = str(verdict).partition(":")
            stdout.print(label, style=f"bold {colour}", end=":")
            stdout.print(_printable(rest), markup=False)
    if as_json:
        print("\n]")
    return Exit.FLAGGED if flagged else Exit.NOT_INSPECTED if missed else Exit.CLEAR


def _printable(text: str) -> str:
    """Text from a picture or a file name must not drive the terminal."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
