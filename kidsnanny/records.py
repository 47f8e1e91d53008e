"""The frozen records that travel through the pipeline and come out of it.

Boxes are pixel `(x0, y0, x1, y1)` in the decoded, EXIF-applied frame; frames are counted from 0; scores are 0..1;
times are milliseconds.
"""

from typing import Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from kidsnanny.taxonomy import CATEGORIES, Category

Label = Literal["safe", "review", "unsafe"]
Action = Literal["show", "warn", "block", "support"]
Channel = Literal["image", "text", "judge"]
ModelKind = Literal["classifier", "detector"]


class Box(NamedTuple):
    """Pixel corners in the decoded frame; `x1` and `y1` are exclusive."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def area(self) -> int:
        """Square pixels."""
        return max(0, self.x1 - self.x0) * max(0, self.y1 - self.y0)


class Record(BaseModel):
    """Immutable, and strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Detection(Record):
    """One thing a model saw: a detector in a box, a classifier in the frame as a whole."""

    label: str
    score: float = Field(ge=0, le=1)
    box: Box | None = None
    """None: the whole frame."""
    frame: int = Field(default=0, ge=0)
    model: str = ""
    """The name of the card of the model that said so."""


class SceneObject(Record):
    """One thing in a scene graph, where it is, and how it is."""

    label: str
    box: Box
    attributes: tuple[str, ...] = ()
    score: float = Field(default=1.0, ge=0, le=1)
    attributes_score: float = Field(default=1.0, ge=0, le=1)
    """Of all of them: a student writes them in another task than the objects."""


class Relation(Record):
    """`subject` does `predicate` to `object`: two objects by their place in the graph."""

    subject: int = Field(ge=0)
    predicate: str
    object: int = Field(ge=0)
    score: float = Field(default=1.0, ge=0, le=1)


class SceneGraph(Record):
    """What is in one frame, how it is, and who does what to whom: SenBen's five tasks (section 2.2 in our notes on it).

    The number of an object, SenBen's suffix `:N`, is its place in `objects`.
    """

    objects: tuple[SceneObject, ...] = ()
    relations: tuple[Relation, ...] = ()
    tags: dict[str, float] = Field(default_factory=dict)
    """Tag -> its probability, or 1.0 for a tag that a person gave."""
    caption: str = ""
    """A student's caption may quote what is written in the picture: *untrusted* text."""
    frame: int = Field(default=0, ge=0)
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
    height: int
    frames: int
    models: tuple[str, ...] = ()
    detections: tuple[Detection, ...] = ()
    graphs: tuple[SceneGraph, ...] = ()


class TextLine(Record):
    """One line of text in a picture, as the OCR read it: *untrusted* text, written by whoever made the picture."""

    text: str
    confidence: float = Field(ge=0, le=1)
    box: Box
    frame: int = Field(default=0, ge=0)


class Evidence(Record):
    """All that Stage 2 reasons over. Nothing but text crosses from Stage 1: no pixel, file name or metadata."""

    findings_text: str
    lines: tuple[TextLine, ...] = ()

    @property
    def ocr_text(self) -> str:
        """The lines in reading order, one a row."""
        return "\n".join(line.text for line in self.lines)


class NotInspected(Record):
    """Something that could not be looked at, and why. A verdict that has one is never `safe`."""

    part: Literal["picture", "frames", "image", "text", "judge"]
    reason: str
    frame: int | None = None

    def __str__(self) -> str:
        return f"{self.part}{'' if self.frame is None else f' of frame {self.frame}'}: {self.reason}"


class Reason(Record):
    """One piece of evidence for one category: a detector's box, a line of text, a judge's answer."""

    category: Category
    channel: Channel
    source: ModelKind | Literal["text", "judge"]
    """Who says so."""
    score: float = Field(ge=0, le=1)
    what: str
    """The model's label, the line of text, or what the judge did."""
    frame: int = 0
    box: Box | None = None
    lowered: float | None = Field(default=None, ge=0, le=1)
    """The score that the judge brought down to `score`; None for every other reason."""

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
        frame = f" in frame {self.frame}" if self.frame else ""
        return f"{self.category.replace('_', ' ')} {self.score:.2f} from {saw}{frame}"


