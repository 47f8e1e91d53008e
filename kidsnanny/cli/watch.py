"""`kidsnanny watch`: pictures that come into a folder, looked at as they come."""

import errno
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Annotated

import typer

from kidsnanny.cli.console import Exit, exit_on_error, exit_without_extra, fail, terminable, warn
from kidsnanny.cli.looking import built
from kidsnanny.cli.outputs import FailOn, Printer, Tally, may_replace
from kidsnanny.errors import DataError
from kidsnanny.files import private, write_atomically
from kidsnanny.policy import BUILT_IN, Policy
from kidsnanny.profiles.profile import DEFAULT, PROFILES, Profile
from kidsnanny.records import encodable
from kidsnanny.verdict import Verdict
from kidsnanny.watching import FolderWatch

FOLDER = typer.Argument(metavar="FOLDER", help="The folder to watch, with all folders in it.")
POLICY = typer.Option(metavar="NAME|FILE", help=f"{', '.join(BUILT_IN)}, or your own TOML file.")
PROFILE = typer.Option(metavar="NAME|FILE", help=f"{', '.join(PROFILES)}, or your own TOML file.")
VISION_ONLY = typer.Option("--vision-only", help="Look at what is in the pictures, not at the text in them.")
EXISTING = typer.Option("--existing/--new-only", help="Also look at the pictures that are there already, or do not.")
MOVE_TO = typer.Option(metavar="FOLDER", help="Move unsafe pictures to this folder, each with its verdict beside it.")
MOVE_ON = typer.Option(help="The lowest label that is moved.")
LOG = typer.Option(metavar="FILE.jsonl", help="Append each verdict to this file, as one JSON line.")
JSONL = typer.Option("--jsonl", help="Print one JSON verdict a line.")
SIDECAR = ".verdict.json"


def watch(
    folder: Annotated[Path, FOLDER],
    policy: Annotated[str, POLICY] = "preteen",
    profile: Annotated[str, PROFILE] = DEFAULT,
    vision_only: Annotated[bool, VISION_ONLY] = False,
    existing: Annotated[bool, EXISTING] = True,
    move_to: Annotated[Path | None, MOVE_TO] = None,
    move_on: Annotated[FailOn, MOVE_ON] = "unsafe",
    log: Annotated[Path | None, LOG] = None,
    as_jsonl: Annotated[bool, JSONL] = False,
) -> None:
    """Look at the pictures in a folder, and at each that comes or changes, until Ctrl-C or SIGTERM.

    A picture is looked at two seconds after it was written, so it can be seen before. Hidden files and unfinished
    downloads are left out, and links are not followed. Nothing is deleted and nothing is overwritten: a picture that is
    moved keeps its sub-folder, and NAME.verdict.json beside it says where it was, and why it was moved.

    Exit codes: 0 ended by Ctrl-C or SIGTERM; 2 wrong usage, or the folder is not there any more; 3 a component could
    not be built.

    Example: kidsnanny watch Downloads/

    Example: kidsnanny watch --policy child --move-to held-back/ --log verdicts.jsonl Downloads/
    """
    with exit_on_error(Exit.USAGE):
        Profile.load(profile)
        rules = Policy.load(policy)
        with exit_without_extra("kidsnanny watch", "watch"):
            watched = FolderWatch(folder, existing=existing)
        if move_to:
            _refuse_inside(watched.folder, move_to.resolve())
    if log and not may_replace(log, b'{"source":"'):
        fail(Exit.USAGE, f"{log}: it is there and is no file of verdicts; name another file with --log FILE.jsonl.")
    labels = ("unsafe",) if move_on == "unsafe" else ("unsafe", "review")
    printer, tally, moved = Printer("jsonl" if as_jsonl else "lines"), Tally(), 0
    with exit_on_error(), terminable():
        try:
            with built(profile, vision_only) as pipeline, printer:
                warn(f"Watching {watched.folder}; Ctrl-C ends it.")
                for path in _pictures(watched):
                    verdict = pipeline(path, policy=rules)
                    tally.add((verdict,))
                    if log:
                        _append(log, verdict)
                    printer.add((verdict,))
                    if move_to and verdict.label in labels:
                        moved += _moved(path, watched, move_to.resolve(), verdict)
        except KeyboardInterrupt:
            pass
        finally:
            tally.close(*([f"Moved {moved:,} to {move_to}."] if move_to else []), rate=False)


def _refuse_inside(folder: Path, target: Path) -> None:
    if target.is_relative_to(folder) or folder.is_relative_to(target):
        raise DataError(f"{target}: it and the watched folder lie in one another; name another folder with --move-to.")
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"{target}: it cannot be made ({error.strerror}); name another folder with --move-to."
        ) from error


def _pictures(watched: FolderWatch) -> Iterator[Path]:
    """What can be looked at; of the rest a line on stderr says why not."""
    for path in watched.files():
        if path.is_symlink():
            warn(f"Not looked at: {path} is a link, and links are not followed.")
        elif path.is_dir():
            warn(f"Not looked at: {path} cannot be opened.")
        else:
            yield path


def _append(log: Path, verdict: Verdict) -> None:
    """A full disk must not end the watch."""
    try:
        with open(log, "ab", opener=private) as file:
            file.write(verdict.model_dump_json().encode() + b"\n")
    except OSError as error:
        warn(f"{log}: the verdict on {verdict.source} could not be written ({error.strerror}).")


def _moved(path: Path, watched: FolderWatch, target: Path, verdict: Verdict) -> bool:
    """Move the picture, and say so; if it cannot be moved or has changed since, it stays."""
    if not watched.unchanged(path):  # another one has its name, and is looked at next
        return False
    try:
        place = _reserved(target / path.relative_to(watched.folder))
        sidecar = place.with_name(f"{place.name}{SIDECAR}")
        when = datetime.now(UTC).isoformat(timespec="seconds")
        try:
            facts = {
                "moved_from": encodable(str(path)),
                "moved_at": when,
                "verdict": json.loads(verdict.model_dump_json()),
            }
            write_atomically(sidecar, json.dumps(facts, ensure_ascii=False, indent=2).encode())
            _move(path, place)
        except BaseException:
            if path.exists():
                place.unlink(missing_ok=True)
                sidecar.unlink(missing_ok=True)
            raise
    except OSError as error:
        warn(f"{path}: it could not be moved ({error.strerror}); it is still there.")
        return False
    warn(f"Moved {path} to {place}")
    return True


def _reserved(wanted: Path) -> Path:
    """An empty file under that name, or under one with a number where that is taken."""
    wanted.parent.mkdir(parents=True, exist_ok=True)
    for number in count(1):
        place = wanted if number == 1 else wanted.with_stem(f"{wanted.stem} ({number})")
        with suppress(FileExistsError):
            os.close(os.open(place, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            return place
    raise AssertionError


def _move(path: Path, place: Path) -> None:
    """Onto the reserved place, to another file system as well."""
    try:
        os.replace(path, place)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        shutil.copy2(path, place)
        path.unlink()
