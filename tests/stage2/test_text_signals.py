"""How lines become the texts that the model is asked about: whole frames, sentences, all frames together."""

import time
from collections.abc import Sequence

import numpy as np
import pytest

from kidsnanny.budget import Budget
from kidsnanny.profiles.profile import Profile
from kidsnanny.records import Box, ModelId, TextLine
from kidsnanny.stage2 import text_signals as stage2_text_signals
from kidsnanny.stage2.text_signals import LINE_WEIGHT, text_signals
from kidsnanny.taxonomy import Category


class Listener:
    """Remembers what it was asked; a text scores 0.9 if it is the harmful one and nothing else."""

    model_id = ModelId(name="listener", revision="1")
    categories: tuple[Category, ...] = ("hate",)
    reentrant = True

    def __init__(self, harmful: str = "", otherwise: float = 0.0) -> None:
        self.harmful, self.otherwise, self.asked = harmful, otherwise, []

    def score(self, texts: Sequence[str]) -> np.ndarray:
        self.asked += texts
        hints = [self.harmful and self.harmful in text for text in texts]
        return np.array(
            [
                [0.9 if text == self.harmful else max(self.otherwise, 0.2 * bool(hint))]
                for text, hint in zip(texts, hints, strict=True)
            ],
            np.float32,
        )

    def unknown_languages(self, passages: Sequence[str]) -> list[str | None]:
        return [None] * len(passages)


def lines(*texts: str, gap: int = 5, frames: Sequence[int] | None = None) -> tuple[TextLine, ...]:
    """Lines of 20 px, one below the other."""
    return tuple(
        TextLine(
            text=text,
            confidence=1,
            box=Box(0, n * (20 + gap), 8 * len(text), n * (20 + gap) + 20),
            frame=(frames or [0] * 99)[n],
        )
        for n, text in enumerate(texts)
    )


SENTENCES = [
    (lines("We meet at the", "gate at eight."), ["We meet at the gate at eight."]),
    (lines("We meet at eight.", "bring shoes"), ["We meet at eight.", "bring shoes"]),
    (lines("Hi", "Worldwide"), ["Hi", "Worldwide"]),
    (
        lines("not a word to Dad about", "Saturday! It is only pizza"),
        ["not a word to Dad about Saturday!", "It is only pizza"],
    ),
    (lines("THEN I WILL", "BLOW YOU UP"), ["THEN I WILL BLOW YOU UP"]),
    (lines("one. two! three", "four"), ["one.", "two!", "three four"]),
    (lines("it is", "3 pounds"), ["it is", "3 pounds"]),
    (lines("far above", "far below", gap=30), ["far above", "far below"]),
    (lines("a chat", "without stops", "runs on"), ["a chat without stops runs on"]),
]


@pytest.mark.parametrize(("given", "expected"), SENTENCES)
def test_sentences_are_asked_about(given: tuple[TextLine, ...], expected: list[str]) -> None:
    model = Listener(otherwise=0.2)
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
    assert max(reason.score for reason in reasons if reason.category == "violence") >= 0.5


LABELS_AND_SENTENCES = [
    # what stands in the picture, what it scores by itself and as a whole -> what counts of it
    (
        lines("OPEN", "SAVE", "PRINT", "CLOSE", gap=40),
        0.0,
        0.45 * LINE_WEIGHT,
    ),  # buttons: no part of it supports the whole
    (lines("You agree if you sign up.", "Read our terms and rules", gap=40), 0.0, 0.45),
    (lines("You agree if you sign up.", "Read our terms and rules", gap=40), 0.2, 1.0),
    (lines("Speed"), 1.0, LINE_WEIGHT),
    (lines("MOTH BALLS"), 1.0, LINE_WEIGHT),
    (lines("i will get you"), 1.0, 1.0),
    (lines("iwillgetyouforthat"), 1.0, 1.0),
    (lines("我要杀了你们"), 1.0, 1.0),
]


@pytest.mark.parametrize(("given", "parts", "share"), LABELS_AND_SENTENCES)
def test_a_word_or_a_label_is_no_sentence(given: tuple[TextLine, ...], parts: float, share: float) -> None:
    whole = " ".join(line.text for line in given)

    class Reader(Listener):
        def score(self, texts: Sequence[str]) -> np.ndarray:
            return np.array([[0.9 if text == whole else parts] for text in texts], np.float32)

    (signal,) = text_signals(Reader(), given).signals
    assert signal.score == pytest.approx(0.9 * share, abs=0.001)


def test_what_comes_as_text_is_no_label() -> None:
    message = TextLine(text="die", confidence=1, box=Box(0, 0, 0, 0), kind="message")
    (signal,) = text_signals(Listener("die"), [message]).signals
    assert signal.score == pytest.approx(0.9)


def test_a_message_that_repeats_itself_is_asked_about_as_it_is() -> None:
    model = Listener()
    text_signals(model, [TextLine(text="go", confidence=1, box=Box(0, 0, 0, 0), kind="message")] * 3)
    assert model.asked[0] == "go go go"


def test_a_page_of_one_line_says_no_more_than_two_of_it() -> None:
    model = Listener("Hello World " * 24 + "Hello World")
    (signal,) = text_signals(model, lines(*["Hello World"] * 25)).signals
    assert signal.score < 0.5
    assert model.asked[0] == "Hello World Hello World"


