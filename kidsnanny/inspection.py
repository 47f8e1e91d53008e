"""What was seen and read in one picture, whatever the policy; `kidsnanny.decision` says what it means for a child."""

import hashlib
from collections.abc import Iterable
from typing import Self

from pydantic import Field

from kidsnanny.records import ModelId, ModelKind, NotInspected, Record, Signal, TextLine, VisualFindings
from kidsnanny.taxonomy import CATEGORIES, Category

MIN_CONFIDENCE = 0.4
"""An OCR line with a lower confidence is no text: a row of coins, a cat's whiskers."""


class Media(Record):
    """Facts about the file or the pixels that were handed over."""

    sha256: str
    """Of the file's bytes, or of the pixels of an array or PIL image."""
    format: str | None
    """`JPEG`, `PNG`, …; None for pixels that somebody else decoded."""
    width: int
    """Of the largest frame, in pixels, with the EXIF orientation applied; 0 if no frame was decoded."""
    height: int
    """Of the largest frame, in pixels, with the EXIF orientation applied; 0 if no frame was decoded."""
    frames: int
    """How many frames were decoded."""


class ChannelSignals(Record):
    """What the models of one channel say, before any threshold."""

    looked_for: dict[ModelKind, tuple[Category, ...]]
    """Kind of model -> the categories that it looked for. A category without a signal was looked for and not found."""
    signals: tuple[Signal, ...] = ()
    """All that they found, of every frame."""
    recall: dict[Category, tuple[tuple[float, float], ...]] = Field(default_factory=dict)
    """Rising thresholds, and the share of what is harmful that scores at least as much, as the model's card has it; a
    category that is not here was not measured."""
    not_inspected: tuple[NotInspected, ...] = ()
    """What these models could not judge."""


class JudgeOpinion(Record):
    """What the judge answered to one question, or why it did not."""

    model: ModelId
    """The one that was asked."""
    ages: str
    """The age group that was asked about, like `10-12`: the one part of the question that comes from a policy."""
    question: str
    """sha256 of everything that the judge was given to read: ages, findings and lines."""
    scores: dict[Category, float] = Field(default_factory=dict)
    """P(unsafe) per category, 0..1; empty if there is no answer."""
    lowers: tuple[Category, ...] = CATEGORIES
    """The categories of which a low score means something, so that it may lower another's, as the policy allows."""
    error: str | None = None
    """Why there is no answer."""
    explained: tuple[Category, ...] = ()
    """The flagged categories about which it was asked for a sentence."""
    explanation: str | None = None
    """That sentence, for the parents. Plain text, written by a model that has read the picture's text: never markup."""


class TextForJudge(Record):
    """What limits the judge's authority over a picture with text."""

    addressed_to_model: str | None = None
    """What in the text looks as if it was written for a language model."""
    cut: str | None = None
    """What of the text is past the caps of the judge's prompt."""


class Inspection(Record):
    """Everything that was seen and read about one source: `decide(inspection, policy)` needs nothing else.

    It holds raw scores by channel, kind of model and frame, and no thresholds, so that one inspection serves any number
    of policies, now and later: it survives `Inspection.model_validate_json(inspection.model_dump_json())` unchanged.
    """

    source: str
    """The path, or `sha256:…` of what was handed over."""
    key: str | None = None
    """Digest of everything that the inspection depends on: pixels, how they are to be read, models and settings. None
    if the source could not be opened."""
    media: Media | None = None
    """None if the source could not be opened."""
    findings: VisualFindings | None = None
    """What Stage 1 saw; None if it saw no frame."""
    findings_text: str = ""
    """The findings written down, as Stage 2 reads them."""
    text: tuple[TextLine, ...] = ()
    """Every line that the OCR found, however uncertain. *Untrusted* text."""
    min_confidence: float = MIN_CONFIDENCE
    """A line with a lower OCR confidence than this is taken for noise, 0..1: no model judges it."""
    image_signals: ChannelSignals | None = None
    """Stage 1's; None if it saw no frame."""
    text_signals: ChannelSignals | None = None
    """The text model's; None if there is none, or if no frame was read."""
    judge: ModelId | None = None
    """The judge that may be asked; None if there is none."""
    opinions: tuple[JudgeOpinion, ...] = ()
    """One per age group that the judge was asked about."""
    text_for_judge: TextForJudge = TextForJudge()
    """What the text does to the judge's authority."""
    not_inspected: tuple[NotInspected, ...] = ()
    """What could not be looked at, whatever the policy. The signals have their own."""
    remarks: tuple[str, ...] = ()
    """What else is in the file and changes no label: which frames are thumbnails or further pictures, and data that no
    viewer shows as a picture, such as a motion photo's video."""
    models: dict[str, tuple[ModelId, ...]] = Field(default_factory=dict)
    """Part of the pipeline (`stage1`, `ocr`, `text_model`, `judge`) -> its models."""
    timings: dict[str, float] = Field(default_factory=dict)
    """Stage -> milliseconds."""
    kidsnanny: str = ""
    """The version that made it."""

    @property
    def lines(self) -> tuple[TextLine, ...]:
        """The lines that were read, and are not noise."""
        return legible(self.text, self.min_confidence)

    def question(self, ages: str) -> str:
        """The identity of what a judge reads when it is asked about this picture and an age group (`Policy.ages`)."""
        read = "\n".join((ages, self.findings_text, *(line.quoted for line in self.lines)))
        return hashlib.sha256(read.encode()).hexdigest()

    def opinion(self, ages: str) -> JudgeOpinion | None:
        """What the judge answered about an age group, these findings and this text; None if it was not asked."""
        asked = self.question(ages) if self.opinions else ""
        return next((opinion for opinion in self.opinions if opinion.ages == ages and opinion.question == asked), None)

    def with_opinion(self, opinion: JudgeOpinion, **timings: float) -> Self:
        """The inspection with an opinion in place of a former one about the same age group, and the milliseconds of
        further stages in its `timings`."""
        others = tuple(other for other in self.opinions if other.ages != opinion.ages)
        update = {
            "opinions": (*others, opinion),
            "judge": opinion.model,
            "models": self.models | {"judge": (opinion.model,)},
            "timings": self.timings | timings,
        }
        return self.model_copy(update=update)

    def vision_only(self) -> Self:
        """What Stage 1 alone would have left: the paper's *vision-only* regime (arXiv 2603.16181)."""
        update: dict[str, object] = {
            "text": (),
            "text_signals": None,
            "judge": None,
            "opinions": (),
            "text_for_judge": TextForJudge(),
            "not_inspected": tuple(m for m in self.not_inspected if m.part not in ("text", "judge")),
            "models": {part: models for part, models in self.models.items() if part == "stage1"},
            "timings": {stage: ms for stage, ms in self.timings.items() if stage in ("decode", "stage1")},
        }
        return self.model_copy(update=update)


def legible(lines: Iterable[TextLine], min_confidence: float) -> tuple[TextLine, ...]:
    """The lines that have text, read with at least this confidence."""
    return tuple(line for line in lines if line.text.strip() and line.confidence >= min_confidence)
