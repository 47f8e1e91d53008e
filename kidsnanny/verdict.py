"""What a policy makes of an inspection."""

from collections.abc import Sequence
from typing import Any, Self

from pydantic import SerializerFunctionWrapHandler, ValidationError, computed_field, field_serializer, model_validator

from kidsnanny import coverage as covered
from kidsnanny.faults import first_fault
from kidsnanny.inspection import Inspection
from kidsnanny.records import (
    Action,
    Channel,
    Label,
    ModelId,
    NotInspected,
    Reason,
    Record,
    TextLine,
    Thresholds,
    VisualFindings,
)
from kidsnanny.taxonomy import CATEGORIES, Category

SHARED = ("source", "findings", "text", "timings")
"""Fields of the inspection that the verdict has as well; its JSON holds them once, in the verdict."""


class CategoryScore(Record):
    """One category's scores by channel (None: that channel did not look) and the final one."""

    image: float | None = None
    """0..1, of Stage 1."""
    text: float | None = None
    """0..1, of the text model."""
    judge: float | None = None
    """0..1, of the judge."""
    final: float
    """0..1: what is compared with the thresholds."""
    decided_by: Channel
    """The channel whose score is the final one."""


class Provenance(Record):
    """What a verdict rests on, so that it can be repeated."""

    kidsnanny: str
    """The version that looked at the picture."""
    policy: str
    """`Policy.version`: its name and a digest of its content."""
    models: dict[str, tuple[ModelId, ...]]
    """Part of the pipeline -> its models."""
    thresholds: dict[Category, Thresholds]
    """Of the categories that were looked for and are not ignored."""
    sha256: str | None
    """Of the input's bytes (of its pixels for an array or PIL image); None when it could not be read."""


class Verdict(Record):
    """May a child see this picture, and if not, why?"""

    source: str
    """The path, or `sha256:…` of what was handed over."""
    label: Label
    """`safe`: all of it was looked at, and nothing reached a threshold; `review`: a person should look first;
    `unsafe`."""
    action: Action
    """`show`; `warn`: hold it back until a grown-up has looked; `block`; or `support`: somebody may need help, so offer
    it (and hide the picture if `unsafe`)."""
    scores: dict[Category, float]
    """Final score, 0..1, of every category that some model looks for; one that looks in texts says 0 where there is
    none."""
    detail: dict[Category, CategoryScore]
    """Scores by channel of every category in `scores`."""
    reasons: tuple[Reason, ...]
    """What reached its category's `review` threshold, strongest first, and whatever the judge lowered."""
    explanation: str | None = None
    """The judge's sentence for the parents, if it was asked for one and gave one that can be used. Plain text, written
    by a model that has read the picture's text: never markup."""
    findings: VisualFindings | None
    """What Stage 1 saw; None if it saw no frame."""
    text: tuple[TextLine, ...]
    """Every line that the OCR found. *Untrusted* text, written by whoever made the picture."""
    not_inspected: tuple[NotInspected, ...]
    """What could not be looked at: with one of these the label is not `safe`."""
    noted: tuple[NotInspected, ...] = ()
    """What could not be looked at and is too little for a message, so that the label is as if it were not there; a
    policy with `minor = "review"` has it among `not_inspected`."""
    coverage: dict[Category, dict[Channel, float | None]]
    """Category -> the channels that looked for it in this very picture -> the share of what is harmful that the
    channel's model finds at this policy's `review` threshold, as its card has it; None if that was not measured, or if
    the policy ignores the category. Where no text was found, the text's model looked at nothing."""
    ignored: tuple[Category, ...] = ()
    """Categories that the policy ignores: their scores are here, and changed nothing."""
    timings: dict[str, float]
    """Stage -> milliseconds."""
    provenance: Provenance
    """Policy, models, thresholds and the input's hash."""
    inspection: Inspection
    """What was seen, whatever the policy: `decide(verdict.inspection, other_policy)` needs no model."""

    @field_serializer("inspection", mode="wrap")
    def _once(self, inspection: Inspection, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """The verdict's JSON has the fields that both share once, in the verdict."""
        return {name: value for name, value in serialize(inspection).items() if name not in SHARED}

    @model_validator(mode="before")
    @classmethod
    def _whole(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(inspection := data.get("inspection"), dict):
            data = {name: value for name, value in data.items() if name not in cls.model_computed_fields}
            return data | {"inspection": {name: data.get(name) for name in SHARED} | inspection}
        return data

    @classmethod
    def from_json(cls, text: str | bytes) -> Self:
        """Read back what `model_dump_json` wrote.

        Raises:
            ValueError: it is not the JSON of a verdict.
        """
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            where, why = first_fault(error)  # without the value, which may be what the picture says
            expected = f"expected {why.rpartition(', expected ')[2]}" if ", expected " in why else why
            fault = f"{where}: {expected}" if where else expected
            raise ValueError(f"It is not the JSON of a verdict: {fault}.") from None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def not_looked_for(self) -> tuple[Category, ...]:
        """Categories that nothing looked for: no all-clear for these."""
        return covered.not_looked_for(self.coverage)

    @property
    def not_looked_for_in_picture(self) -> tuple[Category, ...]:
        """Categories that nothing looked for in what the picture shows, though perhaps in its text."""
        return covered.not_looked_for(self.coverage, in_picture=True)

    @property
    def coverage_text(self) -> str:
        """One sentence: what was looked for in this very picture or text, where, and what was not."""
        return covered.in_full(self)

    @property
    def remarks(self) -> tuple[str, ...]:
        """What else is in the file and changes no label; see `Inspection.remarks`."""
        return self.inspection.remarks

    def risk(self, categories: Sequence[Category] = CATEGORIES) -> float:
        """The largest final score among `categories`, ignored or not, 0..1: the one number an evaluation thresholds.

        Raises:
            TypeError: `categories` is a str.
            ValueError: none of them was looked for, so there is no number to give.
        """
        if isinstance(categories, str):
            raise TypeError(f"categories is the str {categories!r}; expected a tuple, such as ({categories!r},).")
        looked_for = [self.scores[c] for c in categories if c in self.scores]
        if not looked_for:
            raise ValueError(f"{self.source}: none of {', '.join(categories)} was looked for, so it has no risk score.")
        return max(looked_for)

    def for_parent(self, language: str = "en") -> str:
        """One to four plain sentences without scores and names of models: what was found, where and how surely, what
        could not be looked at, and what to do. A line of the text is quoted without addresses, numbers and user names.

        Args:
            language: of the sentences, such as `de` or `de-AT`; see `kidsnanny.for_parents.LANGUAGES`.

        Raises:
            TypeError: `language` is no str.
            ValueError: there are no sentences in this language.
        """
        from kidsnanny.for_parents import told

        if not isinstance(language, str):
            raise TypeError(f"language is a {type(language).__name__}; expected a str, such as 'de'.")
        return " ".join(told(self, language))

    def __str__(self) -> str:
        """A short paragraph on one line: the label, why, what was not inspected, and what nothing looked for."""
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
        if self.noted:
            parts.append(f"Noted: {'; '.join(str(one).rstrip('.') for one in self.noted)}.")
        if self.remarks:
            parts.append(f"Also: {'; '.join(self.remarks)}.")
        if self.ignored:
            parts.append(f"Ignored by this policy: {', '.join(self.ignored)}.".replace("_", " "))
        return " ".join(filter(None, (*parts, covered.in_short(self))))
