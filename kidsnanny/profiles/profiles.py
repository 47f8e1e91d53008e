"""Named compositions of Stage 1 and Stage 2. A part that cannot be built is an error, never a weaker profile."""

import os
from collections.abc import Callable
from typing import NamedTuple

from kidsnanny.errors import ComponentError
from kidsnanny.stage1.stage1 import Stage1
from kidsnanny.stage2.stage2 import Stage2


class Profile(NamedTuple):
    """How to build each stage; nothing is loaded until it is called."""

    stage1: Callable[[], Stage1]
    stage2: Callable[[], Stage2]


def _nudenet() -> Stage1:
    from kidsnanny.stage1.detector import Yolo

    return Yolo("nudenet-320n", device="cpu")


def _vit_and_yolo() -> Stage1:
    from kidsnanny.stage1.classifier import Classifier
    from kidsnanny.stage1.detector import Yolo
    from kidsnanny.stage1.ensemble import Ensemble

    return Ensemble(Classifier("marqo-nsfw-384"), Yolo("nudenet-320n"))


def _student() -> Stage1:
    from kidsnanny.stage1.scene_graphs import SceneGraphs, load_student

    return SceneGraphs(load_student(os.environ.get("KIDSNANNY_STUDENT")))


def _embedded_stage2() -> Stage2:
    from kidsnanny.models.cards import cards
    from kidsnanny.stage2.ocr.ppocr import PpOcr
    from kidsnanny.stage2.text_model import TextModel

    return Stage2(PpOcr(), TextModel.load(cards()["kidsnanny-text"].locate().parent))


def _judged_stage2() -> Stage2:
    from kidsnanny.stage2.judge.openai_judge import URL, OpenAIJudge

    # A server that is down is no reason not to start: what it was not asked about is in each verdict.
    judge = OpenAIJudge(os.environ.get("KIDSNANNY_JUDGE_URL", URL), api_key=os.environ.get("KIDSNANNY_JUDGE_KEY"))
    return _embedded_stage2()._replace(judge=judge)


PROFILES: dict[str, Profile] = {
    "embedded": Profile(_nudenet, _embedded_stage2),
    "standard": Profile(_vit_and_yolo, _judged_stage2),
    "senben": Profile(_student, _judged_stage2),
}


DEFAULT = "embedded"


def profile(name: str) -> Profile:
    """The profile of that name.

    Raises:
        ComponentError: there is none.
    """
    if name not in PROFILES:
        raise ComponentError(f"{name}: there is no such profile; choose one of {', '.join(PROFILES)}.")
    return PROFILES[name]
