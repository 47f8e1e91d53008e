"""Cards of weights: what a model is, where its files come from, and which checksums they have.

kidsnanny's cards are in `weights/cards.toml`, the user's in `home()/cards/*.toml`: one TOML table per card, one type
per role. To add a classifier or detector of a known architecture is to write such a table.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar, get_args

from pydantic import Field, TypeAdapter

from kidsnanny.errors import CardError, WeightsError
from kidsnanny.faults import MISSING
from kidsnanny.models import store
from kidsnanny.models.card_fields import every_fault, filled_in, told
from kidsnanny.models.card_records import FORMATS as FORMATS
from kidsnanny.models.card_records import SOURCES as SOURCES
from kidsnanny.models.card_records import Card as Card
from kidsnanny.models.card_records import Hub as Hub
from kidsnanny.models.card_records import OperatingPoints, Score
from kidsnanny.models.card_records import Three as Three
from kidsnanny.models.card_records import WeightsFile as WeightsFile
from kidsnanny.models.card_records import Wheels as Wheels
from kidsnanny.records import Record
from kidsnanny.taxonomy import Category
from kidsnanny.toml_files import read_toml, why_unread

Labels = dict[str, dict[Category, Score]]
"""Label -> category -> weight."""


class PictureCard(Card):
    """A network that looks at pictures."""

    architecture: str | None = None
    """`timm:NAME`, `transformers:NAME` or `ultralytics:NAME`; not needed for an ONNX file."""
    config: dict[str, int | float | str] = Field(default_factory=dict)
    """Keyword arguments of the architecture."""
    input: int = Field(ge=1)
    """Side of the square that the network sees, in pixels."""

    def _faults(self) -> Iterator[str]:
        yield from super()._faults()
        if self.path and Path(self.weights).suffix == ".safetensors" and not self.architecture:
            yield "a .safetensors needs its architecture, timm:NAME, transformers:NAME or ultralytics:NAME"


class NetworkCard(PictureCard):
    """What classifiers and detectors share: what their labels mean."""

    labels: Labels = Field(min_length=1)
    """In class order: label -> category -> weight. An empty one is context, and never counts against a picture."""
    operating_points: OperatingPoints | None = None


class WholeFrameCard(PictureCard):
    """What classifiers and encoders share: how a frame becomes the square that the network sees."""

    mean: Three
    """Subtracted from values in 0..1."""
    std: Three
    """Divides what is left."""
    interpolation: Literal["bilinear", "bicubic", "lanczos", "nearest"]
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

    def _faults(self) -> Iterator[str]:
        yield from super()._faults()
        if self.fit == "blur" and self.crop is not None:
            yield 'crop and fit = "blur" exclude each other'
        of_onnx = self.fit or self.jpeg or self.layout != "rgb" or self.interpolation in ("lanczos", "nearest")
        if of_onnx and Path(self.weights).suffix != ".onnx":
            yield "fit, jpeg, layout, lanczos and nearest are of ONNX files"


class ClassifierCard(WholeFrameCard, NetworkCard):
    """Weights that give one logit per label for a frame as a whole."""

    role: Literal["classifier"]
    probabilities: bool = False
    """Whether the network ends in its softmax."""

    def _faults(self) -> Iterator[str]:
        yield from super()._faults()
        if len(self.labels) == 1:
            yield "labels has one label, which would always be certain: name every output of the network"


class ImageEncoderCard(WholeFrameCard):
    """Weights that turn a frame as a whole into a row of numbers, on which a probe is trained.

    The architecture of safetensors is `timm:NAME`, whose head is left out, or `transformers:clip`, `:siglip` or `:vit`,
    which have their config.json beside them.
    """

    role: Literal["encoder"]
    output: str | None = None
    """Of an ONNX file: the tensor to take, which may lie inside the network; None: its first output."""

    def _faults(self) -> Iterator[str]:
        yield from super()._faults()
        if self.output and Path(self.weights).suffix != ".onnx":
            yield "output is of ONNX files"
        if (self.architecture or "").startswith("transformers:") and "config.json" not in self.files:
            yield "files lacks config.json, which a model of transformers has"


class ProbeCard(Card):
    """Weights that say of an encoder's rows what is in a picture, as `kidsnanny train probe` writes them."""

    formats: ClassVar[tuple[str, ...]] = (".safetensors",)
    role: Literal["probe"]
    kind: Literal["linear", "q16", "prompts"]
    """`linear`: each label has a probability of its own. `q16`: two vectors, of what is fine and what is not.
    `prompts`: a vector for what is safe and one for each label, which has a probability of its own."""
    encoder: str
    """The name of its encoder's card."""
    encoder_revision: str = Field(default="", pattern=r"^([0-9a-f]{12})?$")
    """That of the encoder's ModelId, with which it was trained; empty: it is not known, and not compared."""
    labels: Labels = Field(min_length=1)
    """In the order of its outputs: label -> category -> weight; of `q16` what is fine comes first."""

    def _faults(self) -> Iterator[str]:
        yield from super()._faults()
        if self.kind == "q16" and len(self.labels) != 2:
            yield f"labels has {len(self.labels)} labels, and q16 has two: what is fine, and what is not"


class HeadCard(Card):
    """Weights of a published classifier that reads an encoder's rows: its layers are code, which its kind names."""

    formats: ClassVar[tuple[str, ...]] = (".safetensors",)
    role: Literal["head"]
    kind: Literal["multiheaded", "sd-filter", "nsfw-detector"]
    """UnsafeBench's names (arXiv 2405.03486)."""
    encoder: str
    """The name of its encoder's card."""


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


class LetterCalibration(Record):
    """What a judge's letter means for one category: P = sigmoid(logit(raw) / temperature + bias), raw being the
    letter's own probability."""

    temperature: float = Field(gt=0)
    bias: float


class JudgeCard(Card):
    """Weights of a language model that answers as the judge, served by `kidsnanny llm serve --engine llama`."""

    formats: ClassVar[tuple[str, ...]] = (".gguf",)
    role: Literal["judge"]
    prompt: str = ""
    """The version of the prompt that `letters` and `lowers` were measured with; with another they do not count."""
    letters: dict[Category, LetterCalibration] = Field(default_factory=dict)
    """A category that is not here raises nothing; if none is, the model counts as it answers."""
    lowers: tuple[Category, ...] = ()
    """The categories of which it has been measured that a low score means harmless: of these alone it may lower what
    another model scored, as far as the policy allows. In the others it only raises."""


AnyCard = Annotated[
    ClassifierCard
    | DetectorCard
    | ImageEncoderCard
    | ProbeCard
    | HeadCard
    | OcrCard
    | BaseCard
    | TextCard
    | StudentCard
    | JudgeCard,
    Field(discriminator="role"),
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
        wanted = " or ".join(_one(role) for role, kind in TYPES.items() if issubclass(kind, of_role))
        raise WeightsError(f"{card.name}: its card is of {_one(card.role)}, not of {wanted}; name another card.")
    return card


def _one(role: str) -> str:
    return f"an {role}" if role[0] in "aeio" else f"a {role}"
