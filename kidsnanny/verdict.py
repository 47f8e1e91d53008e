"""What a policy makes of an inspection."""

from collections.abc import Iterator, Sequence
from typing import Any, Self

from pydantic import SerializerFunctionWrapHandler, ValidationError, field_serializer, model_validator

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
from kidsnanny.toml_files import first_fault

WEAK = 0.75
"""A recall below this is told to a parent."""
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
    """Those of the policy, of every category that was looked for."""
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
    channel's model finds at this policy's `review` threshold, as its card has it; None if that was not measured.
    Where no text was found, the text's model looked at nothing."""
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
            where, why = first_fault(error)
            raise ValueError(f"It is not the JSON of a verdict: {where}: {why}.") from None

    @property
    def not_looked_for(self) -> tuple[Category, ...]:
        """Categories that nothing looked for: no all-clear for these."""
        return tuple(c for c in CATEGORIES if c not in self.coverage)

    @property
    def not_looked_for_in_picture(self) -> tuple[Category, ...]:
        """Categories that nothing looked for in what the picture shows, though perhaps in its text."""
        return tuple(c for c in CATEGORIES if not {"image", "judge"} & set(self.coverage.get(c, ())))

    @property
    def remarks(self) -> tuple[str, ...]:
        """What else is in the file and changes no label; see `Inspection.remarks`."""
        return self.inspection.remarks

    def risk(self, categories: Sequence[Category] = CATEGORIES) -> float:
        """The largest final score among `categories`, 0..1: the one number an evaluation thresholds.

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
        if self.noted:
            parts.append(f"Noted: {'; '.join(str(one).rstrip('.') for one in self.noted)}.")
        if self.remarks:
            parts.append(f"Also: {'; '.join(self.remarks)}.")
        parts.append(f"Looked {self._looked_for()}.".replace("_", " "))
        return " ".join(parts)

    def _looked_for(self) -> str:
        """What was looked for and where, and what was not."""
        channels = {channel for by in self.coverage.values() for channel in by}
        where = {"image": "the picture", "text": "its text"}
        everything = " and ".join(place for channel, place in where.items() if channel in channels) or "the picture"
        looked = [
            f"for {', '.join(found)} in {place}"
            for channel, place in (*where.items(), ("judge", f"{everything}, by the judge"))
            if (found := [category for category, by in self.coverage.items() if channel in by])
        ]
        read = self.inspection.text_signals
        if "text" not in channels and read and read.looked_for and not self.inspection.lines:
            unread = any(line.confirmed for line in self.inspection.text)
            looked.append(f"for text, and {'could read none of it' if unread else 'found none'}")
        if not looked:
            return "for nothing, because no part of it could be looked at"
        if "image" in channels and self.not_looked_for_in_picture:
            looked.append(f"not in the picture for {', '.join(self.not_looked_for_in_picture)}")
        elif self.not_looked_for:
            looked.append(f"not for {', '.join(self.not_looked_for)}")
        return "; ".join([*looked, *self._weak()])

    def _weak(self) -> Iterator[str]:
        """Where much of what is harmful in the text is missed."""
        weak: dict[int, list[str]] = {}
        for category, by in self.coverage.items():
            if (recall := by.get("text")) is not None and recall < WEAK:
                weak.setdefault(round(10 * recall), []).append(category)
        if weak:
            shares = (f"{tenths} in 10 of {', '.join(categories)}" for tenths, categories in sorted(weak.items()))
            yield f"of harmful texts it finds about {'; '.join(shares)}"
