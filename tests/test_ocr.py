"""What every OCR engine must do (the contract), run on the one we ship; test_paddle.py runs it on the other."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from threading import Lock

import numpy as np
import pytest
from conftest import ScriptedOcr, page
from PIL import Image, ImageOps

from kidsnanny.errors import ComponentError
from kidsnanny.records import Box, TextLine
from kidsnanny.stage2.ocr import Ocr, RapidOcr, prove, quads, reading_order


class OcrContract:
    """Inherit, and give an `engine` fixture."""

    def test_reads_lines_in_order(self, engine: Ocr) -> None:
        lines = engine.read(np.asarray(page("Dear Ms Baker,", "the trip is on Friday.", "Bring a coat")))
        assert [line.text.split() for line in lines] == [
            ["Dear", "Ms", "Baker,"],
            ["the", "trip", "is", "on", "Friday."],
            ["Bring", "a", "coat"],
        ]
        assert all(0.9 < line.confidence <= 1 for line in lines)

    def test_lines_side_by_side_are_read_from_the_left(self, engine: Ocr) -> None:
        both = Image.new("RGB", (960, 120), "white")
        both.paste(page("a yellow house", size=(480, 120)), (0, 4))
        both.paste(page("and a red one", size=(480, 120)), (480, 0))
        assert " ".join(line.text for line in engine.read(np.asarray(both))) == "a yellow house and a red one"

    @pytest.mark.parametrize("size", [(640, 480), (1280, 720)])
    def test_boxes_are_around_the_text_in_pixels_of_the_frame(self, engine: Ocr, size: tuple[int, int]) -> None:
        frame = np.asarray(page("look at that", "and at this", size=size, letters=40))
        first, second = engine.read(frame)
        for line, rows in ((first, slice(0, 80)), (second, slice(80, 160))):
            y, x = (frame[rows] < 128).all(axis=2).nonzero()
            ink = np.array((x.min(), y.min() + rows.start, x.max() + 1, y.max() + 1 + rows.start))
            assert np.abs(ink - line.box).max() <= 16
            assert 0 <= line.box.x0 < line.box.x1 <= size[0]
            assert 0 <= line.box.y0 < line.box.y1 <= size[1]

    def test_takes_colours_as_rgb(self, engine: Ocr) -> None:
        """Blue letters on a red of the same lightness: swapped channels would still read, a dropped one would not."""
        ink = (np.asarray(page("COLOURFUL")) < 128).all(axis=2, keepdims=True)
        frame = np.where(ink, (0, 0, 255), (97, 0, 0)).astype(np.uint8)
        assert [line.text for line in engine.read(frame)] == ["COLOURFUL"]

    def test_takes_any_array_and_leaves_it_alone(self, engine: Ocr) -> None:
        frame = np.asarray(page("the same again")).copy()
        before = frame.copy()
        mirrored = np.ascontiguousarray(frame[:, ::-1])
        frame.flags.writeable = False
        for given in (frame, mirrored[:, ::-1], np.asfortranarray(frame), np.pad(frame, 9)[9:-9, 9:-9, 9:-9]):
            assert [line.text for line in engine.read(given)] == ["the same again"]
        assert (frame == before).all()

    def test_an_empty_page_has_no_lines(self, engine: Ocr) -> None:
        assert engine.read(np.full((200, 300, 3), 255, np.uint8)) == []

    @pytest.mark.parametrize("shape", [(1, 1), (1, 4000), (4000, 1), (3, 3), (7, 7), (8, 8), (8, 3000), (20, 30)])
    def test_odd_shapes_do_not_crash(self, engine: Ocr, shape: tuple[int, int]) -> None:
        assert engine.read(np.zeros((*shape, 3), np.uint8)) == []

    def test_threads_get_their_own_answers(self, engine: Ocr) -> None:
        lock = nullcontext() if engine.reentrant else Lock()  # as the pipeline does

        def read(text: str) -> list[str]:
            with lock:
                return [line.text for line in engine.read(np.asarray(page(text)))]

        texts = [f"letter number {number}" for number in range(12)]
        with ThreadPoolExecutor(4) as threads:
            assert list(threads.map(read, texts)) == [[text] for text in texts]

    def test_names_its_model_and_revision(self, engine: Ocr) -> None:
        assert "@" in engine.name

    def test_proves_itself(self, engine: Ocr) -> None:
        prove(engine)


@pytest.fixture(scope="module")
def rapid() -> RapidOcr:
    return RapidOcr()


class TestRapidOcr(OcrContract):
    @pytest.fixture
    def engine(self, rapid: RapidOcr) -> RapidOcr:
        return rapid


def test_finds_the_lines_rapidocr_finds(rapid: RapidOcr) -> None:
    """Same weights, our own pre- and post-processing: RapidOCR's own answer on pictures it can read."""
    from rapidocr import RapidOCR

    theirs = RapidOCR(params={"Global.log_level": "critical"})
    turned = page("a line that is tilted", "and another one").rotate(12, expand=True, fillcolor="white")
    column = page("written upwards", size=(320, 80)).rotate(90, expand=True)
    for picture in (page("Dear Ms Baker,", "the trip is on Friday."), turned, column, page("HUGE", letters=200)):
        frame = np.asarray(picture)
        expected = theirs(np.ascontiguousarray(frame[:, :, ::-1]))
        ours = rapid.read(frame)
        assert [line.text for line in ours] == list(expected.txts)
        for line, quad in zip(ours, expected.boxes, strict=True):
            assert np.abs(np.array(line.box) - [*quad.min(0), *quad.max(0)]).max() < 0.06 * max(frame.shape)


@pytest.mark.parametrize(
    "turn", [lambda p: p.rotate(180), lambda p: p.rotate(90, expand=True), ImageOps.mirror, ImageOps.flip]
)
def test_turned_and_mirrored_lines_are_read(rapid: RapidOcr, turn: object) -> None:
    lines = rapid.read(np.asarray(turn(page("Nobody likes you at school", "and never come back here"))))
    assert {line.text for line in lines} == {"Nobody likes you at school", "and never come back here"}


@pytest.mark.parametrize(("size", "letters"), [((1920, 1080), 14), ((3840, 2160), 20)])
def test_one_small_line_in_a_large_picture_is_read(rapid: RapidOcr, size: tuple[int, int], letters: int) -> None:
    """benchmarks/small_text.py counts over 200 pictures; this is one of each."""
    lines = rapid.read(np.asarray(page("meet me behind the gate", size=size, letters=letters)))
    assert [line.text for line in lines] == ["meet me behind the gate"]


def test_a_line_taller_than_a_tile_is_read(rapid: RapidOcr) -> None:
    lines = rapid.read(np.asarray(page("MENU", size=(3840, 2160), letters=1200)))
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


def test_more_lines_than_can_be_read_are_an_error_not_a_loss() -> None:
    dots = np.zeros((800, 800), np.float32)
    for y in range(0, 800, 20):
        for x in range(0, 800, 20):
            dots[y + 5 : y + 14, x + 5 : x + 14] = 1
    with pytest.raises(RuntimeError, match="more than 1000 lines"):
        quads(dots, (800, 800))
