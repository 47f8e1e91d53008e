"""Files of weights on this machine: the home folder, the lock file with its checksums, and their verification.

The lock file, `home()/lock.json`, says of each card's files where they are and which sha256 they must have, where the
card itself does not. Nothing in this module uses a network.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from kidsnanny.errors import NotHereError, WeightsError
from kidsnanny.faults import first_fault
from kidsnanny.files import write_atomically
from kidsnanny.records import Record

HEADER_BYTES = 100_000_000
"""The longest header that safetensors allows."""


class PinnedFile(Record):
    """One file in the lock file."""

    path: Path
    sha256: str
    bytes: int


class Pin(Record):
    """What the lock file says of one card's weights."""

    files: dict[str, PinnedFile] = Field(default_factory=dict)
    """By the names that the card gives them."""
    revision: str | None = None
    """The commit of the Hugging Face Hub that they were pulled from."""
    exported: PinnedFile | None = None
    """The ONNX file that `kidsnanny export` made of them."""


_LOCK = TypeAdapter(dict[str, Pin])


def home() -> Path:
    """The folder of the user's cards, lock file and exported ONNX files; it need not exist.

    `$KIDSNANNY_HOME`, or the platform's folder for a user's data. Exported files are no cache: the lock file names
    them, and a machine without torch cannot make them again.
    """
    if chosen := os.environ.get("KIDSNANNY_HOME"):
        return Path(chosen).absolute()
    from platformdirs import user_data_dir

    nowhere = Path(os.devnull, "kidsnanny")  # for a user without a home directory: nothing is found or written there
    try:
        folder = Path(user_data_dir("kidsnanny", appauthor=False))
    except RuntimeError:
        return nowhere
    return folder if folder.is_absolute() else nowhere  # older releases of platformdirs return `~` as it is


def data_dir(kind: Literal["weights", "prompts"]) -> Path:
    """The folder of shipped weights or prompts: inside an installed wheel, or beside the package in a checkout."""
    package = Path(__file__).parent.parent
    packaged = package / "data" / kind
    return packaged if packaged.is_dir() else package.parent / kind


def package_dir(name: str, package: str, fix: str) -> Path:
    """The folder of an installed package.

    Args:
        name: the card's, for the message.
        package: as it is imported.
        fix: what to do if it is missing.

    Raises:
        NotHereError: it is not installed.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise NotHereError(f"{name}: the package {package} is not installed; {fix}.")
    return Path(spec.submodule_search_locations[0])


def digest(path: Path) -> str:
    """The file's sha256, in hex.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_random(path: Path) -> bool:
    """Whether a safetensors file says that its weights are random: `kidsnanny = random` in its metadata."""
    try:
        return bool(safetensors_header(path)["__metadata__"]["kidsnanny"] == "random")
    except (OSError, ValueError, KeyError, TypeError):
        return False


def safetensors_header(path: Path) -> dict[str, Any]:
    """Tensor -> its `dtype`, `shape` and `data_offsets`; `__metadata__` -> texts by name.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no safetensors.
    """
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        try:
            header = json.loads(file.read(size)) if size <= HEADER_BYTES else None
        except RecursionError as error:
            raise ValueError("its header is nested too deeply") from error
    if not isinstance(header, dict):
        raise ValueError("it has no header")
    return header


def verified(name: str, path: Path, expected: str | None, fix: str) -> Path:
    """The path, if the file there has the expected sha256.

    Args:
        name: the card's, for the message.
        path: of the file.
        expected: sha256 in hex; None is an error.
        fix: what to do if the file is missing or another one.

    Raises:
        WeightsError: it has another checksum, or none is expected, or it is missing (then it is a NotHereError).
    """
    found = _digest(name, path, fix)
    if not expected:
        raise WeightsError(f"{name}: nothing says which sha256 {path} must have; {fix}.")
    if found != expected:
        raise WeightsError(f"{name}: {path} has sha256 {found[:12]}…, not {expected[:12]}…; {fix}.")
    return path


def _digest(name: str, path: Path, fix: str) -> str:
    try:
        return digest(path)
    except OSError as error:
        kind = NotHereError if isinstance(error, FileNotFoundError) else WeightsError
        raise kind(f"{name}: {path} cannot be read ({error.strerror}); {fix}.") from error


def pinned(name: str) -> Pin:
    """What the lock file says of a card's weights; an empty Pin if it says nothing.

    Raises:
        WeightsError: the lock file cannot be read.
    """
    return _read_lock().get(name, Pin())


def pin(name: str, paths: Mapping[str, Path], revision: str | None = None) -> None:
    """Write where a card's files are, and their checksums, into the lock file.

    When a checksum changes, the ONNX file that was exported from the former weights is forgotten.

    Args:
        name: the card's.
        paths: every file of the card, by the name that the card gives it.
        revision: the commit of the Hugging Face Hub that they were pulled from.

    Raises:
        WeightsError: a file cannot be read, or the lock file cannot be read or written.
    """
    files = {file: _pinned_file(name, path) for file, path in paths.items()}
    lock = _read_lock()
    known = lock.get(name, Pin())
    same = [known.files[file].sha256 for file in known.files] == [one.sha256 for one in files.values()]
    lock[name] = Pin(files=files, revision=revision, exported=known.exported if same else None)
    _write_lock(lock)


def pin_exported(name: str, path: Path) -> None:
    """Write into the lock file which ONNX file was exported from a card's weights.

    Raises:
        WeightsError: the file cannot be read, or the lock file cannot be read or written.
    """
    lock = _read_lock()
    lock[name] = lock.get(name, Pin()).model_copy(update={"exported": _pinned_file(name, path)})
    _write_lock(lock)


def _pinned_file(name: str, path: Path) -> PinnedFile:
    path = path.absolute()
    sha256 = _digest(name, path, "give a file that exists")
    return PinnedFile(path=path, sha256=sha256, bytes=path.stat().st_size)


def forget(name: str) -> None:
    """Remove the user's card of that name, and what is pinned for it. The weights themselves stay.

    Raises:
        WeightsError: the lock file cannot be read or written, or the card cannot be deleted.
    """
    lock = _read_lock()
    if lock.pop(name, None):
        _write_lock(lock)
    path = home() / "cards" / f"{name}.toml"
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise WeightsError(f"{name}: {path} cannot be deleted ({error.strerror}); delete it yourself.") from error


def write(path: Path, data: bytes) -> None:
    """Write a file of the home folder, all of it or nothing.

    Raises:
        WeightsError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, data)
    except OSError as error:
        fix = "set KIDSNANNY_HOME to a folder that can"
        raise WeightsError(f"{path}: it cannot be written ({error.strerror}); {fix}.") from error


def _write_lock(lock: dict[str, Pin]) -> None:
    write(home() / "lock.json", _LOCK.dump_json(lock, indent=1, exclude_none=True, exclude_defaults=True))


def _read_lock() -> dict[str, Pin]:
    """What the lock file says; nothing if there is none."""
    path = home() / "lock.json"
    try:
        return _LOCK.validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValidationError) as error:
        reason = error.strerror if isinstance(error, OSError) else first_fault(error)
        raise WeightsError(f"{path}: the lock file cannot be read ({reason}); correct it, or delete it.") from error
