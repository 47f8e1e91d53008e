"""Running systems over a data set so that a kill costs at most a few pictures.

    OUT/meta.json                    what the run rests on; written first, and a run goes on only with the same
    OUT/predictions/NAME.jsonl       a line per picture and row, as they come: this is the checkpoint
    OUT/predictions/NAME.again.jsonl a second run of our own multimodal systems
    OUT/inspections/NAME.jsonl       of our own systems: what was seen and read, a line per picture
    OUT/latency/NAME.json            times measured apart

A line of the predictions is a `Prediction`. With the picture's inspection its decision can be made again, under this
policy or another, without any model.
"""

import json
import os
import platform
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, nullcontext, suppress
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from pydantic import ValidationError
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from kidsnanny import __version__
from kidsnanny.errors import ComponentError, DataError, InputError
from kidsnanny.evaluation.datasets import Dataset, contamination_warnings
from kidsnanny.evaluation.example_fields import text_of
from kidsnanny.evaluation.predictions import (
    DatasetContents,
    Example,
    InspectedExample,
    LatencyMeasurement,
    Prediction,
    RunMetadata,
    SystemDescription,
)
from kidsnanny.evaluation.run_folder import (
    LATENCIES,
    inspections,
    inspections_path,
    latency_path,
    predictions_path,
    read_metadata,
)
from kidsnanny.evaluation.systems.registry import build_system
from kidsnanny.evaluation.systems.system import Options, System, was_asked
from kidsnanny.files import alone_in, write_atomically
from kidsnanny.media.loader import open_picture

if TYPE_CHECKING:
    pass

SYNCED = 16
"""Pictures between two times that the lines are forced to the disk: what a kill may cost."""
WARM_UP = 3
PACKAGES = (
    "numpy", "pillow", "simplejpeg", "opencv-python-headless", "onnxruntime", "rapidocr", "nudenet", "pyarrow",
    "scikit-learn", "scipy", "statsmodels", "rapidfuzz", "better-profanity", "pytesseract", "paddleocr", "paddlepaddle",
    "torch", "timm", "transformers", "openai",
)  # fmt: skip


class Extras(NamedTuple):
    """What is measured besides."""

    repeat: bool = False
    """Whether our own multimodal systems run a second time."""
    latency: int = 0
    """How many pictures are looked at one by one for their times."""


NO_EXTRAS = Extras()


def evaluate(
    dataset: Dataset,
    contents: DatasetContents,
    names: Sequence[str],
    options: Options,
    out: Path,
    *,
    extras: Extras = NO_EXTRAS,
    command: str = "",
    warnings: tuple[str, ...] = (),
    console: Console | None = None,
) -> RunMetadata:
    """Let each system look at each picture, one system after the other, or go on where a former run stopped.

    Args:
        dataset: the pictures, and `contents` what `datasets.count` says of them.
        names: of systems. One that cannot be built is noted in the meta, with the reason, and the others run.
        options: what the user says about the systems.
        out: the folder of the run; made if need be.
        extras: what is measured besides.
        command, warnings: for the report: what made it, and what must be read before any figure.
        console: where progress is shown; None: nowhere.

    Raises:
        DataError: `out` holds a run on other data or with other settings, cannot be written, or another command writes
            there.
    """
    for name in names:
        predictions_path(out, name)  # refuses a name that cannot be a file's
    meta = RunMetadata(
        data=dataset.name,
        contents=contents,
        generated=dataset.generated,
        contamination=contamination_warnings(contents),
        versions=_versions(),
        hardware=hardware(),
        command=text_of(command),
        warnings=warnings,
    )
    try:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)  # it will hold text that was read in the pictures
        with alone_in(out):
            for folder in ("predictions", "inspections", "latency"):
                (out / folder).mkdir(exist_ok=True)
            meta = _begun(out, meta)  # on the disk once a system of this command is accepted
            for name in names:
                try:
                    system = build_system(name, options)
                except ComponentError as error:
                    meta = _noted(out, meta, absent={name: text_of(error)})
                    continue
                _known(name, system.rows, options)
                meta = _noted(out, meta, systems={name: system.rows})
                with closing(system) if hasattr(system, "close") else nullcontext():  # type: ignore[type-var]
                    _look(name, system, dataset, contents.pictures, out, extras, console)
                del system  # the next one may need the memory
    except OSError as error:
        raise DataError(f"{out}: the run cannot be written ({error.strerror}); choose another --out.") from error
    return meta


