"""The text in a picture, through RapidOCR (PP-OCRv6 small). What comes out is untrusted text."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from kidsnanny.errors import ComponentError
from kidsnanny.images import RGB
from kidsnanny.records import Box, TextLine
from kidsnanny.weights import cards

PROOF = "HELLO 123"
MIN_SIDE = 8
"""Pixels; a frame with a shorter side has no room for a legible letter."""


class Ocr(Protocol):
    """What the pipeline asks of an OCR engine."""

    name: str
    """Model and revision, as it stands in `Verdict.provenance`."""
    reentrant: bool
    """Whether several threads may call it at once; if not, the pipeline holds a lock around it."""

    def read(self, frame: RGB) -> list[TextLine]:
        """Every line found, in reading order, however uncertain; the `frame` of the lines is 0."""
        ...


class RapidOcr:
    """RapidOCR on ONNX Runtime, with the weights its wheel carries.

    Raises:
        WeightsError: the rapidocr package is missing, or its weights are not those of the cards.
        ComponentError: the engine does not read a generated "HELLO 123".
    """

    reentrant = False  # its detector keeps state between the steps of a call

    def __init__(self) -> None:
        parts = {"Det": "ppocrv6-small-det", "Rec": "ppocrv6-small-rec", "Cls": "ppocr-mobile-cls"}
        paths = {f"{part}.model_path": str(cards()[name].locate()) for part, name in parts.items()}
        self.name = f"{cards()[parts['Rec']].name}@{cards()[parts['Rec']].sha256[:12]}"
        try:
            from rapidocr import RapidOCR
            from rapidocr.utils.output import RapidOCROutput

            self._Output = RapidOCROutput
            self._engine = RapidOCR(params={"Global.log_level": "critical", "Global.text_score": 0.0, **paths})
        except Exception as error:
            raise ComponentError(f"RapidOCR cannot start ({error}); reinstall the rapidocr package.") from error
        prove(self)

    def read(self, frame: RGB) -> list[TextLine]:
        """Every line found in an (H, W, 3) uint8 RGB frame, in reading order."""
        if min(frame.shape[:2]) < MIN_SIDE:
            return []
        found = self._engine(np.ascontiguousarray(frame[:, :, ::-1]))  # it takes arrays to be BGR
        if not isinstance(found, self._Output):
            raise RuntimeError("text was found but the recogniser gave no answer")
        if found.txts is None or found.scores is None or found.boxes is None:
            return []
        height, width = frame.shape[:2]
        lines = []
        for text, confidence, quad in zip(found.txts, found.scores, found.boxes, strict=True):
            corners = np.clip(np.rint(quad), 0, (width, height)).astype(int)
            box = Box(*corners.min(0).tolist(), *corners.max(0).tolist())
            lines.append(TextLine(text=text, confidence=min(1.0, float(confidence)), box=box))
        return reading_order(lines)


def reading_order(lines: Sequence[TextLine]) -> list[TextLine]:
    """Rows from top to bottom, each from left to right. A line belongs to a row if its middle lies beside its first."""
    rows: list[list[TextLine]] = []
    for line in sorted(lines, key=lambda line: (line.box.y0 + line.box.y1, line.box.x0)):
        middle = (line.box.y0 + line.box.y1) / 2
        if rows and rows[-1][0].box.y0 <= middle < rows[-1][0].box.y1:
            rows[-1].append(line)
        else:
            rows.append([line])
    return [line for row in rows for line in sorted(row, key=lambda line: line.box.x0)]


def prove(ocr: Ocr) -> None:
    """Have the engine read a generated picture: one that finds no text is broken, not looking at an empty page.

    Raises:
        ComponentError: it reads something else than "HELLO 123".
    """
    from PIL import Image, ImageDraw, ImageFont

    page = Image.new("RGB", (320, 320), "white")
    ImageDraw.Draw(page).text((40, 140), PROOF, fill="black", font=ImageFont.load_default(36))
    read = " ".join(line.text for line in ocr.read(np.asarray(page)))
    if read.split() != PROOF.split():
        raise ComponentError(f"{ocr.name} reads {read!r} where {PROOF!r} is written; reinstall the OCR engine.")
