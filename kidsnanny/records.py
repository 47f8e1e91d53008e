"""The frozen records that the parts of the pipeline share.

Boxes are pixel `(x0, y0, x1, y1)` in the decoded, EXIF-applied frame; frames are counted from 0; scores are 0..1;
times are milliseconds.
"""

import math
import string
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from kidsnanny.errors import Cause
from kidsnanny.taxonomy import Category

Label = Literal["safe", "review", "unsafe"]
Action = Literal["show", "warn", "block", "support"]
Channel = Literal["image", "text", "judge"]
ModelKind = Literal["classifier", "detector", "text", "judge"]


class Box(NamedTuple):
    """Pixel corners in the decoded frame; `x1` and `y1` are exclusive."""

    x0: int
    """Left, in pixels."""
    y0: int
    """Top, in pixels."""
    x1: int
    """Right, in pixels: the first column that is not in the box."""
    y1: int
    """Bottom, in pixels: the first row that is not in the box."""

    @property
    def area(self) -> int:
        """Square pixels."""
        return max(0, self.x1 - self.x0) * max(0, self.y1 - self.y0)

    def common(self, other: "Box") -> int:
        """Square pixels that lie in both."""
        both = Box(*map(max, self[:2], other[:2]), *map(min, self[2:], other[2:]))
        return both.area

    def moved(self, right: int, down: int) -> "Box":
        """The same box, so many pixels further `right` and `down`."""
        return Box(self.x0 + right, self.y0 + down, self.x1 + right, self.y1 + down)

    def covers(self, other: "Box") -> bool:
        """Whether most of the other box lies in this one."""
        return 2 * self.common(other) > other.area


class Record(BaseModel):
    """Immutable, strict about its keys, and always JSON in UTF-8: see `encodable`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_validator(mode="before")
    @classmethod
    def _texts_encode(cls, fields: Any) -> Any:
        return _encodable_in(fields)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """As pydantic's, which checks nothing, with texts that encode."""
        return super().model_copy(update={k: _encodable_in(v) for k, v in (update or {}).items()}, deep=deep)


def encodable(text: str) -> str:
    """The text with each lone surrogate spelled out: a file's name may hold bytes that are no UTF-8, a server's answer
    half a character, and neither may break the JSON of a record or get lost."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def _encodable_in(value: Any) -> Any:
    """The same of a text, and of all texts in lists, tuples and dictionaries; records have seen to theirs."""
    match value:
        case str():
            return encodable(value)
        case dict():
            return {_encodable_in(key): _encodable_in(one) for key, one in value.items()}
        case list():
            return [_encodable_in(one) for one in value]
        case tuple() if type(value) is tuple:
            return tuple(_encodable_in(one) for one in value)
    return value


Caveat = Literal["random", "demo"]
CAVEATS: dict[Caveat, str] = {
    "random": "are random, so what they say means nothing",
    "demo": "know scenes that kidsnanny drew and nothing else, so what they say of other pictures means nothing",
}
"""Why nothing that a model saw may count as safe."""


class ModelId(Record):
    """Which model spoke: a name and, as far as it is known, the start of its checksum or its version."""

    name: str
    """As in the model's card."""
    revision: str = ""
    """The start of its checksum or its version; empty if neither is known."""
    caveat: Caveat | None = None
    """Why nothing that it saw may count as safe; None if it may."""

    def __str__(self) -> str:
        """`name@revision#caveat`: the form in which a model stands in a text."""
        revision = f"@{self.revision}" if self.revision else ""
        return f"{self.name}{revision}{f'#{self.caveat}' if self.caveat else ''}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read back what `str` wrote.

        Raises:
            ValueError: the caveat is not one of CAVEATS.
        """
        rest, _, caveat = text.partition("#")
        name, _, revision = rest.partition("@")
        return cls.model_validate({"name": name, "revision": revision, "caveat": caveat or None})


class Detection(Record):
    """One thing a model saw: a detector in a box, a classifier in the frame as a whole."""

    label: str
    """The model's own word for it."""
    score: float = Field(ge=0, le=1)
    """How sure the model is, 0..1."""
    box: Box | None = None
    """None: the whole frame."""
    frame: int = Field(default=0, ge=0)
    """Counted from 0."""
    model: str = ""
    """The name of the card of the model that said so."""


