"""Which lines of a frame belong together, and the order in which they are read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kidsnanny.records import Box, TextLine
from kidsnanny.stage2.text_blocks import blocks, reading_order

Place = tuple[str, int, int, int, int]


def line(text: str, *box: int, angle: float | None = None, aspect: float | None = None) -> TextLine:
    return TextLine(text=text, confidence=1, box=Box(*box), angle=angle, aspect=aspect)


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


PAGES: dict[str, tuple[list[Place], list[list[str]]]] = {
    "a paragraph": (
        [("one", 0, 0, 200, 20), ("two", 0, 26, 180, 46), ("three", 0, 52, 90, 72)],
        [["one", "two", "three"]],
    ),
    "messages from both sides": (
        [
            ("left", 0, 0, 100, 20),
            ("goes on", 0, 26, 90, 46),
            ("right", 200, 90, 300, 110),
            ("left again", 0, 160, 90, 180),
        ],
        [["left", "goes on"], ["right"], ["left again"]],
    ),
    "four cards": (
        [
            ("what the first one says", 0, 0, 200, 20),
            ("what the second one says", 400, 2, 600, 22),
            ("more of the first one", 0, 26, 200, 46),
            ("more of the second one", 400, 28, 600, 48),
            ("what the third one says", 0, 200, 200, 220),
            ("what the fourth one says", 400, 202, 600, 222),
        ],
        [
            ["what the first one says", "more of the first one"],
            ["what the second one says", "more of the second one"],
            ["what the third one says"],
            ["what the fourth one says"],
        ],
    ),
    "a heading over two columns": (
        [
            ("NEWS", 200, 0, 400, 60),
            ("it begins in this column", 0, 100, 280, 120),
            ("ends in the other one", 320, 100, 600, 120),
            ("goes on to its foot and", 0, 126, 280, 146),
            ("and stops about here", 320, 126, 600, 146),
        ],
        [
            ["NEWS"],
            ["it begins in this column", "goes on to its foot and"],
            ["ends in the other one", "and stops about here"],
        ],
    ),
    "a table is read row by row": (
        [("milk", 0, 0, 50, 20), ("1.20", 300, 0, 350, 20), ("bread", 0, 26, 60, 46), ("2.50", 300, 26, 350, 46)],
        [["milk", "1.20", "bread", "2.50"]],
    ),
    "large over small": (
        [("SALE", 0, 0, 300, 90), ("only on monday", 0, 95, 140, 115)],
        [["SALE"], ["only on monday"]],
    ),
}


@pytest.mark.parametrize(("places", "expected"), PAGES.values(), ids=PAGES)
def test_lines_that_stand_together_are_a_block(places: list[Place], expected: list[list[str]]) -> None:
    found = blocks([line(text, *box) for text, *box in places])
    assert [[one.text for one in block] for block in found] == expected


TURNED: dict[str, tuple[float, Place, Place]] = {
    "to the right": (90, ("one", 80, 0, 100, 200), ("two", 54, 0, 74, 180)),
    "to the left": (-90, ("one", 0, 0, 20, 200), ("two", 26, 0, 46, 180)),
    "upside down": (180, ("one", 0, 26, 200, 46), ("two", 20, 0, 200, 20)),
    "a little to the left": (-15, ("one", 0, 0, 300, 98), ("two", 8, 26, 308, 124)),
    "a little to the right": (15, ("one", 8, 0, 308, 98), ("two", 0, 26, 300, 124)),
}


@pytest.mark.parametrize(("angle", "first", "second"), TURNED.values(), ids=TURNED)
def test_lines_that_are_turned_are_read_as_if_they_were_not(angle: float, first: Place, second: Place) -> None:
    lines = [line(text, *box, angle=angle, aspect=15 if abs(angle) == 15 else 10) for text, *box in (second, first)]
    assert [[one.text for one in block] for block in blocks(lines)] == [["one", "two"]]


def test_what_is_turned_otherwise_is_apart() -> None:
    level = line("a level line of some words", 0, 0, 300, 20, angle=0, aspect=15)
    turned = line("a turned one", 310, 0, 330, 200, angle=90, aspect=10)
    assert blocks([turned, level]) == [[level], [turned]]


def turned_line(text: str, x: int, y: int, wide: int, high: int, angle: float | None) -> TextLine:
    return line(text, x, y, x + wide, y + high, angle=angle, aspect=max(0.1, wide / high))


sides = st.integers(0, 400)
angles = st.none() | st.floats(-180, 180)
lines_anywhere = st.lists(
    st.builds(turned_line, st.text(max_size=5), sides, sides, st.integers(1, 300), st.integers(1, 60), angles),
    max_size=12,
)


@given(lines_anywhere)
def test_no_line_is_lost_or_read_twice(lines: list[TextLine]) -> None:
    assert sorted(map(repr, reading_order(lines))) == sorted(map(repr, lines))


@given(lines_anywhere)
def test_the_order_does_not_hang_on_where_the_picture_begins(lines: list[TextLine]) -> None:
    moved = [one.model_copy(update={"box": one.box.moved(100, 40)}) for one in lines]
    assert [one.text for one in reading_order(moved)] == [one.text for one in reading_order(lines)]


def test_thousands_of_lines_take_no_memory_without_end() -> None:
    lines = [
        line(str(n), 30 * (n % 100), 30 * (n // 100), 30 * (n % 100) + 9, 30 * (n // 100) + 9) for n in range(20_000)
    ]
    assert sorted(int(one.text) for one in reading_order(lines)) == list(range(20_000))


def test_a_line_that_nobody_measured_lies_as_its_box_does() -> None:
    tall = line("a line that runs upwards", 0, 0, 20, 200, aspect=10)
    beside = line("a line of words beside it", 60, 90, 160, 110)
    assert blocks([tall, beside]) == [[tall], [beside]]