class CategoryScore(Record):
    """One category's scores by channel (None: that channel did not look) and the final one."""

    image: float | None = None
    text: float | None = None
    judge: float | None = None
    final: float
    decided_by: Channel


class Thresholds(Record):
    """From `review` on a person should look; from `block` on the picture is unsafe."""

    review: float = Field(gt=0, le=1)
    block: float = Field(gt=0, le=1)


class Provenance(Record):
    """What a verdict rests on, so that it can be repeated."""

    kidsnanny: str
    policy: str
    models: dict[str, str]
    """Component -> model and revision."""
    thresholds: dict[Category, Thresholds]
    sha256: str | None
    """Of the input's bytes (of its pixels for an array or PIL image); None when it could not be read."""


class Verdict(Record):
    """May a child see this picture, and if not, why?"""

    source: str
    """The path, or `sha256:…` of what was handed over."""
    label: Label
    action: Action
    """`show`; `warn`: hold it back until a grown-up has looked; `block`; or `support`: somebody may need help, so offer
    it (and hide the picture if `unsafe`)."""
    scores: dict[Category, float]
    """Final score of every category that was looked for."""
    detail: dict[Category, CategoryScore]
    reasons: tuple[Reason, ...]
    """What reached its category's `review` threshold, strongest first, and whatever the judge lowered."""
    explanation: str | None = None
    """The judge's sentence for the parents, if it was asked for one and gave one that can be used. Plain text, written
    by a model that has read the picture's text: never markup."""
    findings: VisualFindings | None
    text: tuple[TextLine, ...]
    not_inspected: tuple[NotInspected, ...]
    coverage: dict[Category, tuple[Channel, ...]]
    """Category -> the channels that looked for it in this very picture."""
    timings: dict[str, float]
    provenance: Provenance

    @property
    def not_looked_for(self) -> tuple[Category, ...]:
        """Categories that nothing looked for: no all-clear for these."""
        return tuple(c for c in CATEGORIES if c not in self.coverage)

    def risk(self, categories: tuple[Category, ...] = CATEGORIES) -> float:
        """The largest final score among `categories`, 0..1: the one number an evaluation thresholds.

        Raises:
            ValueError: none of them was looked for, so there is no number to give.
        """
        looked_for = [self.scores[c] for c in categories if c in self.scores]
        if not looked_for:
            raise ValueError(f"{self.source}: none of {', '.join(categories)} was looked for, so it has no risk score.")
        return max(looked_for)

    def __str__(self) -> str:
        """A short paragraph for a parent."""
        strongest = {reason.category: reason for reason in reversed(self.reasons)}
        parts = [f"{self.label.upper()}: {self.source}."]
        if strongest:
            parts.append(f"Found {'; '.join(str(r) for r in sorted(strongest.values(), key=lambda r: -r.score))}.")
        if self.explanation:
            parts.append(f"The judge says: {self.explanation.rstrip('.')}.")
        if self.action == "support":
            parts.append("Somebody may need help: talk with the child.")
        if self.not_inspected:
            parts.append(f"Not inspected: {'; '.join(str(missed).rstrip('.') for missed in self.not_inspected)}.")
        looked = (
            f"for {', '.join(found)} in {where}"
            for channel, where in (("image", "the picture"), ("text", "its text"), ("judge", "both by the judge"))
            if (found := [category for category, by in self.coverage.items() if channel in by])
        )
        missed = f"not for {', '.join(self.not_looked_for)}" if self.not_looked_for else ""
        parts.append(f"Looked {'; '.join(filter(None, (*looked, missed)))}.".replace("_", " "))
        return " ".join(parts)
