"""What letters mean by a judge's card: P = sigmoid(logit(raw) / temperature + bias)."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kidsnanny.models.cards import JudgeCard, LetterCalibration, cards, make_card
from kidsnanny.stage2.judge.letter_calibration import as_measured, calibrated
from kidsnanny.taxonomy import CATEGORIES, Category

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
    assert found["scam"] == 0, "a letter that was not measured raises nothing"
    assert calibrated({"scam": raw}, {}) == {"scam": raw}, "a card without letters"


@given(low=SHARES, high=SHARES, temperature=st.floats(0.01, 100), bias=st.floats(-20, 20))
def test_it_stays_a_probability_and_keeps_the_order(low: float, high: float, temperature: float, bias: float) -> None:
    letters = {"hate": LetterCalibration(temperature=temperature, bias=bias)}
    found = [calibrated({"hate": raw}, letters)["hate"] for raw in sorted((low, high))]
    assert -1e-12 <= found[0] <= found[1] + 1e-12 <= 1 + 1e-9


RAW: dict[Category, float] = {"hate": 0.2, "scam": 0.2}
NAMED = ("hate",)


@pytest.mark.parametrize(
    ("model", "prompt", "form_measured", "applied", "lowers"),
    [
        ("mine", "prompt 7", True, True, NAMED),
        ("mine", "prompt 8", True, False, ()),
        ("mine", "prompt 7", False, False, ()),
        ("another", "prompt 7", True, False, CATEGORIES),
        ("nudenet-320n", "prompt 7", True, False, CATEGORIES),
    ],
)
def test_a_card_counts_for_what_was_measured_and_otherwise_its_model_lowers_nothing(
    monkeypatch: pytest.MonkeyPatch,
    model: str,
    prompt: str,
    form_measured: bool,
    applied: bool,
    lowers: tuple[Category, ...],
) -> None:
    fields = {"role": "judge", "what": "x", "licence": "x", "path": "m.gguf", "prompt": "prompt 7", "lowers": NAMED}
    fields |= {"files": {"m.gguf": {}}, "letters": {"hate": {"temperature": 2.0, "bias": 1.0}}}
    mine = make_card("mine", fields)
    monkeypatch.setitem(cards(), "mine", mine)
    found = as_measured(RAW, model, prompt, form_measured=form_measured)
    assert (found.scores != RAW) == applied
    assert found.lowers == lowers


def test_the_judge_that_is_shipped_lowers_nothing() -> None:
    shipped = [card for card in cards().values() if isinstance(card, JudgeCard)]
    assert shipped
    assert not any(card.lowers for card in shipped), "only a model of which it was measured may"