FOREIGN = [
    # lines in a language that is not judged, and whether they are a message
    (lines("jutro cię zabiję, słyszysz"), True),
    (lines("jutro cię", "zabiję, słyszysz"), True),  # in a narrow bubble
    (lines("ALPINE CLOCKS", "GENEVE", gap=40), False),
    (lines("サラダ"), False),
    (lines("明日お前を殺してやる"), True),
    (lines(*["TAMAN BUNGA RAYA JAYA 4 55100"] * 9), False),  # a receipt
]


@pytest.mark.parametrize(("given", "message"), FOREIGN)
def test_a_text_in_another_language_counts_if_it_is_a_message(given: tuple[TextLine, ...], message: bool) -> None:
    class Foreign(Listener):
        def unknown_languages(self, passages: Sequence[str]) -> list[str | None]:
            return ["another language"] * len(passages)

    missed = text_signals(Foreign(), [line.model_copy(update={"share": 0.001}) for line in given]).not_inspected
    assert [one.minor for one in missed] == [not message]
    large = text_signals(Foreign(), [line.model_copy(update={"share": 0.2}) for line in given[:1]]).not_inspected
    assert [one.minor for one in large] == [False]


@pytest.mark.parametrize("facts", [{"confidence": 0.6}, {"confirmed": False}])
def test_what_was_hardly_read_does_not_tell_its_language(facts: dict[str, float]) -> None:
    class Foreign(Listener):
        def unknown_languages(self, passages: Sequence[str]) -> list[str | None]:
            return ["another language"] * len(passages)

    (line,) = lines("jutro cię zabiję, słyszysz")
    assert not text_signals(Foreign(), [line.model_copy(update=facts)]).not_inspected


REPEATS = [
    (["you", "i will kill", "you"], [0, 1, 2], "you i will kill you"),
    (["title", "i hate", "title", "you", "title"], [0, 0, 1, 1, 2], "title i hate you"),
    (["on", "off", "on", "off"], [0, 1, 2, 3], "on off on off"),
]


@pytest.mark.parametrize(("texts", "frames", "together"), REPEATS)
def test_over_frames_a_line_is_left_out_where_it_stood_in_the_frame_before(
    texts: list[str], frames: list[int], together: str
) -> None:
    model = Listener(together)
    reasons = text_signals(model, lines(*texts, frames=frames)).signals
    assert max(reason.score for reason in reasons) == pytest.approx(0.9)


def test_a_text_that_reads_harmless_as_a_whole_is_asked_about_once() -> None:
    model = Listener()
    text_signals(model, lines("We meet at eight.", "Bring shoes."))
    assert set(model.asked) == {"We meet at eight. Bring shoes.", "We meet at eight."}  # the second to name a line


@pytest.mark.parametrize(
    ("whole", "sentence", "score"), [(0.05, 0.05, 0.05), (0.2, 0.05, 0.2), (0.2, 0.2, 0.9 * LINE_WEIGHT)]
)
def test_what_stands_around_a_line_may_excuse_it(whole: float, sentence: float, score: float) -> None:
    said = {"If someone leaves you out tell a teacher. Be kind.": whole, "leaves you out": 0.9}
    said["If someone leaves you out tell a teacher."] = sentence

    class Excusing(Listener):
        def score(self, texts: Sequence[str]) -> np.ndarray:
            return np.array([[said.get(text, 0.0)] for text in texts], np.float32)

    given = lines("If someone", "leaves you out", "tell a teacher.", "Be kind.")
    (reason,) = text_signals(Excusing(), given).signals
    assert reason.score == pytest.approx(score)


def many(texts: Sequence[str], per_frame: int = 1_000) -> list[TextLine]:
    box = Box(0, 0, 9, 9)
    return [TextLine(text=text, confidence=1, box=box, frame=n // per_frame) for n, text in enumerate(texts)]


ENDLESS = {
    "many lines": ["see you at the gate " * 20] * 1_000,
    "many full stops": ["a. " * 133] * 1_000,
    "ligatures that stand for eighteen letters": ["ﷺ" * 400] * 1_000,
    "few characters, many when they are spelt out": ["ﷺ" * 1_200],
    "one line": ["word " * 4_001],
}


@pytest.mark.parametrize("texts", ENDLESS.values(), ids=ENDLESS)
def test_text_without_end_is_named_and_takes_no_time_without_end(texts: list[str]) -> None:
    model = Profile.load("embedded").build_stage2().text_model
    start = time.thread_time()
    found = text_signals(model, many(texts))
    assert time.thread_time() - start < 30  # it was minutes
    assert "more than 20,000 characters of text in one frame" in [missed.reason for missed in found.not_inspected]


def test_a_threat_past_the_first_characters_of_a_page_still_counts() -> None:
    found = text_signals(Listener("i will kill you"), many(["we meet at eight " * 20] * 100 + ["i will kill you"]))
    assert max(signal.score for signal in found.signals) > 0.5


def test_text_over_many_frames_is_scored_to_its_end() -> None:
    """What all frames say together may be more than a text model reads at once."""
    model = Listener()
    text_signals(model, many([f"line {n} of a long tale" for n in range(3_000)], per_frame=10))
    together = [text for text in model.asked if text.count("line") > 10]
    assert all(len(text) <= 20_000 for text in together)
    assert all(any(f"line {n} of a long tale line {n + 1} of" in text for text in together) for n in range(2_999))


def test_text_that_the_budget_has_no_room_for_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage2_text_signals, "GRACE", 0.0)
    budget = Budget(0.0)
    with budget.spending():
        found = text_signals(Listener("bad"), many(["bad", "good", "good"], per_frame=1))
    assert budget.left_out() == ["3 of 4 passages of text were not scored: the picture's 0 s are used up"]
    assert max(signal.score for signal in found.signals) > 0.5
