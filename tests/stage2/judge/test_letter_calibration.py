"""What letters mean by a judge's card: P = sigmoid(logit(raw) / temperature + bias)."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kidsnanny.models.cards import JudgeCard, LetterCalibration, cards, make_card
from kidsnanny.stage2.judge.letter_calibration import calibrated, letters_of

SHARES = st.floats(0, 1)


@pytest.mark.parametrize(
    ("raw", "temperature", "bias", "expected"),
    [
        (0.3, 1, 0, 0.3),
        (0.5, 7, 0, 0.5),
        (0.5, 1, 2, 1 / (1 + math.exp(-2))),
        (0.8, 0.5, 0, 16 / 17),
        (0.8, 2, 0, 2 / 3),
        (0.0, 1, 0, 1e-4),
        (1.0, 1, 0, 1 - 1e-4),
    ],
)
def test_a_letter_is_stretched_and_moved(raw: float, temperature: float, bias: float, expected: float) -> None:
    letters = {"hate": LetterCalibration(temperature=temperature, bias=bias)}
    found = calibrated({"hate": raw, "scam": raw}, letters)
    assert found["hate"] == pytest.approx(expected)
    assert found["scam"] == raw, "a category that was not measured"


@given(low=SHARES, high=SHARES, temperature=st.floats(0.01, 100), bias=st.floats(-20, 20))
def test_it_stays_a_probability_and_keeps_the_order(low: float, high: float, temperature: float, bias: float) -> None:
    letters = {"hate": LetterCalibration(temperature=temperature, bias=bias)}
    found = [calibrated({"hate": raw}, letters)["hate"] for raw in sorted((low, high))]
    assert -1e-12 <= found[0] <= found[1] + 1e-12 <= 1 + 1e-9


@pytest.mark.parametrize(
    ("model", "prompt", "applied"),
    [("mine", "prompt 7", True), ("mine", "prompt 8", False), ("another", "prompt 7", False)],
)
def test_only_the_model_and_the_prompt_that_were_measured(
    monkeypatch: pytest.MonkeyPatch, model: str, prompt: str, applied: bool
) -> None:
    fields = {"role": "judge", "what": "x", "licence": "x", "path": "m.gguf", "prompt": "prompt 7"}
    fields |= {"files": {"m.gguf": {}}, "letters": {"hate": {"temperature": 2.0, "bias": 1.0}}}
    mine = make_card("mine", fields)
    assert isinstance(mine, JudgeCard)
    monkeypatch.setitem(cards(), "mine", mine)
    assert bool(letters_of(model, prompt)) == applied