class SceneObject(Record):
    """One thing in a scene graph, where it is, and how it is."""

    label: str
    """What it is."""
    box: Box
    """Where it is."""
    attributes: tuple[str, ...] = ()
    """How it is, in single words."""
    score: float = Field(default=1.0, ge=0, le=1)
    """How sure the student is of the object, 0..1; 1 for one that a person gave."""
    attributes_score: float = Field(default=1.0, ge=0, le=1)
    """Of all of them, 0..1: a student writes them in another task than the objects."""


class Relation(Record):
    """`subject` does `predicate` to `object`: two objects by their place in the graph."""

    subject: int = Field(ge=0)
    """Its place in the graph's `objects`, counted from 0."""
    predicate: str
    """What the one does to the other, or where it is."""
    object: int = Field(ge=0)
    """Its place in the graph's `objects`, counted from 0."""
    score: float = Field(default=1.0, ge=0, le=1)
    """How sure the student is, 0..1."""


class SceneGraph(Record):
    """What is in one frame, its attributes, and the relations in it: SenBen's five tasks (arXiv 2604.08819).

    The number of an object, SenBen's suffix `:N`, is its place in `objects`.
    """

    objects: tuple[SceneObject, ...] = ()
    """The things in the frame."""
    relations: tuple[Relation, ...] = ()
    """What they have to do with each other."""
    tags: dict[str, float] = Field(default_factory=dict)
    """Tag -> its probability, 0..1, or 1.0 for a tag that a person gave."""
    caption: str = ""
    """A student's caption may quote what is written in the picture: *untrusted* text."""
    frame: int = Field(default=0, ge=0)
    """Counted from 0."""
    model: str = ""
    """The name of the student that wrote it."""
    dropped: tuple[str, ...] = ()
    """What the student wrote that is no graph, and why it is not in this one."""
    repeated: int = Field(default=0, ge=0)
    """How often it said the same again."""

    @model_validator(mode="after")
    def _no_dangling(self) -> Self:
        for relation in self.relations:
            if max(relation.subject, relation.object) >= len(self.objects):
                raise ValueError(f"{relation} names an object that is not among the graph's {len(self.objects)}")
        return self


class VisualFindings(Record):
    """What Stage 1 saw in one picture. `frames` is how many frames were screened, `models` who screened them."""

    width: int
    """Of the largest frame, in pixels."""
    height: int
    """Of the largest frame, in pixels."""
    frames: int
    """How many were screened."""
    models: tuple[ModelId, ...] = ()
    """Those that screened them."""
    detections: tuple[Detection, ...] = ()
    """What detectors and classifiers saw, in all frames."""
    graphs: tuple[SceneGraph, ...] = ()
    """One for each frame that a scene-graph model described."""


class TextLine(Record):
    """One line of text in a picture, as the OCR read it: *untrusted* text, written by whoever made the picture."""

    text: str
    """Empty if the line was found, and nothing in it could be read."""
    confidence: float = Field(ge=0, le=1)
    """How sure the OCR is of the letters, 0..1; 1 for text that came as text."""
    box: Box
    """Empty for a line of a message, which is in no picture."""
    frame: int = Field(default=0, ge=0)
    """Of the picture, counted from 0; of a conversation, its turn."""
    kind: Literal["line", "code", "column", "layer", "message"] = "line"
    """"code": what a QR code says; "column": a word of letters under each other, which are lines as well; "layer":
    what a PDF's text layer or one of its notes says, and the OCR has not read; "message": text that came as text."""
    speaker: str = ""
    """Who says it in a conversation."""
    aspect: float | None = Field(default=None, gt=0)
    """Length over height along the line, which may be slanted; None: that of the box."""
    angle: float | None = Field(default=None, ge=-180, le=180)
    """Degrees by which the line is turned clockwise, -180..180; None: nobody measured it, and it counts as level."""
    confirmed: bool = True
    """Whether a closer look found a line in its place again; what it did not is likely no text but fur or a fence.
    Lines that were read with confidence are not looked at again."""
    even_ground: bool = True
    """Whether it stands on one even colour, as in a chat and on a poster, and not on something in a scene; the
    Inspector says it of lines that were hardly read."""
    share: float | None = Field(default=None, ge=0, le=1)
    """Of its frame's area that it covers; the Inspector says it. None counts as all of it, and 0 is a
    line that the frame's other view has too."""

    @property
    def extent(self) -> tuple[float, float]:
        """Pixels along the line and across it. A slanted line's box is W = L cos a + H sin a wide and L sin a + H cos a
        high, with L = `aspect` x H.
        """
        wide, high = self.box.x1 - self.box.x0, self.box.y1 - self.box.y0
        if self.aspect is None:
            return wide, high
        if self.angle is not None:
            turn = math.radians(self.angle)
            across = (wide + high) / ((self.aspect + 1) * (abs(math.cos(turn)) + abs(math.sin(turn))))
        elif self.aspect < 1.4:  # hardly longer than high: the angle cannot be told from the box
            return wide, high
        else:
            total, apart = (wide + high) / (self.aspect + 1), abs(wide - high) / (self.aspect - 1)
            across = math.sqrt((total**2 + apart**2) / 2)
        return self.aspect * across, across

    @property
    def area(self) -> float:
        """Square pixels that it covers, slanted or not."""
        along, across = self.extent
        return min(float(self.box.area), along * across)

    @property
    def quoted(self) -> str:
        """The text with who says it."""
        return f"{self.speaker}: {self.text}" if self.speaker else self.text


