"""Systems that differ from ours in what becomes of a picture's text: it is given and not read, or a list of words
judges it and not our model."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from importlib.metadata import version
from typing import cast

import numpy as np
import numpy.typing as npt

from kidsnanny.errors import ComponentError
from kidsnanny.evaluation.datasets import sha256_of
from kidsnanny.evaluation.predictions import Example, Prediction, SystemDescription
from kidsnanny.evaluation.systems.pipelines import PipelineSystem, describe, embedded_with
from kidsnanny.evaluation.systems.system import Options
from kidsnanny.inspection import Inspection
from kidsnanny.pipeline import Pipeline
from kidsnanny.records import ModelId, NotInspected
from kidsnanny.stage2.stage2 import Stage2
from kidsnanny.taxonomy import Category

UNKNOWN = "the data set does not say what is written in it"
REMEMBERED = 4_096
"""Texts whose answer the list of words need not be asked for again: our scoring asks once for each category."""


class TextGiven(PipelineSystem):
    """Our text model on what a person says is written in a picture, which is never opened: the ceiling for whatever
    reads the picture first.

    A text is judged once in a run, however many pictures show it. A picture in which nothing is written scores 0; one
    of which the data set does not say is unscored.
    """

    def __init__(self, pipeline: Pipeline, about: SystemDescription) -> None:
        super().__init__(pipeline, (about,))
        self._channels.pop("image")
        self._unknown = Inspection(
            source=about.name,
            not_inspected=(NotInspected(part="picture", reason=UNKNOWN),),
            models=about.models,
        )

    def predict(self, examples: Iterable[Example]) -> Iterator[tuple[Prediction, ...]]:
        """See `System`."""
        known: dict[str | None, Inspection] = {None: self._unknown}
        for example in examples:
            text = example.text
            if text not in known:
                known[text] = self._inspected(cast("str", text))
            found = self._prediction(example, self.rows[0], known[text])
            yield (found.model_copy(update={"sha256": sha256_of(example.image)}),)

    def timed_calls(self) -> dict[str, Callable[[Example], object]]:
        """See `System`."""
        return {self.rows[0].name: lambda example: list(self.predict([example]))}

    def _inspected(self, text: str) -> Inspection:
        """A message without words is not inspected; a picture without words is one to which its text does nothing."""
        inspection = self._pipeline.check_text(text).inspection
        missed = tuple(one for one in inspection.not_inspected if one.cause != "empty")
        return inspection.model_copy(update={"not_inspected": missed})


def text_given(options: Options) -> TextGiven:
    """The text model of the embedded profile.

    Raises:
        ComponentError: a part of the profile is missing.
    """
    pipeline = Pipeline("embedded", policy=options.policy)
    text_model = cast("Stage2", pipeline.stage2).text_model
    about = describe(
        "text-given",
        options.policy,
        options,
        rule="our text model's largest final score of the mapped categories, of the text that the data set says is "
        "written in the picture; unsafe from the threshold on",
        categories=text_model.categories,
        models={"text_model": (text_model.model_id,)},
    )
    return TextGiven(pipeline, about)


class WordList:
    """The better-profanity package in place of a text model: 1 for a text that holds a word of its list or a spelling
    of one, else 0, for every category alike. It knows no languages, so no text is in an unknown one.

    Args:
        categories: what it is taken to score.

    Raises:
        ComponentError: the package is missing.
    """

    reentrant = True

    def __init__(self, categories: Sequence[Category]) -> None:
        try:
            from better_profanity import Profanity
        except ImportError as error:
            fix = "run `pip install 'kidsnanny[eval]'`"
            raise ComponentError(f"keywords: better-profanity cannot be imported ({error}); {fix}.") from error
        self.categories = tuple(categories)
        self.model_id = ModelId(name="better-profanity", revision=version("better-profanity"))
        self._holds: Callable[[str], bool] = lru_cache(REMEMBERED)(Profanity().contains_profanity)

    def score(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """(len(texts), len(categories)): each row is all 0 or all 1."""
        found = np.array([self._holds(text) for text in texts], np.float32)
        return np.repeat(found[:, None], len(self.categories), axis=1)

    def unknown_languages(self, passages: Sequence[str]) -> list[str | None]:
        """None of each."""
        return [None] * len(passages)


def keywords(options: Options) -> PipelineSystem:
    """The embedded pipeline, OCR and all, with the list of words in place of our text model.

    Raises:
        ComponentError: the package, or a part of the embedded profile, is missing.
    """

    def change(stage2: Stage2) -> Stage2:
        return stage2._replace(text_model=WordList(stage2.text_model.categories))

    return embedded_with("keywords", options, change)
