"""What the pipeline asks of an OCR engine, and a proof that it reads."""

from typing import Protocol

import numpy as np

from kidsnanny.errors import ComponentError
from kidsnanny.media.loader import RGB
from kidsnanny.records import ModelId, TextLine

PROOF = "HELLO 123"
MIN_SIDE = 4
"""Pixels; a frame with a shorter side has no room for a letter."""


class Ocr(Protocol):
    """What the pipeline asks of an OCR engine."""

    model_id: ModelId
    """The recogniser, as it stands in `Verdict.provenance`."""
    reentrant: bool
    """Whether several threads may call it at once; if not, the pipeline holds a lock around it."""

    def read(self, frame: RGB) -> list[TextLine]:
        """Every line found, in reading order, however uncertain; the `frame` of the lines is 0.

        A line, or a stretch of one, that was found and of which nothing was read has the text "": a policy says what it
        means. An engine stops when `kidsnanny.budget.out_of_time()`, and names with `leave_out` what it did not read.
        """
        ...


def prove(ocr: Ocr) -> None:
    """Have the engine read a generated picture: one that finds no text is broken, not looking at an empty page.

    Raises:
        ComponentError: it reads something else than "HELLO 123".
    """
    from PIL import Image, ImageDraw, ImageFont

    page = Image.new("RGB", (320, 128), "white")
    ImageDraw.Draw(page).text((40, 40), PROOF, fill="black", font=ImageFont.load_default(36))
    read = " ".join(line.text for line in ocr.read(np.asarray(page)) if line.text)
    if read.split() != PROOF.split():
        raise ComponentError(f"{ocr.model_id} reads {read!r} where {PROOF!r} is written; reinstall the OCR engine.")