class NotInspected(Record):
    """Something that could not be looked at, and why. A verdict with one in its `not_inspected` is never `safe`."""

    part: Literal["picture", "frames", "image", "text", "judge"]
    """The whole `picture`, some of its `frames`, what it shows (`image`), its `text`, or what the `judge` should have
    said."""
    reason: str
    """Why, in one sentence, without the name of the picture."""
    cause: Cause | None = None
    """The kind of reason; None if it is of no kind that has words of its own for parents."""
    frame: int | None = None
    """Counted from 0; of a conversation, its turn. None: the picture as a whole."""
    minor: bool = False
    """Too little for a message: a sign, a label, a watermark. The policy says whether it counts."""

    def __str__(self) -> str:
        return f"{self.part}{'' if self.frame is None else f' of frame {self.frame}'}: {self.reason}"

    def in_turn(self, several: bool) -> Self:
        """The same of a conversation, whose frames are its turns, or of a single message."""
        reason = f"turn {self.frame}: {self.reason}" if several and self.frame is not None else self.reason
        return self.model_copy(update={"reason": reason, "frame": None})


class Signal(Record):
    """What one model says about one category, before any threshold: a detector's box, a line of text, an answer."""

    category: Category
    """What it is about."""
    channel: Channel
    """Where it was found: in the `image`, in its `text`, or by the `judge`."""
    source: ModelKind
    """The kind of model that says so."""
    model: str = ""
    """Its name."""
    score: float = Field(ge=0, le=1)
    """How sure the model is, 0..1."""
    what: str
    """The model's label, the line of text, or what the judge did."""
    words: tuple[str, ...] = ()
    """Of a line of text, those that carry the score; none if no word does so alone."""
    frame: int = 0
    """Counted from 0; of a conversation, its turn."""
    box: Box | None = None
    """Where in the frame; None: all of it, or in no picture."""


class Reason(Signal):
    """A signal that counts: it reached its category's `review` threshold, or the judge lowered it."""

    lowered: float | None = Field(default=None, ge=0, le=1)
    """The score, 0..1, that the judge brought down to `score`; None for every other reason."""

    def __str__(self) -> str:
        if self.lowered is not None:
            name = self.category.replace("_", " ")
            return f"{name} {self.lowered:.2f} {self.what}, brought down to {self.score:.2f} by the judge"
        what = self.what if len(self.what) <= 80 else self.what[:79] + "…"
        saw = f"the text {what!r}" if self.channel == "text" else what.lower().replace("_", " ")
        if self.source == "classifier":
            saw = f"the whole picture ({saw})"
        elif self.source == "judge":
            saw = "the judge"
        if self.words:
            saw += f" ({', '.join(word.strip(string.punctuation) for word in self.words)})"
        where = "frame" if self.box or self.channel != "text" else "turn"
        frame = f" in {where} {self.frame}" if self.frame else ""
        return f"{self.category.replace('_', ' ')} {self.score:.2f} from {saw}{frame}"


class Thresholds(Record):
    """From `review` on a person should look; from `block` on the picture is unsafe."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    review: float = Field(gt=0, le=1, strict=True)
    """From this score, 0..1, on a person should look: the picture is `review`."""
    block: float = Field(gt=0, le=1, strict=True)
    """From this score, 0..1, on the picture is `unsafe`. It is not below `review`."""
