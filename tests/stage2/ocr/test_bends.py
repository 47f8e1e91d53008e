"""Lines that bend are found, straightened and read; lines that only slant are no less read for it."""

import cv2
import numpy as np
import pytest
from conftest import page
from PIL import Image

from kidsnanny.stage2.ocr.bends import straighten
from kidsnanny.stage2.ocr.ppocr import PpOcr
from kidsnanny.stage2.ocr.quads import quads

WORDS = ("the midwife says everything", "looks good and is strong")


@pytest.fixture(scope="module")
def ppocr() -> PpOcr:
    return PpOcr()


def bent(image: Image.Image, depth: float) -> np.ndarray:
    """The picture with its middle lifted by so many pixels."""
    frame = np.asarray(image.convert("RGB"))
    y, x = np.mgrid[0 : frame.shape[0], 0 : frame.shape[1]].astype(np.float32)
    lift = (depth * (1 - (2 * x / frame.shape[1] - 1) ** 2)).astype(np.float32)
    return cv2.remap(frame, x, y + lift, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)


@pytest.mark.parametrize("turn", [0, 90, 180], ids=["level", "upwards", "upside down"])
@pytest.mark.parametrize("depth", [-45, -25, 25])
def test_lines_that_bend_are_read(ppocr: PpOcr, depth: float, turn: int) -> None:
    picture = bent(page(*WORDS, size=(720, 360), letters=36), depth)
    lines = ppocr.read(np.ascontiguousarray(np.rot90(picture, turn // 90)))
    assert " ".join(line.text for line in lines) == " ".join(WORDS)


def curve(depth: float) -> np.ndarray:
    """A detector's map of one line, shrunken as the network is taught: 8 of 20 pixels high."""
    found = np.zeros((200, 400), np.float32)
    for x in range(40, 360):
        middle = round(100 - depth * (1 - (x / 200 - 1) ** 2))
        found[middle - 4 : middle + 4, x] = 1
    return found


@pytest.mark.parametrize(("depth", "bends"), [(0, False), (2, False), (40, True), (-40, True)])
def test_what_bends_is_told_from_what_is_straight(depth: float, bends: bool) -> None:
    straight, found = quads(curve(depth), (200, 400))
    assert (len(straight), len(found)) == ((0, 1) if bends else (1, 0))


def test_a_straightened_line_is_level() -> None:
    shown = np.repeat((curve(40) * 255).astype(np.uint8)[..., None], 3, axis=2)
    (bend,) = quads(curve(40), (200, 400))[1]
    strip = straighten(shown, bend)[:, 20:-20, 0]
    middles = (strip * np.arange(len(strip))[:, None]).sum(0) / strip.sum(0)
    assert np.ptp(middles) < 3


@pytest.mark.parametrize("angle", [-12, -6, 6, 12])
def test_no_slanted_line_is_lost_for_its_neighbours_boxes(ppocr: PpOcr, angle: float) -> None:
    texts = ("romance paperbacks on the", "top shelf of the book swap", "a dime each mostly dukes", "and snowstorms")
    picture = page(*texts, size=(800, 600), letters=44).rotate(angle, expand=True, fillcolor="white")
    assert " ".join(line.text for line in ppocr.read(np.asarray(picture))) == " ".join(texts)


def test_a_closer_look_that_finds_a_bend_does_not_take_the_line_for_no_text(
    ppocr: PpOcr, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = np.repeat((255 - curve(40) * 255).astype(np.uint8)[..., None], 3, axis=2)
    bends = quads(curve(40), (200, 400))[1]
    doubted = bends[0].line("", 0.0, shown.shape, upside_down=False)
    monkeypatch.setattr(ppocr, "_find", lambda *_: ([], bends))
    assert all(line.confirmed for line in ppocr._closer(shown, [doubted]))


def test_no_box_leaves_the_frame(ppocr: PpOcr) -> None:
    picture = bent(page(*WORDS, size=(600, 200), letters=36), -45)
    for line in ppocr.read(picture):
        assert 0 <= line.box.x0 <= line.box.x1 < 600
        assert 0 <= line.box.y0 <= line.box.y1 < 200
