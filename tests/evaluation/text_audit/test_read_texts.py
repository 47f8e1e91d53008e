"""How well a text was read, what of it is shown, and in which order its words stood."""

from pathlib import Path

import pytest
from audited_runs import BOTH, GIVEN, inspection, ours, seen, write_inspections
from hypothesis import given
from hypothesis import strategies as st

from kidsnanny import Policy
from kidsnanny.errors import DataError
from kidsnanny.evaluation.text_audit.audit_scores import AuditedText, judged
from kidsnanny.evaluation.text_audit.painted_out import chosen
from kidsnanny.evaluation.text_audit.read_texts import (
    ReadText,
    engine_errors,
    error_rate,
    in_true_order,
    matching_stretch,
    read_texts,
)
from kidsnanny.evaluation.text_audit.worst_cases import highest_score, in_turn, masked, worst_cases
from kidsnanny.records import Box, TextLine
from kidsnanny.verdict import CategoryScore

WORDS = st.text(st.characters(categories=["L", "N", "Zs"]), min_size=1).filter(str.strip)


@pytest.mark.parametrize(
    ("text", "read", "errors", "letters"),
    [
        ("see you at five", ["see you at five"], 0, 12),
        ("See you\nat five", ["SEEYOU at  five"], 0, 12),
        ("see you at five", ["Menu Home see you at five 12:30"], 0, 12),
        ("see you at five", ["see y0u at five"], 1, 12),
        ("see you at five", ["a page of words: see yo at five and so on and on"], 1, 12),
        ("see you at five", ["a page of words: see yyou at five and so on and on"], 1, 12),
        ("see you at five", ["see you"], 6, 12),
        ("see you at five", [], 12, 12),
        ("see you at five", ["S E", "see you at five"], 0, 12),
        ("你好世界", ["x 你好世界 y"], 0, 4),
    ],
)
def test_errors_are_counted_in_the_stretch_that_matches_best(
    text: str, read: list[str], errors: int, letters: int
) -> None:
    assert error_rate(text, read) == pytest.approx(errors / letters)


@pytest.mark.parametrize(
    ("text", "read", "stretch"),
    [
        ("See you at five", ["Menu Home see yov at  five 12:30"], "see yov at  five"),
        ("see you at five", ["S E", "Menu see you at five"], "see you at five"),
        ("see you at five", ["see you"], "see you"),
        ("groß", ["Ein GROSS er Ball"], "GROSS"),
        ("see you", [], ""),
        ("", ["Menu"], ""),
    ],
)
def test_the_stretch_that_matches_is_as_it_was_read(text: str, read: list[str], stretch: str) -> None:
    assert matching_stretch(text, read) == stretch


@given(WORDS, st.text(max_size=20), st.text(max_size=20))
def test_a_rate_is_between_none_and_all(text: str, before: str, after: str) -> None:
    assert 0 <= error_rate(text, [before]) <= 1
    assert error_rate(text, [f"{text} {after}", before]) == 0


def test_the_errors_of_an_engine(tmp_path: Path) -> None:
    """Three pictures of two texts: one without an error, one with one in ten letters, one that could not be opened."""
    write_inspections(
        tmp_path, "e", {"a": inspection("see you", "at noon"), "b": inspection("other line", "0123456X89")}
    )
    texts = {
        "a": AuditedText("see you at noon", "meme", ""),
        "b": AuditedText("0123456789", "poster", ""),
        "c": AuditedText("0123456789", "poster", ""),
        "d": AuditedText(None, "poster", ""),
    }
    pictures = [seen(name, True, True, texts[name].text or "", texts[name].look) for name in "abcd"]
    found = engine_errors("e", pictures, read_texts(tmp_path, "e"), texts)
    assert found is not None
    assert (found.all.pictures, found.all.median) == (3, pytest.approx(0.1))
    assert found.all.mean.value == pytest.approx(1.1 / 3)
    assert (found.all.badly_read.successes, found.all.badly_read.n) == (1, 3)
    assert {look: one.pictures for look, one in found.by_look.items()} == {"meme": 1, "poster": 2}


def test_what_is_read_in_another_order_is_told_from_what_is_misread(tmp_path: Path) -> None:
    def rates(*lines: str) -> tuple[float | None, float | None]:
        write_inspections(tmp_path, "e", {"a": inspection(*lines)})
        texts = {"a": AuditedText("nobody likes you at all", "", "")}
        found = engine_errors("e", [seen("a", True, True)], read_texts(tmp_path, "e"), texts)
        assert found is not None
        return found.all.mean.value, found.all.ordered.value

    assert rates("nobody likes", "you at all") == (0, 0)
    assert rates("nobody likes", "yoo at all") == (pytest.approx(1 / 19), pytest.approx(1 / 19))
    mean, ordered = rates("you at all", "nobody likes")
    assert mean is not None
    assert mean > 0.4
    assert ordered == 0


