"""What the pipeline asks of a judge, and the records of its answers."""

from collections.abc import Sequence
from typing import Protocol

from kidsnanny.records import ModelId, Record
from kidsnanny.stage2.judge.prompt import Question
from kidsnanny.taxonomy import CATEGORIES, Category


class Opinion(Record):
    """What the judge says about one picture."""

    scores: dict[Category, float]
    """P(unsafe), 0..1, calibrated where the model's card says how; 0.0 or 1.0 from a server that gives no
    probabilities."""
    lowers: tuple[Category, ...] = CATEGORIES
    """The categories of which a low score means something; the card of a model that was measured says which."""


class Explanation(Record):
    """Why, in words for a parent. Written by a model that has read what whoever made the picture wrote: plain text."""

    categories: tuple[Category, ...]
    lines: tuple[int, ...]
    """Numbers of the lines that matter, from 1, in the text as the judge was given it."""
    sentence: str


class Judge(Protocol):
    """What the pipeline asks of a judge. It may be asked from several threads at once."""

    categories: tuple[Category, ...]
    """Those about which it answers."""
    in_flight: int
    """How many pictures it is asked about at once."""
    explains: bool
    """Whether it is asked for a sentence about what was flagged."""

    @property
    def model_id(self) -> ModelId:
        """Model, prompt and form of the answer, as they stand in `Verdict.provenance`."""
        ...

    def ask(self, question: Question) -> Opinion:
        """P(unsafe) per category.

        Raises:
            JudgeError: there is no answer that counts as one.
        """
        ...

    def explain(self, question: Question, flagged: Sequence[Category]) -> Explanation:
        """A sentence for the parents on why these categories were flagged.

        Raises:
            JudgeError: there is no answer that counts as one.
        """
        ...
