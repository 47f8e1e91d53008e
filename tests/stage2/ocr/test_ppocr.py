"""What every OCR engine must do (the contract), run on the one we ship; test_paddle.py runs it on the other."""

import numpy as np
import pytest
from conftest import ScriptedOcr, page
from ocr_contract import LONG, OcrContract
from PIL import ImageOps

from kidsnanny.errors import ComponentError
from kidsnanny.records import Box, TextLine
from kidsnanny.stage2.ocr.ocr import prove, reading_order
from kidsnanny.stage2.ocr.ppocr import PpOcr
from kidsnanny.stage2.ocr.quads import quads


@pytest.fixture(scope="module")
def ppocr() -> PpOcr:
    return PpOcr()


class TestPpOcr(OcrContract):
    @pytest.fixture
    def engine(self, ppocr: PpOcr) -> PpOcr:
        return ppocr


def test_finds_the_lines_rapidocr_finds(ppocr: PpOcr) -> None:
    """Same weights, our own pre- and post-processing: RapidOCR's own answer on pictures it can read."""
    from rapidocr import RapidOCR

    theirs = RapidOCR(params={"Global.log_level": "critical"})
    turned = page("a line that is tilted", "and another one").rotate(12, expand=True, fillcolor="white")
    column = page("written upwards", size=(320, 80)).rotate(90, expand=True)
    for picture in (page("Dear Ms Baker,", "the trip is on Friday."), turned, column, page("HUGE", letters=200)):
        frame = np.asarray(picture)
        expected = theirs(np.ascontiguousarray(frame[:, :, ::-1]))
        ours = ppocr.read(frame)
        assert [line.text for line in ours] == list(expected.txts)
        for line, quad in zip(ours, expected.boxes, strict=True):
            assert np.abs(np.array(line.box) - [*quad.min(0), *quad.max(0)]).max() < 0.06 * max(frame.shape)


@pytest.mark.parametrize(
    "turn", [lambda p: p.rotate(180), lambda p: p.rotate(90, expand=True), ImageOps.mirror, ImageOps.flip]
)
def test_turned_and_mirrored_lines_are_read(ppocr: PpOcr, turn: object) -> None:
    lines = ppocr.read(np.asarray(turn(page("Nobody likes you at school", "and never come back here"))))
    assert {line.text for line in lines} == {"Nobody likes you at school", "and never come back here"}


@pytest.mark.parametrize(("size", "letters"), [((1920, 1080), 14), ((3840, 2160), 20)])
def test_one_small_line_in_a_large_picture_is_read(ppocr: PpOcr, size: tuple[int, int], letters: int) -> None:
    """benchmarks/small_text.py counts over 200 pictures; this is one of each."""
    lines = ppocr.read(np.asarray(page("meet me behind the gate", size=size, letters=letters)))
    assert [line.text for line in lines] == ["meet me behind the gate"]


def test_a_line_taller_than_a_tile_is_read(ppocr: PpOcr) -> None:
    lines = ppocr.read(np.asarray(page("MENU", size=(3840, 2160), letters=1200)))
    assert "MENU" in [line.text for line in lines]


@pytest.mark.parametrize("lines", [(), ("HELL0 123",), ("",), ("HELLO",)])
def test_an_engine_that_does_not_read_is_an_error_not_an_empty_page(lines: tuple[str, ...]) -> None:
    with pytest.raises(ComponentError, match="where 'HELLO 123' is written"):
        prove(ScriptedOcr(*lines))


@pytest.mark.parametrize(
    ("boxes", "order"),
    [
        ([(0, 50, 9, 60), (0, 0, 9, 10)], [1, 0]),
        ([(50, 2, 60, 12), (0, 0, 9, 10)], [1, 0]),
        ([(50, 0, 60, 10), (0, 4, 9, 14), (0, 30, 9, 40)], [1, 0, 2]),
        ([(0, 0, 9, 10), (0, 11, 9, 21), (0, 22, 9, 32)], [0, 1, 2]),
        ([(50, 0, 90, 400), (2, 10, 9, 20), (0, 30, 9, 40), (2, 380, 9, 390)], [1, 2, 0, 3]),
    ],
)
def test_reading_order(boxes: list[tuple[int, ...]], order: list[int]) -> None:
    lines = [TextLine(text=str(n), confidence=1, box=Box(*box)) for n, box in enumerate(boxes)]
    assert [int(line.text) for line in reading_order(lines)] == order


def test_no_place_with_text_is_dropped_however_many_there_are() -> None:
    dots = np.zeros((800, 800), np.float32)
    for y in range(0, 800, 20):
        for x in range(0, 800, 20):
            dots[y + 5 : y + 14, x + 5 : x + 14] = 1
    assert len(quads(dots, (800, 800))) == 1600


def test_a_line_longer_than_the_network_looks_is_read_without_loss_or_repeat(ppocr: PpOcr) -> None:
    read = ppocr.read(np.asarray(page(LONG, size=(14_000, 60), letters=24)))
    assert "".join(line.text for line in read).replace(" ", "") == LONG.replace(" ", "")
