"""Flagged pictures are shown again without the text that was read in them."""

import io
from pathlib import Path

import numpy as np
import pytest
from audited_runs import seen
from conftest import encoded, gradient, page
from PIL import Image

from kidsnanny.evaluation.datasets import Dataset
from kidsnanny.evaluation.predictions import Example
from kidsnanny.evaluation.systems.system import Options
from kidsnanny.evaluation.text_audit.painted_out import PaintedOut, measure_painted_out, painted
from kidsnanny.evaluation.text_audit.read_texts import ReadText
from kidsnanny.records import Box

LINE = "nobody likes you, you stupid ugly loser"


def dataset(*pictures: tuple[str, Image.Image]) -> Dataset:
    examples = [Example(name, encoded(image), True, "harassment", "page", "", LINE) for name, image in pictures]
    return Dataset("texts", lambda: iter(examples))


def test_only_what_was_read_is_painted_out_and_the_label_goes_with_it() -> None:
    drawn = page("you loser")
    (changed,) = painted(dataset(("a", drawn), ("b", drawn)), {"a": (Box(0, 0, 300, 80),)})
    assert (changed.id, changed.unsafe, changed.text) == ("a", False, "")
    before, after = np.asarray(drawn), np.asarray(Image.open(io.BytesIO(changed.image)))
    assert (before[:80] != 255).any()
    assert (after[:80] == 255).all()
    assert (after[120:] == before[120:]).all()


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> PaintedOut:
    """One picture whose text was read, one of whose lines only the first was, and one without text."""
    pictures = dataset(("all", page(LINE)), ("part", page(LINE, LINE)), ("none", gradient()))
    boxes = {"all": Box(10, 10, 630, 70), "part": Box(10, 10, 630, 55)}
    read = {name: ReadText((LINE,), (LINE,), (box,)) for name, box in boxes.items()}
    flagged = [seen(name, True, True, look="page") for name in ("all", "part", "none")]
    out = tmp_path_factory.mktemp("painted")
    return measure_painted_out(pictures, flagged, read, Options(categories=("harassment",)), out)


def test_a_verdict_that_rests_on_the_text_goes_with_it(found: PaintedOut) -> None:
    assert (found.cleared.successes, found.cleared.n) == (1, 2)
    assert found.by_look["page"] == found.cleared
    assert (found.flagged, found.no_boxes, found.held) == (3, 1, 0)


def test_one_whose_text_is_still_there_stays(found: PaintedOut) -> None:
    assert found.still_flagged == ("part",)
    assert found.still_read == ("part",)


def test_nothing_flagged_is_nothing_painted(tmp_path: Path) -> None:
    found = measure_painted_out(dataset(("a", page(LINE))), [seen("a", True, False)], {}, Options(), tmp_path)
    assert (found.flagged, found.cleared.n, found.cleared.value) == (0, 0, None)
    assert not list(tmp_path.iterdir())
