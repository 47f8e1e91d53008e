"""The built-in engines as a profile names them: `model` is a weight card or a file, the rest are options.

A profile is a file that somebody wrote by hand, so that `validate_call` checks each argument's name and value.
"""

import os
from pathlib import Path

from pydantic import validate_call

from kidsnanny.models.cards import Card, TextCard, find_card
from kidsnanny.models.runtime import Device, Precision
from kidsnanny.records import ModelId
from kidsnanny.stage1.classifier import Classifier
from kidsnanny.stage1.detector import Yolo
from kidsnanny.stage1.probe import Probe
from kidsnanny.stage1.scene_graphs import SceneGraphs, load_student
from kidsnanny.stage2.judge.openai_judge import URL, OpenAIJudge
from kidsnanny.stage2.ocr.paddle import PaddleOcr
from kidsnanny.stage2.text_encoder import TextEncoder
from kidsnanny.taxonomy import CATEGORIES, Category


@validate_call
def classifier(*, model: Card | str, device: Device = "auto", precision: Precision = "auto") -> Classifier:
    """A classifier by its card; `device` and `precision` as in `Classifier`."""
    return Classifier(model, device=device, precision=precision)


@validate_call
def detector(*, model: Card | str, device: Device = "auto") -> Yolo:
    """A YOLO by its card; `device` as in `Yolo`."""
    return Yolo(model, device=device)


@validate_call
def probe(*, model: Card | str, device: Device = "auto", precision: Precision = "auto") -> Probe:
    """A probe by its card; `device` and `precision` as in `Probe`."""
    return Probe(model, device=device, precision=precision)


@validate_call
def student(*, model: str | None = None, describe_above: float = 0.0) -> SceneGraphs:
    """A SenBen student by card, folder or ONNX file; `model` is $KIDSNANNY_STUDENT by default."""
    return SceneGraphs(load_student(model or os.environ.get("KIDSNANNY_STUDENT")), describe_above=describe_above)


@validate_call
def paddle(*, lang: str = "en", models: Path | None = None, download: bool = False, timeout: float = 60) -> PaddleOcr:
    """PaddleOCR in a process of its own; the options are those of `PaddleOcr`."""
    return PaddleOcr(lang, models=models, download=download, timeout=timeout)


@validate_call
def encoder(*, model: str = "kidsnanny-text") -> TextEncoder:
    """Our own text model by its card."""
    card = find_card(model, TextCard)
    return TextEncoder.load(card.locate(), ModelId(name=card.name, revision=(card.sha256 or "")[:12]))


@validate_call
def openai(
    *,
    url: str | None = None,
    api_key: str | None = None,
    model: str | None = None,
    categories: tuple[Category, ...] = CATEGORIES,
    timeout: float = 20.0,
    in_flight: int = 16,
    explains: bool = True,
) -> OpenAIJudge:
    """A judge behind an OpenAI-compatible server; $KIDSNANNY_JUDGE_URL and $KIDSNANNY_JUDGE_KEY are the defaults. A
    server that is down is no reason not to start: what it was not asked about is named in each verdict."""
    return OpenAIJudge(
        url or os.environ.get("KIDSNANNY_JUDGE_URL", URL),
        model,
        api_key=api_key or os.environ.get("KIDSNANNY_JUDGE_KEY"),
        categories=categories,
        timeout=timeout,
        in_flight=in_flight,
        explains=explains,
    )
