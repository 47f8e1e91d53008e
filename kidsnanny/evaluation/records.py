"""What goes into an evaluation and what comes out: an example with its label, and what one system made of it."""

from pathlib import Path
from typing import NamedTuple

from pydantic import Field

from kidsnanny.records import CategoryScore, Channel, Label, NotInspected, Reason, Record
from kidsnanny.taxonomy import Category


class Example(NamedTuple):
    """One labelled picture of a data set."""

    id: str
    """Unique in the data set."""
    image: bytes | Path
    """As it lies in the data set: broken ones, too."""
    unsafe: bool
    category: str
    """The data set's own name for it, like `Sexual`; of a safe picture it is what was searched for."""
    source: str
    """Where it comes from, like `Laion5B` or `Lexica`; empty if the data set does not say."""
    split: str


class Prediction(Record):
    """What one system made of one example: a line of the JSONL, and enough to replay the decision."""

    id: str
    system: str
    unsafe: bool
    """The label of the data set."""
    category: str
    source: str
    score: float | None = Field(default=None, ge=0, le=1)
    """How unsafe the system thinks it is, among the mapped categories; None: unscored, never a guess."""
    threshold: float = Field(gt=0, le=1)
    """The operating point: from it on, the system says unsafe."""
    unscored: str | None = None
    """Why there is no score."""
    label: Label | None = None
    """Of our own systems: what the policy made of it, over all categories."""
    detail: dict[Category, CategoryScore] = Field(default_factory=dict)
    decided_by: Channel | None = None
    """Whose word the score is."""
    reasons: tuple[Reason, ...] = ()
    not_inspected: tuple[NotInspected, ...] = ()
    answer: str | None = None
    """A language model's own words, if it answers in words."""
    timings: dict[str, float] = Field(default_factory=dict)
    """Stage -> milliseconds."""
    models: dict[str, str] = Field(default_factory=dict)
    policy: str | None = None