def hardware() -> str:
    """Processors that this process may use, their name, and the GPUs if there are any."""
    name = platform.processor() or platform.machine()
    with suppress(OSError):
        if found := re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text("utf-8")):
            name = found[1]
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    gpus = ""
    if smi := shutil.which("nvidia-smi"):
        with suppress(subprocess.TimeoutExpired):  # a driver that hangs
            query = [smi, "--query-gpu=name", "--format=csv,noheader"]
            asked = subprocess.run(query, capture_output=True, text=True, timeout=10)
            gpus = "".join(f", {line.strip()}" for line in asked.stdout.splitlines() if not asked.returncode)
    return f"{cores} × {name}{gpus}"


def _versions() -> dict[str, str]:
    found = {"kidsnanny": __version__, "python": platform.python_version()}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def _begun(out: Path, meta: RunMetadata) -> RunMetadata:
    """The meta of the run in the folder, not written yet: a new one, or that of the run that goes on."""
    if (before := read_metadata(out)) is None:
        if any((out / "predictions").glob("*.jsonl")):
            raise DataError(f"{out}: there are predictions and no meta.json that says on what; give another --out.")
        return meta
    versions = {package: number for package, number in meta.versions.items() if package in before.versions}
    now = meta.model_copy(update={"versions": before.versions | versions})  # a package may be added, for a new system
    for what in ("contents", "generated", "versions", "hardware"):
        if getattr(before, what) != getattr(now, what):
            raise DataError(
                f"{out}: the run there was made with other {'data' if what == 'contents' else what} "
                f"({_difference(getattr(before, what), getattr(now, what))}); give another --out, or delete it."
            )
    new = {
        "data": meta.data,
        "versions": before.versions | meta.versions,
        "command": "; ".join(dict.fromkeys([*before.command.split("; "), *meta.command.split("; ")])),
        "warnings": tuple(dict.fromkeys(before.warnings + meta.warnings)),
    }
    return before.model_copy(update=new)


def _difference(before: object, now: object) -> str:
    """Where two settings first differ."""
    if isinstance(before, DatasetContents) and isinstance(now, DatasetContents):
        return (
            f"{before.pictures} pictures with digest {before.digest[:12]} before, {now.pictures} {now.digest[:12]} now"
        )
    if isinstance(before, dict) and isinstance(now, dict):
        key = next(key for key in [*before, *now] if before.get(key) != now.get(key))
        return f"{key} {before.get(key, 'absent')} before, {now.get(key, 'absent')} now"
    return f"{before} before, {now} now"


def _known(name: str, rows: Sequence[SystemDescription], options: Options) -> None:
    """Refuse an operating point that the user gave for a row which the system does not have."""
    have = [row.name for row in rows]
    for given in options.thresholds:
        if given.partition(":")[0] == name and given not in (name, *have):
            raise DataError(f"{given}: {name} has no such row to give a threshold; name {', '.join(have)}.")


def _noted(
    out: Path,
    meta: RunMetadata,
    *,
    systems: dict[str, tuple[SystemDescription, ...]] | None = None,
    absent: dict[str, str] | None = None,
) -> RunMetadata:
    """The meta with a system, or with why there is none, written to the disk before the system says anything."""
    for name, rows in (systems or {}).items():
        for was, now in zip(meta.systems.get(name, rows), rows, strict=False):
            if was != now:
                key = next(key for key, value in was if value != getattr(now, key))
                raise DataError(
                    f"{out}: {was.name} was evaluated there with other settings ({key}: {getattr(was, key)} before, "
                    f"{getattr(now, key)} now); give another --out, or delete it."
                )
        if len(meta.systems.get(name, rows)) != len(rows):
            raise DataError(f"{out}: {name} was evaluated there with other regimes or authorities; give another --out.")
    still = {name: why for name, why in meta.absent.items() if name not in (systems or {})}
    update = {"systems": meta.systems | (systems or {}), "absent": still | (absent or {})}
    meta = meta.model_copy(update=update)
    write_atomically(out / "meta.json", meta.model_dump_json(indent=1).encode())
    return meta


def _look(
    name: str, system: System, dataset: Dataset, total: int, out: Path, extras: Extras, console: Console | None
) -> None:
    """All that is measured of one system."""
    runs: list[tuple[str, Path, Path | None]] = [(name, predictions_path(out, name), inspections_path(out, name))]
    if extras.repeat and any(row.ours and row.regime == "multimodal" for row in system.rows):
        runs.append((f"{name}, again", predictions_path(out, name, again=True), None))
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    hidden = console is None or not console.is_terminal
    with Progress(*columns, console=console, transient=True, disable=hidden) as progress:
        for what, path, seen in runs:
            unanswered = _unanswered(out, name) if seen else frozenset()
            done = _resume(path, [row.name for row in system.rows], unanswered)
            if seen:
                _keep_inspections(seen, done)
            task = progress.add_task(what, total=total, completed=len(done))
            missing = (example for example in dataset if example.id not in done)
            _predict(system, missing, path, seen, partial(progress.advance, task))
    if extras.latency:
        times = _timed(system, dataset, extras.latency)
        write_atomically(latency_path(out, name), LATENCIES.dump_json(times, indent=1))


