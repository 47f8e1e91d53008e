"""What every OCR engine must do."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from threading import Lock

import numpy as np
import pytest
from conftest import page
from PIL import Image

from kidsnanny.budget import Budget
from kidsnanny.policy import Policy
from kidsnanny.records import ModelId
from kidsnanny.stage2.ocr.ocr import Ocr, prove
from kidsnanny.unread_text import unreadable_text

LONG = " ".join(f"{n} {word}" for n in range(25) for word in ("apple", "river", "stone", "cloud"))
PICTURES = Path(__file__).with_name("pictures")


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

    @pytest.mark.parametrize("high", [7, 10, 16])
    def test_letters_of_a_narrow_strip_are_found(self, engine: Ocr, high: int) -> None:
        strip = page("I WILL FIND YOU", letters=40).crop((10, 22, 430, 68)).resize((9 * high, high))
        assert engine.read(np.asarray(strip))

    def test_text_that_cannot_be_read_is_a_line_without_text(self, engine: Ocr) -> None:
        frame = np.asarray(Image.open(PICTURES / "korean.png").convert("RGB"))
        lines = engine.read(frame)
        assert lines
        assert not any(line.text.strip() and line.confidence >= 0.8 for line in lines)
        assert any(not line.text and line.aspect and line.aspect > 4 for line in lines)

    def test_a_slanted_line_knows_its_own_length_and_height(self, engine: Ocr) -> None:
        straight, slanted = (
            max(engine.read(np.asarray(picture)), key=lambda line: line.aspect or 0)
            for given in [page("a line that is tilted", size=(420, 300))]
            for picture in (given, given.rotate(20, expand=True, fillcolor="white"))
        )
        assert straight.aspect == pytest.approx(slanted.aspect, rel=0.3)

    def test_a_line_longer_than_the_network_looks_is_read_or_counts_as_unread(self, engine: Ocr) -> None:
        frame = np.asarray(page(LONG, size=(14_000, 60), letters=24))
        found = engine.read(frame)
        read = "".join(line.text for line in found).replace(" ", "") == LONG.replace(" ", "")
        shares = [line.model_copy(update={"share": min(1, line.box.area / frame[:, :, 0].size)}) for line in found]
        assert read or unreadable_text(Policy.load("preteen"), shares)

    def test_stops_when_the_time_is_up_and_names_what_it_leaves(self, engine: Ocr) -> None:
        frame = np.asarray(page(*(f"line number {n} of the page" for n in range(12)), size=(400, 700)))
        budget = Budget(0.0)
        with budget.spending():
            assert engine.read(frame) == []
        assert budget.left_out()

    def test_threads_get_their_own_answers(self, engine: Ocr) -> None:
        lock = nullcontext() if engine.reentrant else Lock()  # as the pipeline does

        def read(text: str) -> list[str]:
            with lock:
                return [line.text for line in engine.read(np.asarray(page(text)))]

        texts = [f"letter number {number}" for number in range(12)]
        with ThreadPoolExecutor(4) as threads:
            assert list(threads.map(read, texts)) == [[text] for text in texts]

    def test_names_its_model_and_revision(self, engine: Ocr) -> None:
        assert isinstance(engine.model_id, ModelId)
        assert engine.model_id.name
        assert engine.model_id.revision

    def test_proves_itself(self, engine: Ocr) -> None:
        prove(engine)
