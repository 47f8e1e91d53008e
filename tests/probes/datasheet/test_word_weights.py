"""Words that stand out in captions of flagged pictures, by figures that can be checked by hand."""

import base64
import io

import pytest
from PIL import Image

from kidsnanny.probes.datasheet.word_weights import WORDS, chi_squared, cloud, relative_weights, term_counts


def test_words_are_counted_without_those_that_mean_nothing_alone() -> None:
    assert term_counts(["A Fire, and the fire's smoke", "2024: no smoke!"]) == {"fire": 2, "smoke": 2}
    assert term_counts([]) == term_counts(["", "…"]) == {}


def test_two_words_that_belong_together_are_one_term() -> None:
    counts = term_counts(["ice cream"] * 20 + ["a cream dress", "ice on a lake"] + ["dog", "cat", "tree"] * 10)
    assert counts == {"ice cream": 20, "ice": 1, "cream": 1, "dress": 1, "lake": 1, "dog": 10, "cat": 10, "tree": 10}
    assert "cream ice" not in term_counts(["ice", "cream"] * 20), "captions do not run into each other"


def test_weights_are_shares_of_the_commonest_word() -> None:
    assert relative_weights(["dog cat", *["dog"] * 3]) == {"dog": 1.0, "cat": 0.25}
    assert relative_weights([""]) == {}


@pytest.mark.parametrize(
    ("observed", "expected", "weights"),
    [
        ({"fire": 1.0}, {"fire": 0.25, "dog": 1.0}, {"fire": 0.75**2 / 0.25}),  # 2.25
        ({"fire": 0.2}, {"fire": 0.25, "dog": 1.0}, {}),  # rarer than expected
        ({"fire": 0.25}, {"fire": 0.25, "dog": 1.0}, {}),  # just as expected
        ({"smoke": 0.5}, {"fire": 0.1, "dog": 1.0}, {"smoke": 0.4**2 / 0.1}),  # expected like the rarest: 1.6
        ({"fire": 1.0}, {}, {}),  # nothing to compare with
        ({}, {"dog": 1.0}, {}),
    ],
)
def test_chi_squared(observed: dict[str, float], expected: dict[str, float], weights: dict[str, float]) -> None:
    assert chi_squared(observed, expected) == pytest.approx(weights)


def test_the_heaviest_words_come_first() -> None:
    found = chi_squared({"a": 0.5, "b": 1.0, "c": 0.5}, {"x": 0.1})
    assert list(found) == ["b", "a", "c"]


def test_a_cloud_is_a_picture_that_is_the_same_again() -> None:
    weights = {f"word{n}": 1.0 + n for n in range(WORDS + 50)}
    drawn = cloud(weights)
    picture = Image.open(io.BytesIO(base64.b64decode(drawn.removeprefix("data:image/png;base64,"))))
    assert picture.size == (720, 360)
    assert len(picture.convert("L").getcolors() or []) > 1
    assert cloud(weights) == drawn
    assert cloud({}) == ""


@pytest.mark.parametrize("word", ["a" * 5000, "W" * 40, "two\nlines", "\x00\x1b", "\u202e", "鳥", "\u0001" * 90])
def test_every_word_can_be_drawn(word: str) -> None:
    assert cloud({word: 1.0}).startswith("data:image/png;base64,")
    assert cloud({word: 2.0, f"{word}b": 1.0, "dog": 0.001})
