"""Generated pictures and scripted engines. Nothing is downloaded."""

import io
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from PIL import Image, ImageDraw, ImageFont

from kidsnanny import Pipeline, Stage2
from kidsnanny.media.loader import RGB
from kidsnanny.models.cards import cards
from kidsnanny.records import Box, Detection, ModelId, ModelKind, Signal, TextLine, VisualFindings
from kidsnanny.taxonomy import Category

ROOT = Path(__file__).parent.parent
for name in ("GITHUB_ACTIONS", "FORCE_COLOR", "PY_COLORS"):  # typer takes these for a terminal
    os.environ.pop(name, None)
os.environ["COLUMNS"] = "80"
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background of a script starts with it ignored
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")  # a machine may be busy


def page(*lines: str, size: tuple[int, int] = (640, 480), letters: int = 28) -> Image.Image:
    """Black lines of text on white."""
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    for row, line in enumerate(lines):
        draw.text((20, 20 + row * letters * 1.6), line, fill="black", font=ImageFont.load_default(letters))
    return image


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """The bytes of the picture in that format."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def gradient(width: int = 64, height: int = 48, seed: int = 0) -> Image.Image:
    """A colourful picture without text."""
    corners = np.random.default_rng(seed).integers(0, 256, (3, 3, 3), dtype=np.uint8)
    return Image.fromarray(corners).resize((width, height), Image.Resampling.BICUBIC)


class ScriptedStage1:
    """A Stage 1 that reports nudity with the score that the red of the top-left pixel spells, in 255ths."""

    models = (ModelId(name="scripted-stage1", revision="1"),)
    categories: Mapping[ModelKind, frozenset[Category]] = {"detector": frozenset({"nudity"})}
    reentrant = True

    def screen(self, frames: Sequence[RGB]) -> list[tuple[Detection, ...]]:
        return [
            (Detection(label="BUTTOCKS_EXPOSED", score=frame[0, 0, 0] / 255, box=Box(0, 0, 1, 1)),) for frame in frames
        ]

    def signals(self, findings: VisualFindings) -> list[Signal]:
        return [
            Signal(category="nudity", channel="image", source="detector", score=d.score, what=d.label, frame=d.frame)
            for d in findings.detections
        ]


class ScriptedOcr:
    """An OCR that reads what it is told to, or fails."""

    model_id = ModelId(name="scripted-ocr", revision="1")
    reentrant = True

    def __init__(self, *lines: str, confidence: float = 1.0, fails: Callable[[RGB], bool] = lambda _: False) -> None:
        self.lines, self.confidence, self.fails = lines, confidence, fails
        self.calls = 0

    def read(self, frame: RGB) -> list[TextLine]:
        self.calls += 1
        if self.fails(frame):
            raise RuntimeError("the engine died")
        box = Box(0, 0, frame.shape[1], frame.shape[0] // 2)
        return [TextLine(text=line, confidence=self.confidence, box=box) for line in self.lines]


class ScriptedTextModel:
    """A text model that finds harassment wherever "mean" stands, and does not know words that start with "x"."""

    model_id = ModelId(name="scripted-text", revision="1")
    categories: tuple[Category, ...] = ("harassment", "scam")
    reentrant = True

    def score(self, texts: Sequence[str]) -> np.ndarray:
        return np.array([[0.9 * ("mean" in text), 0.0] for text in texts], np.float32)

    def unknown_languages(self, passages: Sequence[str]) -> list[str | None]:
        said = "text in a language the model does not know"
        return [said if passage.startswith("x") else None for passage in passages]


def scripted(*lines: str, **ocr: object) -> Pipeline:
    """A pipeline of scripted engines."""
    return Pipeline(stage1=ScriptedStage1(), stage2=Stage2(ScriptedOcr(*lines, **ocr), ScriptedTextModel()))


@pytest.fixture(scope="session", autouse=True)
def no_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Whoever runs the tests may have cards and pins of their own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KIDSNANNY_HOME", str(tmp_path_factory.mktemp("home")))
        yield


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home of kidsnanny's for one test, with no cards and no pins; it does not exist yet."""
    monkeypatch.setenv("KIDSNANNY_HOME", str(tmp_path / "home"))
    cards.cache_clear()
    yield tmp_path / "home"
    cards.cache_clear()


@pytest.fixture(scope="session")
def pipeline() -> Pipeline:
    """The real thing: the embedded profile."""
    return Pipeline()
