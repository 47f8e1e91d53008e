"""Words that are written downwards."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont

from kidsnanny import Pipeline
from kidsnanny.records import Box, TextLine
from kidsnanny.stage2.columns import columns

HIGH = 20


def line(x: int, y: int, text: str, wide: int = 14, high: int = HIGH) -> TextLine:
    """Read in a box of that width a letter; "" is a box of one letter that was not read."""
    box = Box(x, y, x + wide * max(1, len(text)), y + high)
    return TextLine(text=text, confidence=0.9 * bool(text), box=box)


def down(text: str, x: int = 50, y: int = 10) -> list[TextLine]:
    """A line a letter, 30 pixels from one to the next."""
    return [line(x, y + 30 * n, letter) for n, letter in enumerate(text) if letter != " "]


FOUND = {
    "one word": (down("HIDE"), ["HIDE"]),
    "a blank between words": (down("NO MORE"), ["NO MORE"]),
    "figures that letters are taken for": (down("H1DE T0DAY"), ["HIDE TODAY"]),
    "two columns, from left to right": (down("YOU", x=200) + down("HATE"), ["HATE", "YOU"]),
    "columns read across": (
        [line(50, 10 + 30 * n, two) for n, two in enumerate(["IH", "HI", "OD", "PE"])],
        ["IHOP", "HIDE"],
    ),
    "letters of a size": ([*down("HIDE"), line(50, 140, "x", 40, 60)], ["HIDE"]),
    "partly read downwards": ([*down("HI"), line(50, 70, "DE", 7, 60)], ["HIDE"]),
    "one unread": ([*down("HI"), line(50, 70, ""), line(50, 100, "E")], ["HI E"]),
}
NOT_FOUND = {
    "nothing": [],
    "two letters": down("HI"),
    "a line across": [line(20 * n, 10, letter) for n, letter in enumerate("HIDE")],
    "lines of a list": [line(50, 10 + 30 * n, text) for n, text in enumerate(["bread", "milk", "eggs"])],
    "figures of a table": down("1725"),
    "far apart": [line(50, 10 + 100 * n, letter) for n, letter in enumerate("HIDE")],
    "a staircase": [line(50 + 40 * n, 10 + 30 * n, letter) for n, letter in enumerate("HIDE")],
    "one line that runs downwards": [line(50, 10, "HIDE", 5, 120)],
}


@pytest.mark.parametrize("case", FOUND)
def test_letters_under_each_other_are_words(case: str) -> None:
    given_lines, words = FOUND[case]
    found = columns(given_lines)
    assert [one.text for one in found] == words
    assert {one.kind for one in found} == {"column"}


@pytest.mark.parametrize("case", NOT_FOUND)
def test_what_is_no_column(case: str) -> None:
    assert columns(NOT_FOUND[case]) == []


def test_a_column_is_as_sure_as_its_letters_and_covers_them() -> None:
    read = down("HIDE")
    (word,) = columns([*read, line(50, 130, "")])
    assert word.confidence == pytest.approx(0.9 * 4 / 5)
    assert word.box == Box(50, 10, 64, 150)


def test_what_a_qr_code_says_is_no_letter() -> None:
    assert columns([one.model_copy(update={"kind": "code"}) for one in down("HIDE")]) == []


@given(
    st.lists(
        st.tuples(st.integers(0, 200), st.integers(0, 200), st.integers(0, 60), st.integers(0, 60), st.text(max_size=6))
    )
)
def test_whatever_is_read_comes_to_valid_lines(boxes: list[tuple[int, int, int, int, str]]) -> None:
    read = [TextLine(text=t, confidence=0.5, box=Box(x, y, x + w, y + h)) for x, y, w, h, t in boxes]
    for word in columns(read):
        assert 0 <= word.confidence <= 0.5


@pytest.mark.parametrize("letters", [24, 32, 48])
@pytest.mark.parametrize("text", ["NOBODY LIKES YOU", "KILL YOURSELF"])
@pytest.mark.parametrize("side_by_side", [False, True])
def test_harm_written_downwards_is_held_back(pipeline: Pipeline, letters: int, text: str, side_by_side: bool) -> None:
    words = text.split() if side_by_side else [text]
    step, font = round(1.25 * letters), ImageFont.load_default(letters)
    picture = Image.new("RGB", (400, step * (max(map(len, words)) + 2)), "white")
    draw = ImageDraw.Draw(picture)
    for column, word in enumerate(words):
        for row, letter in enumerate(word):
            draw.text((60 + 2 * letters * column, step * (row + 1)), letter, "black", font=font, anchor="mm")
    assert pipeline(picture).reasons
