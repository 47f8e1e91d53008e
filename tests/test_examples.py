"""The examples carry the label a person gave them before any system looked. What the system misses is listed here."""

import tomllib

import pytest
from conftest import ROOT

from kidsnanny import Pipeline

EXPECTED = tomllib.loads((ROOT / "examples" / "expected.toml").read_text("utf-8"))
MISSED = {"meme_bullying.jpg": "safe"}
"""File -> what the system says instead."""


def test_there_are_enough_of_them() -> None:
    assert len(EXPECTED) >= 8
    assert all((ROOT / "examples" / name).is_file() for name in EXPECTED)
    assert sum(expected["label"] == "safe" for expected in EXPECTED.values()) >= 4


@pytest.mark.parametrize("name", EXPECTED)
def test_verdict(pipeline: Pipeline, name: str) -> None:
    expected = EXPECTED[name]
    verdict = pipeline(ROOT / "examples" / name)
    if name in MISSED:
        assert verdict.label == MISSED[name], "a miss that is gone must leave the list"
        return
    flagged = "review" if expected["label"] == "unsafe" else expected["label"]
    assert verdict.label in {expected["label"], flagged}
    if expected["label"] != "safe":
        assert expected["category"] in {reason.category for reason in verdict.reasons}
        assert verdict.action == expected.get("action", verdict.action)
        frames = {reason.frame for reason in verdict.reasons if reason.category == expected["category"]}
        assert expected.get("frame", 0) in frames


def test_no_sentence_of_them_is_in_the_training_lines() -> None:
    corpus = (ROOT / "training" / "corpus").glob("*/*.jsonl")
    lines = "".join(path.read_text("utf-8").casefold() for path in corpus)
    for name, expected in EXPECTED.items():
        for sentence in expected["sentences"]:
            assert sentence.casefold() not in lines, name
