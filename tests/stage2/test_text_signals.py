"""How lines become the texts that the model is asked about: whole frames, sentences, all frames together."""

from collections.abc import Sequence

import numpy as np
import pytest

from kidsnanny.profiles.profile import Profile
from kidsnanny.records import Box, ModelId, TextLine
from kidsnanny.stage2.text_signals import LINE_WEIGHT, text_signals
from kidsnanny.taxonomy import Category


class Listener:
    """Remembers what it was asked; a text scores 0.9 if it is the harmful one and nothing else."""

    model_id = ModelId(name="listener", revision="1")
    categories: tuple[Category, ...] = ("hate",)
    reentrant = True

    def __init__(self, harmful: str = "") -> None:
        self.harmful, self.asked = harmful, []

    def score(self, texts: Sequence[str]) -> np.ndarray:
        self.asked += texts
        return np.array([[0.9 * (text == self.harmful)] for text in texts], np.float32)

    def unknown_language(self, _: str) -> str | None:
        return None


def lines(*texts: str, gap: int = 5, frames: Sequence[int] | None = None) -> tuple[TextLine, ...]:
    """Lines of 20 px, one below the other."""
    return tuple(
        TextLine(
            text=text, confidence=1, box=Box(0, n * (20 + gap), 99, n * (20 + gap) + 20), frame=(frames or [0] * 99)[n]
        )
        for n, text in enumerate(texts)
    )


SENTENCES = [
    (lines("We meet at the", "gate at eight."), ["We meet at the gate at eight."]),
    (lines("We meet at eight.", "bring shoes"), ["We meet at eight.", "bring shoes"]),
    (lines("Hello", "World"), ["Hello", "World"]),
    (lines("one. two! three", "four"), ["one.", "two!", "three four"]),
    (lines("it costs", "3 pounds"), ["it costs", "3 pounds"]),
    (lines("far above", "far below", gap=30), ["far above", "far below"]),
    (lines("a chat", "without stops", "runs on"), ["a chat without stops runs on"]),
]


@pytest.mark.parametrize(("given", "expected"), SENTENCES)
def test_sentences_are_asked_about(given: tuple[TextLine, ...], expected: list[str]) -> None:
    model = Listener()
    text_signals(model, given)
    whole = " ".join(line.text for line in given)
    assert [text for text in model.asked if text][: len(expected) + 1] == [whole, *expected]


def test_one_bad_sentence_does_not_drown_in_a_page() -> None:
    given = lines("We meet at eight.", "I hate you.", "Bring shoes.")
    (reason,) = text_signals(Listener("I hate you."), given).signals
    assert (reason.score, reason.what, reason.box) == (pytest.approx(0.9), "I hate you.", given[1].box)


def test_a_sentence_may_run_over_frames() -> None:
    given = lines("I hate", "you", "you", frames=[0, 4, 7])
    reasons = text_signals(Listener("I hate you"), given).signals
    assert max(reason.score for reason in reasons) == pytest.approx(0.9)
    assert {reason.frame for reason in reasons} <= {0, 4, 7}


def test_a_line_by_itself_counts_at_a_discount() -> None:
    given = lines("see you at five", "i hate you", "bring shoes")
    (reason,) = text_signals(Listener("i hate you"), given).signals
    assert (reason.score, reason.what) == (pytest.approx(0.9 * LINE_WEIGHT), "i hate you")


def test_a_threat_in_a_chat_without_full_stops_is_not_drowned() -> None:
    given = lines("I will find you and kill you tomorrow", "haha see you at football practice", "bring shoes and water")
    reasons = text_signals(Profile.load("embedded").build_stage2().text_model, given).signals
    assert max(reason.score for reason in reasons if reason.category == "violence") >= 0.6
