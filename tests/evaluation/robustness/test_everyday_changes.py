"""What everyday changes do to a picture, and what robust accuracy makes of a system's answers."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import encoded, gradient
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from kidsnanny.errors import DataError
from kidsnanny.evaluation.datasets import Dataset, open_dataset
from kidsnanny.evaluation.predictions import Example, Prediction, SystemDescription
from kidsnanny.evaluation.robustness.everyday_changes import CHANGES, SCREEN, Change
from kidsnanny.evaluation.robustness.robust_accuracy import (
    Outcome,
    RobustAccuracy,
    changed_file,
    draw,
    everyday_robustness,
)
from kidsnanny.evaluation.systems.registry import SYSTEMS
from kidsnanny.evaluation.systems.system import Answer, Baseline, Options, Shown
from kidsnanny.media.loader import open_picture
from kidsnanny.records import NotInspected

SIZES = {
    "half": (100, 60),
    "quarter": (50, 30),
    "cropped": (160, 96),
    "quarter-turn": (120, 200),
    "screenshot": SCREEN,
    "meme": (200, 170),
    "turned": (218, 154),
}
"""Of a picture of 200 x 120, where it changes."""


def distance(one: Image.Image, other: Image.Image) -> float:
    """The mean difference, in levels."""
    return float(np.abs(np.asarray(one, float) - np.asarray(other, float)).mean())


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_gives_a_picture_of_its_size_the_same_each_time(name: str) -> None:
    picture = gradient(200, 120)
    found, again = (CHANGES[name].apply(picture.copy()) for _ in range(2))
    assert found.mode == "RGB"
    assert found.size == SIZES.get(name, (200, 120))
    assert found.tobytes() == again.tobytes()
    assert (found.tobytes() == picture.tobytes()) == (name == "unchanged")


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("size", [(1, 1), (3, 200), (9, 9)])
def test_a_tiny_picture_survives_every_change(name: str, size: tuple[int, int]) -> None:
    assert min(CHANGES[name].apply(gradient(*size)).size) >= 1


@pytest.mark.parametrize(
    ("weaker", "stronger"), [("jpeg-50", "jpeg-10"), ("unchanged", "blurred"), ("unchanged", "upscaled")]
)
def test_a_stronger_change_leaves_less_of_the_picture(weaker: str, stronger: str) -> None:
    picture = gradient(200, 120)
    near, far = (distance(picture, CHANGES[name].apply(picture)) for name in (weaker, stronger))
    assert near < far < 30


def test_what_a_change_shows_is_the_picture() -> None:
    picture = Image.new("RGB", (200, 120), (200, 40, 40))
    red = (200, 40, 40)
    assert CHANGES["meme"].apply(picture).getpixel((100, 85)) == red
    assert CHANGES["screenshot"].apply(picture).getpixel((SCREEN[0] // 2, SCREEN[1] // 2)) == red
    assert CHANGES["turned"].apply(picture).getpixel((0, 0)) == (255, 255, 255)
    assert len(set(CHANGES["grey"].apply(picture).getpixel((5, 5)))) == 1


class Reddish:
    """A system of two rows that calls reddish pictures unsafe; the second row cannot score large pictures."""

    def __init__(self) -> None:
        about = {
            "regime": "vision-only",
            "categories": ("nudity",),
            "rule": "red",
            "licence": "none",
            "threshold": 0.5,
            "origin": "test",
            "models": {},
        }
        self.rows = tuple(SystemDescription(name=name, **about) for name in ("red", "red, small"))
        self.shown = list[str]()

    def predict(self, examples: Iterable[Example]) -> Iterator[tuple[Prediction, ...]]:
        for one in examples:
            self.shown.append(one.id)
            (frame,) = open_picture(one.image).frames()
            score = float(frame.rgb[..., 0].mean() / 255)
            large = frame.rgb.shape[1] > 150
            yield tuple(
                Prediction(
                    id=one.id,
                    system=row.name,
                    unsafe=one.unsafe,
                    category=one.category,
                    source=one.source,
                    threshold=0.5,
                    score=None if large and row.name == "red, small" else score,
                    unscored="too large" if large and row.name == "red, small" else None,
                )
                for row in self.rows
            )

    def timed_calls(self) -> dict:
        return {}


def album(*pictures: tuple[str, bool, tuple[int, int, int]], source: str = "web") -> Dataset:
    examples = [
        Example(name, encoded(Image.new("RGB", (100, 100), colour)), unsafe, "nudity", source, "")
        for name, unsafe, colour in pictures
    ]
    return Dataset("album", lambda: iter(examples))


RED, BLUE = (255, 20, 20), (20, 20, 255)


def test_only_pictures_that_a_system_got_right_are_changed_and_each_row_has_its_own() -> None:
    system = Reddish()
    data = album(("red", True, RED), ("blue", False, BLUE), ("wrong", True, BLUE))
    turned_blue = Change("swapped", lambda image: Image.merge("RGB", image.split()[::-1]))
    doubled = Change("doubled", lambda image: image.resize((200, 200)))
    found = everyday_robustness(system, data, {"swapped": turned_blue, "doubled": doubled})
    assert system.shown == ["red", "blue", "wrong"] + ["red", "blue"] * 2
    by = {(one.system, one.change): one for one in found}
    assert (by["red", "swapped"].right.successes, by["red", "swapped"].right.n) == (0, 2)
    assert by["red", "doubled"].right.value == 1
    small = by["red, small", "doubled"]
    assert (small.right.successes, small.unscored) == (0, 2)
    assert by["red", "swapped"].what == "swapped"


def test_what_is_right_is_counted_by_source_and_by_label() -> None:
    outcomes = [Outcome(True, "web", True), Outcome(True, "ai", False), Outcome(False, "ai", False, scored=False)]
    found = RobustAccuracy.of("x", "blur", "blurred", outcomes, mse=0.25)
    assert {name: (one.successes, one.n) for name, one in found.by_source.items()} == {"ai": (0, 2), "web": (1, 1)}
    assert {name: (one.successes, one.n) for name, one in found.by_label.items()} == {"unsafe": (1, 2), "safe": (0, 1)}
    assert (found.right.successes, found.right.n, found.unscored, found.mse) == (1, 3, 1, 0.25)
    low, high = found.right.wilson or (0, 0)
    assert 0 < low < 1 / 3 < high < 1


def test_pictures_whose_time_was_used_up_are_counted() -> None:
    class Slow(Reddish):
        def predict(self, examples: Iterable[Example]) -> Iterator[tuple[Prediction, ...]]:
            missed = (NotInspected(part="text", reason="its 10 s are used up", cause="time"),)
            for rows in super().predict(examples):
                yield tuple(row.model_copy(update={"not_inspected": missed}) for row in rows)

    data, changes = album(("red", True, RED)), {"grey": CHANGES["grey"]}
    assert [one.hurried for one in everyday_robustness(Slow(), data, changes)] == [1, 1]
    assert [one.hurried for one in everyday_robustness(Reddish(), data, changes)] == [0, 0]


def prediction(name: str, source: str, score: float | None, unsafe: bool = True) -> Prediction:
    why = None if score is not None else "broken"
    return Prediction(
        id=name,
        system="x",
        unsafe=unsafe,
        category="any",
        source=source,
        score=score,
        threshold=0.5,
        unscored=why,
    )


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from([None, 0.2, 0.7]), st.booleans()), max_size=40))
def test_of_each_source_so_many_are_drawn_of_those_that_were_right(rows: list) -> None:
    given_ = [prediction(str(n), source, score, unsafe) for n, (source, score, unsafe) in enumerate(rows)]
    drawn = draw(given_, per_source=5)
    assert drawn == draw(given_, per_source=5)
    for source in "ab":
        right = {p.id for p in given_ if p.source == source and p.score is not None and (p.score >= 0.5) == p.unsafe}
        mine = drawn & {p.id for p in given_ if p.source == source}
        assert mine <= right
        assert len(mine) == min(5, len(right))


def test_the_drawing_is_unsafebenchs_of_the_same_seed() -> None:
    import random

    given_ = [prediction(str(n), "Laion5B", 0.9) for n in range(100)]
    random.seed(2023)
    assert draw(given_, 10) == {str(place) for place in random.sample(range(100), 10)}
    assert draw(given_, 10, seed=2024) != draw(given_, 10)


def test_a_system_that_is_never_right_is_told_why() -> None:
    with pytest.raises(DataError, match=r"album: red, red, small got no picture of it right .* give it pictures"):
        everyday_robustness(Reddish(), album(("wrong", True, BLUE)), CHANGES)


def test_an_animation_is_changed_by_its_first_frame(tmp_path: Path) -> None:
    first, second = (Image.new("RGB", (30, 20), colour) for colour in ("red", "blue"))
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    one = Example("a", tmp_path / "a.gif", True, "any", "", "")
    (frame,) = open_picture(changed_file(one, CHANGES["unchanged"].apply)).frames()
    assert frame.rgb.reshape(-1, 3).tolist() == [[255, 0, 0]] * 600


def test_data_that_vanish_on_the_way_are_an_error() -> None:
    with pytest.raises(DataError, match="it could be read a moment ago"):
        changed_file(Example("a", Path("nowhere.png"), True, "any", "", ""), CHANGES["unchanged"].apply)


def test_a_baseline_is_measured_like_any_other_system() -> None:
    def look(shown: list[Shown]) -> list[Answer]:
        return [Answer(float(one.frame[..., 0].mean() / 255)) for one in shown]

    system = Baseline(Reddish().rows[0], look)
    (found,) = everyday_robustness(system, album(("red", True, RED), ("blue", False, BLUE)), {"grey": CHANGES["grey"]})
    assert (found.right.successes, found.right.n) == (1, 2)
    assert found.by_label["unsafe"].value == 0


@pytest.mark.slow
def test_the_shipped_default_is_measured(tmp_path: Path) -> None:
    for label in ("safe", "unsafe"):
        (tmp_path / label).mkdir()
        gradient(320, 240, seed=len(label)).save(tmp_path / label / "a.png")
    system = SYSTEMS["embedded"](Options())
    data = open_dataset(tmp_path)
    found = everyday_robustness(system, data, {name: CHANGES[name] for name in ("unchanged", "jpeg-10")})
    assert [one.right.value for one in found if one.change == "unchanged"] == [1.0, 1.0]
