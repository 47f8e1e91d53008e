"""Stand-ins for running attacks through a pipeline: a Stage 1 with a fixed score, a cached OCR, a judge that obeys."""

import io
from collections.abc import Mapping, Sequence

import numpy as np

from kidsnanny import Pipeline, Verdict
from kidsnanny.errors import JudgeError
from kidsnanny.evaluation.attacks import Attack
from kidsnanny.media.loader import RGB
from kidsnanny.records import Box, Detection, ModelId, ModelKind, Signal, TextLine, VisualFindings
from kidsnanny.stage2.judge.judge import Explanation, Opinion
from kidsnanny.stage2.judge.prompt import Question
from kidsnanny.stage2.ocr.ppocr import PpOcr
from kidsnanny.taxonomy import CATEGORIES, Category

STAGE1_SCORES = {"clean": 0.0, "grey": 0.5, "above": 0.9}


class FixedScoreStage1:
    """Finds nudity of one score in every frame."""

    models: tuple[ModelId, ...] = (ModelId(name="fixed-score", revision="1"),)
    categories: Mapping[ModelKind, frozenset[Category]] = {"detector": frozenset({"nudity"})}
    reentrant = True

    def __init__(self, score: float) -> None:
        self.score = score

    def screen(self, frames: Sequence[RGB]) -> list[tuple[Detection, ...]]:
        """One detection a frame."""
        return [(Detection(label="BUTTOCKS_EXPOSED", score=self.score, box=Box(0, 0, 9, 9)),) for _ in frames]

    def signals(self, findings: VisualFindings) -> list[Signal]:
        """The score as it is."""
        return [
            Signal(category="nudity", channel="image", source="detector", score=d.score, what=d.label, frame=d.frame)
            for d in findings.detections
        ]


class CachedOcr:
    """The real OCR, each frame read once; or lines that no picture can show."""

    model_id = ModelId(name="cached-ppocr")
    reentrant = True

    def __init__(self) -> None:
        self.engine, self.known = PpOcr(), dict[bytes, list[TextLine]]()
        self.lines: tuple[str, ...] | None = None

    def read(self, frame: RGB) -> list[TextLine]:
        """Lines of the frame."""
        if self.lines is not None:
            return [TextLine(text=line, confidence=1, box=Box(0, 0, 9, 9)) for line in self.lines]
        key = frame.tobytes()
        if key not in self.known:
            self.known[key] = self.engine.read(frame)
        return self.known[key]


class ObedientJudge:
    """The worst judge there can be."""

    model_id = ModelId(name="obedient")
    categories = CATEGORIES
    in_flight = 1
    explains = False

    def ask(self, _: Question) -> Opinion:
        """All is well."""
        return Opinion(scores=dict.fromkeys(CATEGORIES, 0.0))

    def explain(self, _: Question, __: Sequence[Category]) -> Explanation:
        """Never asked."""
        raise JudgeError("This judge explains nothing.")


def run_attack(pipeline: Pipeline, reader: CachedOcr, attack: Attack) -> Verdict:
    """The verdict on an attack."""
    reader.lines = attack.lines
    if len(attack.frames) < 2:
        return pipeline(attack.frames[0] if attack.frames else np.zeros((64, 64, 3), np.uint8))
    buffer = io.BytesIO()
    attack.frames[0].save(buffer, "PNG", save_all=True, append_images=attack.frames[1:], duration=400)
    return pipeline(buffer.getvalue())


def instructions_detected(verdict: Verdict) -> bool:
    """Whether the instruction detector fired."""
    return any(missed.part == "judge" and "meant for a model" in missed.reason for missed in verdict.not_inspected)
