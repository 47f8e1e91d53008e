"""One function maps labels to categories, whatever model gave them."""

import pytest

from kidsnanny.records import Box, Detection
from kidsnanny.stage1.label_map import LabelMap

MAP = LabelMap({"kitchen knife": {"weapons": 0.5, "violence": 0.25}, "cat": {}, "gun": {"weapons": 1.0}})


def detection(label: str, score: float, frame: int = 0, model: str = "m") -> Detection:
    return Detection(label=label, score=score, frame=frame, model=model, box=Box(0, 0, 2, 2))


def test_labels_are_one_word_and_in_class_order() -> None:
    assert MAP.names == ("kitchen_knife", "cat", "gun")
    assert MAP.categories == {"weapons", "violence"}


def test_a_category_of_which_nothing_can_come_is_not_looked_for() -> None:
    assert LabelMap({"cat": {"violence": 0.0}, "gun": {"weapons": 1.0}}).categories == {"weapons"}


def test_side_by_side_each_detection_speaks_for_itself() -> None:
    found = [
        detection("kitchen_knife", 0.8, 2),
        detection("cat", 0.9),
        detection("gun", 0.3),
        detection("gun", 1, 0, "x"),
    ]
    signals = MAP.signals(found, "m", "detector")
    assert [(s.category, s.score, s.what, s.frame, s.box) for s in signals] == [
        ("weapons", 0.4, "kitchen_knife", 2, Box(0, 0, 2, 2)),
        ("violence", 0.2, "kitchen_knife", 2, Box(0, 0, 2, 2)),
        ("weapons", 0.3, "gun", 0, Box(0, 0, 2, 2)),
    ]
    assert {(s.model, s.source, s.channel) for s in signals} == {("m", "detector", "image")}


def test_summed_each_frame_and_category_has_one_signal_that_names_the_label_which_adds_most() -> None:
    found = [detection("cat", 0.7, 1), detection("gun", 0.5), detection("kitchen_knife", 0.5)]
    signals = MAP.signals(found, "m", "classifier", summed=True)
    assert [(s.frame, s.category, s.what) for s in signals] == [
        (0, "violence", "kitchen_knife"),
        (0, "weapons", "gun"),
        (1, "violence", "cat"),
        (1, "weapons", "cat"),
    ]
    assert [s.score for s in signals] == pytest.approx([0.125, 0.75, 0.0, 0.0])