def _unanswered(out: Path, name: str) -> frozenset[str]:
    """The pictures about which a judge was asked and gave no answer, whatever else is wrong with them."""
    try:
        known = inspections(out, name)
    except DataError:  # `_keep_inspections` will say what is wrong
        return frozenset()
    return frozenset(one for one, seen in known.items() if any(opinion.error for opinion in seen.opinions))


def _resume(path: Path, rows: Sequence[str], again: frozenset[str] = frozenset()) -> set[str]:
    """The pictures that have a line for every row; whatever else is in the file is taken out: torn lines, pictures that
    the system failed on, as while a judge's server was down, and those to do `again`. They are asked again, once.
    """
    done: set[str] = set()
    if path.exists():
        kept = path.with_name(f".{path.name}")
        with path.open("rb") as file, kept.open("wb") as copy:
            while lines := list(islice(file, len(rows))):
                found = [one for line in lines if (one := _parsed(line))]
                if [one.system for one in found] != list(rows):
                    break
                if found[0].id not in again and not any(map(_failed, found)):
                    done.add(found[0].id)
                    copy.writelines(lines)
            copy.flush()
            os.fsync(copy.fileno())
        os.replace(kept, path)
    return done


def _keep_inspections(path: Path, done: set[str]) -> None:
    """Take out of a file of inspections what is torn, and the pictures that are looked at again."""
    if path.exists():
        kept = [
            line
            for line in path.read_bytes().splitlines(keepends=True)
            if line.endswith(b"\n") and _id_of(line) in done
        ]
        write_atomically(path, b"".join(kept))


def _id_of(line: bytes) -> str | None:
    """None of a line that is damaged."""
    try:
        return str(json.loads(line)["id"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


def _parsed(line: bytes) -> Prediction | None:
    """None of a line that is torn."""
    try:
        return Prediction.model_validate_json(line if line.endswith(b"\n") else b"")
    except ValidationError:
        return None


def _failed(found: Prediction) -> bool:
    """Whether it has no score because of the system, or of a file that could not be read, and not of the picture."""
    if found.sha256 is None:  # there is nothing to lose: it is asked about only if it can be opened now
        return True
    if found.score is not None or found.answer is not None or not was_asked(found):
        return False
    ours = found.policy is not None
    damaged = [missed.part in ("picture", "frames") for missed in found.not_inspected]
    return not ours or not (any(damaged) and all(damaged))


def _predict(
    system: System, examples: Iterator[Example], path: Path, inspections: Path | None, advance: Callable[[], None]
) -> None:
    with path.open("ab") as file, (inspections or Path(os.devnull)).open("ab") as seen:
        for number, predictions in enumerate(system.predict(examples), 1):
            if inspection := predictions[0].inspection:
                line = InspectedExample(id=predictions[0].id, inspection=inspection)
                seen.write(line.model_dump_json(exclude_defaults=True).encode() + b"\n")
            file.write(b"".join(one.model_dump_json(exclude_defaults=True).encode() + b"\n" for one in predictions))
            if number % SYNCED == 0:
                _sync(seen, file)
            advance()
        _sync(seen, file)
    if inspections and not inspections.stat().st_size:
        inspections.unlink()


def _sync(*files: BinaryIO) -> None:
    for file in files:
        file.flush()
        with suppress(OSError):  # the null device cannot
            os.fsync(file.fileno())


def _timed(system: System, dataset: Dataset, count: int) -> tuple[LatencyMeasurement, ...]:
    """Each row's times, on the first pictures that decode."""
    pictures = list(islice(filter(_decodes, dataset), count))
    if not pictures:
        return ()
    protocol = (
        f"one picture at a time, from its bytes to the answer, which is waited for (work on a GPU has ended by then); "
        f"{WARM_UP} pictures of warm-up; the first {len(pictures)} pictures of the data set that decode"
    )
    found = []
    for row, call in system.timed_calls().items():
        for example in pictures[:WARM_UP]:
            call(example)
        times = []
        for example in pictures:
            start = time.perf_counter()
            call(example)
            times.append(round((time.perf_counter() - start) * 1e3, 3))
        found.append(LatencyMeasurement(protocol=protocol, row=row, milliseconds=tuple(times)))
    return tuple(found)


def _decodes(example: Example) -> bool:
    try:
        picture = open_picture(example.image)
        return all(frame.rgb.size for frame in picture.frames()) and not picture.skipped
    except InputError:
        return False