def test_no_known_text_is_no_rate(tmp_path: Path) -> None:
    write_inspections(tmp_path, "e", {"a": inspection("see you")})
    assert engine_errors("e", [seen("a", True, True)], read_texts(tmp_path, "e"), {}) is None


def test_what_was_read_is_what_the_models_judge_and_what_they_do_not(tmp_path: Path) -> None:
    box = Box(0, 0, 9, 9)
    lines = (
        TextLine(text="sure", confidence=0.9, box=box),
        TextLine(text="doubtful", confidence=0.2, box=box),
        TextLine(text="", confidence=0.0, box=box),
        TextLine(text="down", confidence=0.9, box=box, kind="column"),
        TextLine(text="later", confidence=0.9, box=box, frame=1),
    )
    write_inspections(tmp_path, "e", {"a": inspection(*lines)})
    assert read_texts(tmp_path, "e") == {
        "a": ReadText(("sure later", "down"), ("sure doubtful later", "down"), (box, box, box))
    }


def test_a_system_without_an_ocr_read_nothing(tmp_path: Path) -> None:
    write_inspections(tmp_path, "e", {"a": inspection().model_copy(update={"text_signals": None})})
    assert read_texts(tmp_path, "e") == {} == read_texts(tmp_path, "nudenet")
    (tmp_path / "inspections" / "f.jsonl").write_text("{}\n")
    with pytest.raises(DataError, match="it holds no inspections"):
        read_texts(tmp_path, "f")


@pytest.mark.parametrize(
    ("text", "read", "ordered"),
    [
        ("you are mean", ["mean are you"], "you are mean"),
        ("you are mean", ["Home are yov", "MEAN Settings"], "yov are MEAN"),
        ("you are mean", ["you are"], "you are"),
        ("so so mean", ["so mean"], "so mean"),
        ("mean", ["Home"], ""),
        ("", ["Home"], ""),
        ("mean", [], ""),
    ],
)
def test_words_are_put_in_the_order_of_the_text(text: str, read: list[str], ordered: str) -> None:
    """A word that was read stands for one word only, and one that is like none is left out."""
    assert in_true_order(text, read) == ordered


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("some words of it", "s**e w***s of it"),
        ("call 555 0199 now", "c**l ### #### now"),
        ("sh0w", "s*#w"),
        ("don't", "don't"),
        ("naïve café-bar", "n***e c**é-bar"),
        ("नमस्ते", "न****े"),
        ("", ""),
    ],
)
def test_words_are_masked(text: str, shown: str) -> None:
    assert masked(text) == shown


@given(st.text())
def test_no_long_word_and_no_digit_is_left(text: str) -> None:
    shown = masked(text)
    assert len(shown) == len(text)
    assert not any(letter.isdecimal() for letter in shown)
    assert not any(len(word) >= 4 and word.isalpha() for word in shown.split())


def test_the_worst_come_first() -> None:
    """Misses from the lowest score on, false alarms from the highest; without a score is the lowest."""
    scored = {"m1": (True, 0.3), "m0": (True, 0.1), "m": (True, None), "a0": (False, 0.8), "a1": (False, 0.9)}
    lines = [ours(name, BOTH, unsafe, not unsafe, score=score) for name, (unsafe, score) in scored.items()]
    found = worst_cases(judged(lines, {}), lines, [ours("m0", GIVEN, True, True)], {})
    assert [one.id for one in found.misses] == ["m", "m0", "m1"]
    assert [one.given_score for one in found.misses] == [None, 0.9, None]
    assert [one.id for one in found.false_alarms] == ["a1", "a0"]


def test_the_score_is_that_of_any_category_that_counts() -> None:
    """A picture of one topic may be flagged for another."""
    scores = {"violence": 0.7, "scam": 0.9}
    detail = {name: CategoryScore(text=score, final=score, decided_by="text") for name, score in scores.items()}
    policy = Policy.load("preteen")
    rules = policy.categories | {"scam": policy.categories["scam"].model_copy(update={"action": "ignore"})}
    line = ours("a", BOTH, True, False, detail=detail, score=0.1)
    assert highest_score(line) == 0.9
    assert highest_score(line.model_copy(update={"policy": policy.model_copy(update={"categories": rules})})) == 0.7


def test_looks_take_turns() -> None:
    pictures = [*(seen(f"m{n}", True, True, look="meme") for n in range(9)), seen("p0", True, True, look="poster")]
    assert [one.id for one in in_turn(pictures, 4)] == ["m0", "p0", "m1", "m2"]


def test_what_is_painted_is_chosen_evenly_and_always_the_same() -> None:
    pictures = [seen(f"{look}{n}", True, True, look=look) for look in ("meme", "poster") for n in range(9)]
    found = {one.id: ReadText((), (), (Box(0, 0, 9, 9),)) for one in pictures if one.id != "meme0"}
    first = chosen(pictures, found, 6)
    assert [one.look for one in first] == ["meme", "poster"] * 3
    assert chosen(pictures[::-1], found, 6) == first
    assert "meme0" not in {one.id for one in chosen(pictures, found, 99)}
