"""OpenAI's moderation API through its own client. **It sends the pictures away**: it is asked only if it is named.

A picture is sent as a PNG of its first frame, without name or metadata.
"""

import os
from collections.abc import Sequence

from kidsnanny.errors import ComponentError
from kidsnanny.evaluation.predictions import SystemDescription
from kidsnanny.evaluation.systems.system import HALF, NOT_FOUND, Answer, Baseline, Options, Shown, data_url
from kidsnanny.records import ModelId
from kidsnanny.taxonomy import Category

MODEL = "omni-moderation-latest"
SCORES: dict[Category, str] = {
    "sexual": "sexual",
    "nudity": "sexual",
    "violence": "violence",
    "gore": "violence_graphic",
    "self_harm": "self_harm",
}
"""Ours -> the score that it gives for pictures; its other categories hear text alone."""


def openai_moderation(options: Options) -> Baseline:
    """The API, with the key in OPENAI_API_KEY.

    Raises:
        ComponentError: the client or the key is missing.
    """
    try:
        import openai
    except ImportError as error:
        fix = "run `pip install openai`"
        raise ComponentError(f"openai-moderation: its client cannot be imported ({error}); {fix}.") from error
    if not os.environ.get("OPENAI_API_KEY"):
        raise ComponentError("openai-moderation: there is no key; set OPENAI_API_KEY (the pictures will be sent away).")
    client = openai.OpenAI()

    def look(shown: Sequence[Shown]) -> list[Answer]:
        return [ask(one) for one in shown]

    def ask(one: Shown) -> Answer:
        picture = {"type": "image_url", "image_url": {"url": data_url(one.frame)}}
        answer = client.moderations.create(model=MODEL, input=[picture])
        (result,) = answer.results
        found = [getattr(result.category_scores, SCORES[category]) for category in one.mapped]
        return Answer(min(1.0, max(found)))

    threshold, origin = options.threshold("openai-moderation", HALF, NOT_FOUND)
    about = SystemDescription(
        name="openai-moderation",
        regime="multimodal",
        categories=tuple(SCORES),
        rule="the largest score of its categories that stand for the mapped ones; unsafe from the threshold on",
        licence="a paid or rate-limited service; the pictures are sent to OpenAI",
        threshold=threshold,
        origin=origin,
        models={"api": (ModelId(name=MODEL),)},
    )
    return Baseline(about, look, batch=1)
