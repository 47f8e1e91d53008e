"""What every OCR engine must do (the contract), run on the one we ship; test_paddle.py runs it on the other."""

from random import Random

import numpy as np
import pytest
from conftest import ScriptedOcr, page
from ocr_contract import LONG, PICTURES, OcrContract
from PIL import Image, ImageDraw, ImageFilter, ImageFont, ImageOps

from kidsnanny.budget import Budget
from kidsnanny.errors import ComponentError
from kidsnanny.stage2.ocr.ocr import prove
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


@pytest.mark.parametrize("letters", [18, 30, 44])
def test_a_mirrored_line_of_which_the_first_reading_says_next_to_nothing_is_read(ppocr: PpOcr, letters: int) -> None:
    mirrored = ImageOps.mirror(page("I WILL FIND YOU", size=(640, 160), letters=letters))
    assert [line.text for line in ppocr.read(np.asarray(mirrored))] == ["I WILL FIND YOU"]


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


def test_no_place_with_text_is_dropped_however_many_there_are() -> None:
    dots = np.zeros((800, 800), np.float32)
    for y in range(0, 800, 20):
        for x in range(0, 800, 20):
            dots[y + 5 : y + 14, x + 5 : x + 14] = 1
    assert len(quads(dots, (800, 800))[0]) == 1600


def test_a_line_longer_than_the_network_looks_is_read_without_loss_or_repeat(ppocr: PpOcr) -> None:
    read = ppocr.read(np.asarray(page(LONG, size=(14_000, 60), letters=24)))
    assert "".join(line.text for line in read).replace(" ", "") == LONG.replace(" ", "")


class Calls(Budget):
    """A budget that is used up after so many looks at it."""

    @property
    def spent(self) -> float:
        self.looks = getattr(self, "looks", 0) + 1
        return float(self.looks)


def test_when_the_time_is_up_the_largest_letters_were_read_and_the_rest_is_named(ppocr: PpOcr) -> None:
    picture = page(*(f"a small line of the page, number {n}" for n in range(50)), size=(900, 1440), letters=16)
    picture.paste(page("LARGE AND LAST", size=(900, 100), letters=48), (0, 1330))
    budget = Calls(17)
    with budget.spending():
        read = [line.text for line in ppocr.read(np.asarray(picture))]
    assert "LARGE AND LAST" in read
    assert len(read) < 51
    left = budget.left_out()[0]
    assert "lines were not read to the end" in left


def test_the_beginning_of_a_line_that_is_too_long_for_the_time_is_read(ppocr: PpOcr) -> None:
    budget = Calls(12)
    with budget.spending():
        (line,) = ppocr.read(np.asarray(page(LONG, size=(14_000, 60), letters=24)))
    assert line.text.startswith(LONG[:40])
    assert len(line.text) < len(LONG)
    assert any("1 of 1 lines were not read to the end" in left for left in budget.left_out())


def test_a_word_that_was_passed_over_within_a_line_is_an_unread_stretch_of_it(ppocr: PpOcr) -> None:
    english, korean = page("today the", size=(190, 70)), Image.open(PICTURES / "korean.png").convert("L")
    dark = korean.point(lambda level: 255 - level) if korean.getpixel((0, 0)) < 128 else korean
    y, x = (np.asarray(dark) < 128).nonzero()
    word = dark.crop((x.min(), y.min() - 3, x.max() + 1, y.max() + 4))
    line = Image.new("RGB", (600, 70), "white")
    line.paste(english, (0, 0))
    line.paste(word.crop((0, 0, 190, word.height)).convert("RGB"), (165, 18))
    line.paste(page("is nice", size=(200, 70)), (350, 0))
    found = ppocr.read(np.asarray(line))
    assert any(not one.text and one.box.x0 < 300 and one.box.x1 > 220 for one in found), found


def test_strokes_that_look_like_letters_from_afar_alone_are_not_confirmed(ppocr: PpOcr) -> None:
    random, picture = Random(93), Image.new("RGB", (500, 375), (120, 110, 90))
    draw = ImageDraw.Draw(picture)
    for _ in range(40):
        x, y = random.randint(50, 450), random.randint(140, 200)
        draw.line((x, y, x + random.randint(-30, 30), y + random.randint(-30, 30)), fill=(240, 240, 240), width=4)
    found = ppocr.read(np.asarray(picture))
    assert found
    assert not any(line.confirmed for line in found if line.aspect and line.aspect > 2)


def test_a_script_that_it_cannot_read_is_confirmed(ppocr: PpOcr) -> None:
    korean = Image.open(PICTURES / "korean.png").convert("RGB")
    assert all(line.confirmed for line in ppocr.read(np.asarray(korean)))


def test_what_was_hardly_read_is_read_from_nearby(ppocr: PpOcr, monkeypatch: pytest.MonkeyPatch) -> None:
    small = page("bring your own lunch today", size=(300, 200), letters=7).filter(ImageFilter.GaussianBlur(0.9))
    (now,) = ppocr.read(np.asarray(small))
    monkeypatch.setattr(ppocr, "_closer", lambda _, lines: lines)
    (once,) = ppocr.read(np.asarray(small))
    assert once.confidence < 0.86 < now.confidence
    assert now.text.startswith("bring your")


def test_capitals_with_outlines_keep_their_spaces(ppocr: PpOcr) -> None:
    picture = Image.new("RGB", (700, 120), (90, 140, 90))
    font = ImageFont.load_default(52)
    draw = ImageDraw.Draw(picture)
    left = 20.0
    for word in ("WHEN", "I", "SEE", "YOU", "THERE"):
        draw.text((left, 30), word, "white", font, stroke_width=3, stroke_fill="black")
        left += draw.textlength(word, font) + 10  # half of a blank
    (line,) = ppocr.read(np.asarray(picture))
    assert line.text == "WHEN I SEE YOU THERE"
