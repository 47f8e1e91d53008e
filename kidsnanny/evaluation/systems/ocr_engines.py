"""Other engines that read a picture's text: our embedded pipeline with one of them in place of our own OCR.

What differs between such a row and `embedded:multimodal` is then the reading alone. Each is used as it is when it is
installed, with no option of ours.
"""

import math
from collections.abc import Callable, Iterable
from importlib.metadata import version
from itertools import groupby
from typing import Any

import numpy as np

from kidsnanny.budget import leave_out, out_of_time, seconds_left
from kidsnanny.errors import ComponentError
from kidsnanny.evaluation.systems.pipelines import PipelineSystem, embedded_with
from kidsnanny.evaluation.systems.system import Options
from kidsnanny.media.loader import RGB
from kidsnanny.models.cards import cards
from kidsnanny.records import Box, ModelId, TextLine
from kidsnanny.stage2.ocr.ocr import MIN_SIDE, Ocr, prove
from kidsnanny.stage2.ocr.paddle import PaddleOcr
from kidsnanny.stage2.text_blocks import reading_order

NOT_READ = "none of the frame's text was read"


class RapidOcr:
    """RapidOCR with its defaults, which use the weights in its wheel. It leaves out what it doubts by its own rule (a
    confidence below 0.5), so that no line of it says "something is written here that cannot be read".

    Raises:
        WeightsError: the weights in its wheel are missing, or not those of the cards.
        ComponentError: it cannot be imported or started, or does not read a generated "HELLO 123".
    """

    reentrant = False

    def __init__(self) -> None:
        detector, recogniser = (cards()[name].locate() for name in ("ppocrv6-small-det", "ppocrv6-small-rec"))
        try:
            from rapidocr import RapidOCR

            self.model_id = ModelId(name="rapidocr", revision=version("rapidocr"))
            weights = {  # by their paths: it downloads those that it does not find by itself
                "Det.model_path": str(detector),
                "Rec.model_path": str(recogniser),
                "Cls.model_path": str(detector.with_name("ch_ppocr_mobile_v2.0_cls_mobile.onnx")),
            }
            self._engine: Any = RapidOCR(params={**weights, "Global.log_level": "critical"})
            prove(self)
        except (ImportError, OSError, ValueError) as error:
            fix = "run `pip install --force-reinstall rapidocr`"
            raise ComponentError(f"rapidocr: it does not start ({error}); {fix}.") from error

    def read(self, frame: RGB) -> list[TextLine]:
        """Every line that it returns of an (H, W, 3) uint8 RGB frame, in reading order; see `Ocr.read`. It cannot stop
        half-way: when the picture's budget is used up, it is not asked."""
        if min(frame.shape[:2]) < MIN_SIDE:
            return []
        if out_of_time():
            leave_out(NOT_READ)
            return []
        found = self._engine(np.ascontiguousarray(frame[:, :, ::-1]))  # it wants BGR
        if found.txts is None:
            return []
        return reading_order([_line(*one) for one in zip(found.txts, found.scores, found.boxes, strict=True)])


class TesseractOcr:
    """The Tesseract of the operating system through pytesseract: English, and its own way of cutting a page up. While
    it reads a frame, that lies in a temporary folder.

    Raises:
        ComponentError: the package or the program is missing, or it does not read a generated "HELLO 123".
    """

    reentrant = True

    def __init__(self) -> None:
        try:
            import pytesseract
        except ImportError as error:
            fix = "run `pip install 'kidsnanny[eval]'`"
            raise ComponentError(f"tesseract: pytesseract cannot be imported ({error}); {fix}.") from error
        self._package = pytesseract
        try:
            found = pytesseract.get_tesseract_version()
        except (pytesseract.TesseractNotFoundError, SystemExit) as error:
            fix = "install it, on Debian with `apt install tesseract-ocr`"
            why = "there is no program `tesseract` on the path, or none that says its version"
            raise ComponentError(f"tesseract: {why}; {fix}.") from error
        self.model_id = ModelId(name="tesseract-eng", revision=str(found))
        try:
            prove(self)
        except pytesseract.TesseractError as error:
            fix = "install its English data, on Debian with `apt install tesseract-ocr-eng`"
            raise ComponentError(f"tesseract: it does not read ({error.message}); {fix}.") from error

    def read(self, frame: RGB) -> list[TextLine]:
        """Every line that it finds in an (H, W, 3) uint8 RGB frame, in reading order; see `Ocr.read`. The confidence
        of a line is the mean of its words'. It is stopped when the picture's budget is used up.

        Raises:
            RuntimeError: it failed.
        """
        if min(frame.shape[:2]) < MIN_SIDE:
            return []
        left = seconds_left()
        if not left:
            leave_out(NOT_READ)
            return []
        wanted = {"output_type": self._package.Output.DICT, "timeout": left if math.isfinite(left) else 0}
        try:
            table = self._package.image_to_data(np.ascontiguousarray(frame), lang="eng", **wanted)
        except RuntimeError:
            if not out_of_time():
                raise
            leave_out(NOT_READ)
            return []
        return reading_order(lines_of(table))


def lines_of(table: dict[str, list[Any]]) -> list[TextLine]:
    """The lines of Tesseract's table of words, in its own order.

    Args:
        table: column -> its values, as pytesseract's `Output.DICT` has them; a row without text is no word.
    """
    rows = [dict(zip(table, values, strict=True)) for values in zip(*table.values(), strict=True)]
    words = (row for row in rows if str(row["text"]).strip())
    by_line = groupby(words, lambda row: (row["block_num"], row["par_num"], row["line_num"]))
    return [_joined(list(of_line)) for _, of_line in by_line]


def _joined(words: list[dict[str, Any]]) -> TextLine:
    corners = [(w["left"], w["top"], w["left"] + w["width"], w["top"] + w["height"]) for w in words]
    x0, y0, x1, y1 = zip(*corners, strict=True)
    sure = sum(max(0.0, float(word["conf"])) for word in words) / len(words) / 100
    text = " ".join(str(word["text"]).strip() for word in words)
    return TextLine(text=text, confidence=min(1.0, sure), box=Box(min(x0), min(y0), max(x1), max(y1)))


def _line(text: str, sure: float, quad: Iterable[Iterable[float]]) -> TextLine:
    """Of the four corners of a line, clockwise."""
    corners = np.asarray(quad)
    sides = np.linalg.norm(corners - np.roll(corners, 1, axis=0), axis=1)
    box = Box(*np.floor(corners.min(0)).astype(int).tolist(), *np.ceil(corners.max(0)).astype(int).tolist())
    aspect = float(sides.max() / max(1.0, sides.min()))
    return TextLine(text=text, confidence=min(1.0, float(sure)), box=box, aspect=aspect)


ENGINES: dict[str, Callable[[], Ocr]] = {"rapidocr": RapidOcr, "tesseract": TesseractOcr, "paddleocr": PaddleOcr}
"""System -> the engine that it reads with."""


def read_by(name: str, options: Options) -> PipelineSystem:
    """The embedded pipeline with one of ENGINES as its OCR.

    Raises:
        ComponentError: the engine, or a part of the embedded profile, is missing.
    """
    ocr = ENGINES[name]()
    return embedded_with(name, options, lambda stage2: stage2._replace(ocr=ocr))
