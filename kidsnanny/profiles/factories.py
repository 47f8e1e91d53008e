"""The built-in engines as a profile names them: `model` is a weight card or a file, the rest are options."""

import os
from typing import Any

from kidsnanny.models.cards import cards
from kidsnanny.stage1.classifier import Classifier
from kidsnanny.stage1.detector import Yolo
from kidsnanny.stage1.scene_graphs import SceneGraphs, load_student
from kidsnanny.stage2.judge.openai_judge import URL, OpenAIJudge
from kidsnanny.stage2.text_model import TextModel


def classifier(model: str, **options: Any) -> Classifier:
    """A classifier by its card; `device` and `precision` as in `Classifier`."""
    return Classifier(model, **options)


def detector(model: str, **options: Any) -> Yolo:
    """A YOLO by its card; `device` as in `Yolo`."""
    return Yolo(model, **options)


def student(model: str | None = None, **options: Any) -> SceneGraphs:
    """A SenBen student by card, folder or ONNX file; `model` is $KIDSNANNY_STUDENT by default."""
    return SceneGraphs(load_student(model or os.environ.get("KIDSNANNY_STUDENT")), **options)


def ngram(model: str = "kidsnanny-text") -> TextModel:
    """Our own text model by its card."""
    return TextModel.load(cards()[model].locate().parent)


def openai(url: str | None = None, api_key: str | None = None, **options: Any) -> OpenAIJudge:
    """A judge behind an OpenAI-compatible server; $KIDSNANNY_JUDGE_URL and $KIDSNANNY_JUDGE_KEY are the defaults. A
    server that is down is no reason not to start: what it was not asked about is named in each verdict."""
    url = url or os.environ.get("KIDSNANNY_JUDGE_URL", URL)
    return OpenAIJudge(url, api_key=api_key or os.environ.get("KIDSNANNY_JUDGE_KEY"), **options)
